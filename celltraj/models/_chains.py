"""Chains of cells through all snapshots, drawn along the couplings."""

from __future__ import annotations

from collections.abc import Sequence

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
        chain.append(_partners(plan, chain[-1], uniform))
    return torch.stack(chain)


def _partners(plan: csr_array, rows: Tensor, uniform: Tensor) -> Tensor:
    """Return the column of each row at which its share ``uniform`` of the row's mass is passed."""
    start = torch.from_numpy(plan.indptr).long()
    columns = torch.from_numpy(plan.indices).long()
    data = torch.from_numpy(plan.data)
    mass = torch.cat([torch.zeros(1, dtype=data.dtype), data.cumsum(0)])
    low, high = mass[start[rows]], mass[start[rows + 1]]
    drawn = torch.searchsorted(mass, low + uniform * (high - low), right=True) - 1
    # the cumulative sum rounds, so that a draw may fall on the border to the next row
    return columns[torch.clamp(drawn, start[rows], start[rows + 1] - 1)]
