"""Curves of an interpolant as the weighted paths that a law of motion is fitted to."""

from __future__ import annotations

import torch
from torch import Tensor

from celltraj.models.interpolants._curves import Curves
from celltraj.models.references.family import Paths

__all__ = ["STEPS", "Curves", "as_paths"]

STEPS = 8  # of a gap, of curves and of the flow of a law


def as_paths(curves: Curves, times: Tensor, gap: Tensor) -> list[Paths]:
    """Return the curves of each gap as equally weighted paths.

    Their nodes are the middles of equal steps, by which neither end of a gap counts more.
    """
    paths = []
    for k in range(len(times) - 1):
        rows = (gap == k).nonzero().flatten()
        if not len(rows):
            continue
        step = (times[k + 1] - times[k]) / STEPS
        grid = times[k] + step * (torch.arange(STEPS + 1, dtype=times.dtype) + 0.5)
        # the last node only closes the last step, and a law is not asked beyond the snapshot
        at = grid.clamp(max=float(times[k + 1]))
        points = [curves.at(rows, t.expand(len(rows))) for t in at]
        x, v = (torch.stack(part).double() for part in zip(*points, strict=True))
        weights = torch.full((len(rows),), 1 / len(rows), dtype=torch.float64)
        paths.append(Paths(grid, x, v[:-1], weights))
    return paths
