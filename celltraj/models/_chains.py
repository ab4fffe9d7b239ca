"""Chains of cells through all snapshots, drawn along the couplings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from celltraj._snapshots import Snapshots


def sample_chains(
    snapshots: Snapshots, plans: Sequence[csr_array], n: int, *, generator: torch.Generator
) -> Tensor:
    """Draw ``n`` chains ``(T, n)`` of cell indices.

    The first cell by its weight; given cell ``i`` the next one is ``j`` with probability
    ``P_ij / sum_j P_ij``. Each snapshot is met, since the plans have its weights as marginals.

    Parameters
    ----------
    snapshots
        ``T`` observed clouds.
    plans
        ``T - 1`` sparse plans ``(n_k, n_{k+1})``.
    n
        Number of chains.
    generator
        Source of randomness.
    """
    first = torch.multinomial(snapshots.weights[0], n, replacement=True, generator=generator)
    chain = [first]
    for plan in plans:
        uniform = torch.rand(n, dtype=torch.float64, generator=generator)
        column = draw_partners(plan, chain[-1].numpy(), uniform.numpy())
        chain.append(torch.from_numpy(column).long())
    return torch.stack(chain)


def draw_partners(plan: csr_array, rows: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Return the column of each row at which its share ``uniform`` of the row's mass is passed.

    Uniform shares draw a column with the probabilities of that row of the plan.
    """
    first, last = plan.indptr[rows], plan.indptr[rows + 1] - 1
    mass = np.concatenate([[0.0], np.cumsum(plan.data)])
    low, high = mass[first], mass[last + 1]
    drawn = np.searchsorted(mass, low + (high - low) * uniform, side="right") - 1
    # the cumulative sum rounds, so that a draw may fall on the border to the next row
    return plan.indices[np.clip(drawn, first, last)]
