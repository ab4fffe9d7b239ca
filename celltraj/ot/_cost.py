"""Ground costs evaluated in row blocks, so that no n x m array is needed unasked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._typing import Cells, Plan, Targets

_BLOCK = 4_000_000  # entries held at once: 32 MB in float64


@dataclass(frozen=True)
class SquaredEuclidean:
    """Half the squared Euclidean distance, ``C_ij = |x_i - y_j|^2 / 2``.

    With this cost a Brownian reference has ``epsilon = sigma^2 (t1 - t0)``.

    Parameters
    ----------
    x, y
        ``(n, d)`` and ``(m, d)`` points, float64.

    Examples
    --------
    >>> import torch
    >>> from celltraj.ot import SquaredEuclidean
    >>> SquaredEuclidean(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])).dense()
    tensor([[12.5000]])
    """

    x: Cells
    y: Targets

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(n, m)``."""
        return len(self.x), len(self.y)

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield ``(rows, C[rows])`` in blocks of bounded memory."""
        step = max(1, _BLOCK // len(self.y))
        for start in range(0, len(self.x), step):
            rows = slice(start, start + step)
            yield rows, torch.cdist(self.x[rows], self.y).square_().mul_(0.5)

    def dense(self) -> Plan:
        """Return the full ``(n, m)`` cost."""
        return torch.cat([block for _, block in self.blocks()])

    def mean(self) -> float:
        """Return the mean cost in closed form, without forming it."""
        dx, dy = self.x.mean(0), self.y.mean(0)
        spread = self.x.sub(dx).square().sum(1).mean() + self.y.sub(dy).square().sum(1).mean()
        return float(0.5 * (spread + (dx - dy).square().sum()))
