"""Condition on a group of observed cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Cells, Earlier, Targets
from celltraj.models.conditioning.reward import Worth, worth_near
from celltraj.models.lineage.simulated import neighbour_shares

_RIDGE = 1e-3  # of the variance of the cells, added to that of a group


@card()
@dataclass(frozen=True, eq=False)
class GroupReward:
    r"""Weigh the last state by the share of its observed neighbours that are of a group.

    As :func:`celltraj.models.land` counts where a path ends: cells fall off with their distance,
    within the ten nearest. ``E e^r`` is the probability of the group.

    Parameters
    ----------
    cells
        ``(m, d)`` cells that were observed at the last time.
    members
        ``(m,)`` whether each is of the group.
    n_neighbors
        Observed cells that an end counts for.

    Raises
    ------
    ValueError
        No cell is of the group.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.conditioning.group_reward import GroupReward
    >>> near = GroupReward(torch.tensor([[0.0], [1.0]]), torch.tensor([True, False]), 1)
    >>> near(torch.tensor([[0.1], [0.9]])).exp()
    tensor([1., 0.], dtype=torch.float64)
    """

    cells: Targets
    members: Tensor
    n_neighbors: int = 10

    def __post_init__(self) -> None:
        if not self.members.any():
            raise ValueError(f"none of {len(self.cells)} observed cells is of the group")

    def __call__(self, x: Cells) -> Earlier:
        """Return the log of the share, ``(n,)``; minus infinity without a neighbour of it."""
        near, share = neighbour_shares(x.double(), self.cells.double(), self.n_neighbors)
        of_group = self.members.double()[torch.from_numpy(near)]
        total: Tensor = (of_group * torch.from_numpy(share)).sum(1)
        return total.clamp(max=1.0).log()

    def worth(self, mean: Cells, covariance: Tensor) -> Worth:
        """Return the worth of a normal law with the moments of the group in its place."""
        return worth_near(mean, covariance, *self._moments)

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        cells = self.cells.double()
        own = cells[self.members]
        away = own - own.mean(0)
        floor = torch.diag(cells.var(0, correction=0).clamp(min=1e-12))
        return own.mean(0), away.T @ away / len(own) + _RIDGE * floor
