"""The result of a transport solver: potentials, never an unasked dense plan."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._typing import Earlier, Later, Plan
from celltraj.ot._cost import SquaredEuclidean


@dataclass(frozen=True)
class Coupling:
    r"""Hold an entropic plan ``P_ij = exp((f_i + g_j - C_ij) / epsilon)`` by its potentials.

    Parameters
    ----------
    cost
        Ground cost of shape ``(n, m)``, rows are the earlier cells.
    f, g
        ``(n,)`` and ``(m,)`` potentials, in units of the cost; ``-inf`` where a weight is zero.
    a, b
        ``(n,)`` and ``(m,)`` marginals that were asked for.
    epsilon
        Regularisation, in units of the cost.
    marginal_error
        L1 distance of the plan's column sums from ``b``; row sums are exact.
    converged
        Whether ``marginal_error`` reached the solver's tolerance.
    n_iters
        Sweeps over the cost that were taken.

    Examples
    --------
    >>> import torch
    >>> from celltraj.ot import Sinkhorn, SquaredEuclidean
    >>> x, half = torch.tensor([[0.0], [9.0]]).double(), torch.tensor([0.5, 0.5]).double()
    >>> coupling = Sinkhorn()(SquaredEuclidean(x, x + 1), half, half, epsilon=0.1)
    >>> coupling.pull(x + 1) / half[:, None]  # where each cell goes on average
    tensor([[ 1.0000],
            [10.0000]], dtype=torch.float64)
    """

    cost: SquaredEuclidean
    f: Earlier
    g: Later
    a: Earlier
    b: Later
    epsilon: float
    marginal_error: float
    converged: bool
    n_iters: int

    def _plan_blocks(self):
        for rows, cost in self.cost.blocks():
            exponent = (self.f[rows, None] + self.g[None] - cost) / self.epsilon
            yield rows, exponent.exp_()

    def to_dense(self) -> Plan:
        """Return the full ``(n, m)`` plan."""
        return torch.cat([block for _, block in self._plan_blocks()])

    def push(self, v: Tensor) -> Tensor:
        """Return ``P' v`` for ``v`` of shape ``(n,)`` or ``(n, k)``."""
        return sum(block.T @ v[rows] for rows, block in self._plan_blocks())

    def pull(self, v: Tensor) -> Tensor:
        """Return ``P v`` for ``v`` of shape ``(m,)`` or ``(m, k)``."""
        return torch.cat([block @ v for _, block in self._plan_blocks()])

    def sample(self, n: int, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw ``n`` index pairs ``(i, j)`` from the plan, each of shape ``(n,)``.

        Rows are drawn by systematic sampling: each earlier cell appears ``n a_i`` times to within
        one, which removes most of the noise of independent draws and leaves the law of each pair
        unchanged.
        """
        i = _systematic(self.a, n, generator)
        uniform = torch.rand(n, dtype=torch.float64, generator=generator)
        j = torch.cat([_columns(block, rows, i, uniform) for rows, block in self._plan_blocks()])
        order = torch.randperm(n, generator=generator)
        return i[order], j[order]


def _columns(block: Tensor, rows: slice, i: Tensor, uniform: Tensor) -> Tensor:
    """Draw the column of every sample whose (sorted) row ``i`` lies in ``block``."""
    start, stop = torch.searchsorted(i, torch.tensor([rows.start, rows.stop])).tolist()
    local, m = i[start:stop] - rows.start, block.shape[1]
    cumulative = block.cumsum(1)
    total = cumulative[:, -1:]
    cumulative /= torch.where(total > 0, total, 1.0)  # a row without mass is never drawn
    # adding the row number makes one increasing sequence of all rows: one search for all samples
    cumulative += torch.arange(len(block), dtype=block.dtype)[:, None]
    # right=True skips columns of zero mass, also when the draw is exactly zero
    found = torch.searchsorted(cumulative.flatten(), local + uniform[start:stop], right=True)
    return torch.minimum(found - local * m, torch.tensor(m - 1))


def _systematic(weights: Tensor, n: int, generator: torch.Generator) -> Tensor:
    positions = torch.arange(n, dtype=torch.float64)
    positions = (positions + torch.rand(1, dtype=torch.float64, generator=generator)) / n
    cumulative = weights.cumsum(0)
    hits = torch.searchsorted(cumulative, positions * cumulative[-1], right=True)
    return hits.clamp_(max=len(weights) - 1)
