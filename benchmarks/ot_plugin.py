"""celltraj's solver in the shape of other benchmarks: ``f, g, info = solve(C, a, b, eps)``."""

from __future__ import annotations

import numpy as np
import torch

from celltraj import ot


def solve(
    cost: np.ndarray, a: np.ndarray, b: np.ndarray, eps: float, tol: float = 1e-6
) -> tuple[np.ndarray, np.ndarray, dict[str, object]]:
    """Return the potentials and the report of ``ct.ot.solve``."""
    matrix, a, b = (torch.from_numpy(v) for v in (cost, a, b / b.sum() * a.sum()))
    found = ot.Balanced(tol, throw=False)(ot.DenseCost(matrix), a, b, epsilon=eps)
    return found.f.numpy(), found.g.numpy(), found.report()
