r"""What cells are conditioned on: a weight ``e^{r(x)}`` of the state at the last time.

A reward also says what it is worth on average under a normal law of the last state, ``log E
e^{r(X)}`` for ``X ~ N(m, V)``: what is looked ahead to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Cells, Earlier


@card()
@dataclass(frozen=True, eq=False)
class Worth:
    """Hold what a reward is worth under a normal law ``N(m, V)`` of each cell.

    Parameters
    ----------
    log_mean
        ``(n,)`` values of ``log E e^r``.
    slope
        ``(n, d)`` derivatives by ``m``, in 1/[x].
    curvature
        ``(c, d, d)`` second derivatives by ``m`` with the sign turned, in 1/[x]^2; ``c`` is 1
        where all cells share them. Positive semi-definite: zeros, which only steer less well, stand
        for what is not.
    """

    log_mean: Tensor
    slope: Tensor
    curvature: Tensor


@runtime_checkable
class Reward(Protocol):
    """A log weight of the last state, and its log mean under a normal law."""

    def __call__(self, x: Cells) -> Earlier:
        """Return ``r(x)``, ``(n,)``; minus infinity where a state is ruled out."""
        ...

    def worth(self, mean: Cells, covariance: Tensor) -> Worth:
        """Return ``log E e^r`` under ``N(mean, covariance)``, ``(n, d)`` and ``(c, d, d)``."""
        ...


def worth_near(mean: Cells, covariance: Tensor, target: Tensor, spread: Tensor) -> Worth:
    """Return the worth of ``exp(-(x - target)' spread^-1 (x - target) / 2)``.

    ``(d,)`` target, ``(d, d)`` spread. Normal again, with ``covariance + spread``:
    ``-log det(1 + spread^-1 covariance) / 2 - (m - target)' (covariance + spread)^-1 (m - target)
    / 2``.
    """
    total = covariance + spread
    factor = torch.linalg.cholesky(total)
    shrunk = factor.diagonal(dim1=1, dim2=2).log().sum(1) - torch.logdet(spread) / 2
    precision = torch.cholesky_inverse(factor)
    away = mean - target
    pull = (precision @ away[..., None])[..., 0]
    return Worth(-shrunk - (away * pull).sum(1) / 2, -pull, precision)
