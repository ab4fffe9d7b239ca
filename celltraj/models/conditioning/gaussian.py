r"""Look ahead by a normal law of the last state, ``X_T | X_t = x ~ N(A x + c, V)``.

Exact where the law of motion is affine. Elsewhere ``A``, ``c`` and ``V`` are those of the
regression of the ends of pilot paths on where they were, at some twenty times and straight lines in
between: the linear law nearest to the true one where paths go (statistical linearisation; Sarkka &
Solin, *Applied stochastic differential equations*, 2019, section 9.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from celltraj._typing import Cells
from celltraj.models.conditioning.pilot import Pilot
from celltraj.models.conditioning.reward import Reward, Worth
from celltraj.models.process import Affine
from celltraj.models.references.gaussian_law import flow_of

_RIDGE = 1e-4  # of the variance of a variable


@dataclass(frozen=True, eq=False)
class Ends:
    """Hold the normal law of the last state.

    Parameters
    ----------
    mean
        ``(n, d)`` mean, in [x].
    turn
        ``(d, d)`` its derivative ``A`` by the state.
    covariance
        ``(1, d, d)`` covariance, in [x]^2.
    """

    mean: Tensor
    turn: Tensor
    covariance: Tensor


@runtime_checkable
class LawOfEnds(Protocol):
    """Tell the law of the last state."""

    def __call__(self, t: float, x: Cells) -> Ends:
        """Return the law of the last state of paths at ``x (n, d)`` at time ``t``."""
        ...


@dataclass(frozen=True, eq=False)
class GaussianLookAhead:
    """Look ahead by a normal law of the last state.

    Parameters
    ----------
    reward
        What is looked for.
    law
        The law of the last state.
    """

    reward: Reward
    law: LawOfEnds

    def __call__(self, t: float, x: Cells) -> Worth:
        """Return the log mean of the reward and its derivatives by ``x``."""
        ends = self.law(t, x)
        worth = self.reward.worth(ends.mean, ends.covariance)
        turn = ends.turn
        return Worth(worth.log_mean, worth.slope @ turn, turn.T @ worth.curvature @ turn)


@dataclass(frozen=True, eq=False)
class AffineEnds:
    """Tell the law of the last state of an affine law of motion, which is exact."""

    process: Affine
    stop: float

    def __call__(self, t: float, x: Cells) -> Ends:
        """Return the law of the last state."""
        d = x.shape[1]
        if t >= self.stop:
            return Ends(x, torch.eye(d, dtype=x.dtype), torch.zeros(1, d, d, dtype=x.dtype))
        flow = flow_of(self.process, x, (t, self.stop))  # type: ignore[arg-type]
        return Ends(flow.mean[-1], flow.steps[0, 0], flow.noises[0])


@dataclass(frozen=True, eq=False)
class FittedEnds:
    """Tell the law of the last state by regression on pilot paths.

    Parameters
    ----------
    times
        ``(K + 1,)`` times, the last one that of the end.
    turns, shifts, covariances
        ``(K + 1, d, d)``, ``(K + 1, d)`` and ``(K + 1, d, d)`` of ``A``, ``c`` and ``V``.
    """

    times: Tensor
    turns: Tensor
    shifts: Tensor
    covariances: Tensor

    @classmethod
    def of(cls, pilot: Pilot) -> FittedEnds:
        """Return the regressions of the ends of pilot paths."""
        d = pilot.end.shape[1]
        known = zip(pilot.passages.x, pilot.weights, strict=True)
        fits = [_regressed(x, pilot.end, weights) for x, weights in known]
        one, none = torch.eye(d, dtype=torch.float64), torch.zeros(d, dtype=torch.float64)
        parts = zip(*fits, (one, none, 0 * one), strict=True)
        times = torch.tensor([*pilot.passages.times, pilot.stop], dtype=torch.float64)
        return cls(times, *(torch.stack(part) for part in parts))

    def __call__(self, t: float, x: Cells) -> Ends:
        """Return the law of the last state."""
        k, s = place(self.times, t)
        turn, shift, covariance = (
            torch.lerp(one[k], one[min(k + 1, len(one) - 1)], s)
            for one in (self.turns, self.shifts, self.covariances)
        )
        return Ends(x @ turn.T + shift, turn, covariance[None])


def place(times: Tensor, t: float) -> tuple[int, float]:
    """Return the last of the times that is not after ``t``, and how far ``t`` is to the next.

    The first one where ``t`` is before all.
    """
    k = int(torch.searchsorted(times, t, right=True)) - 1
    if k < 0 or k + 1 >= len(times):
        return max(k, 0), 0.0
    return k, float((t - times[k]) / (times[k + 1] - times[k]))


def _regressed(x: Cells, y: Cells, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``A``, ``c`` and ``V`` of the ridge regression of ``y`` on ``x``."""
    centre, mean = weights @ x, weights @ y
    away, gone = x - centre, y - mean
    scale = (weights @ away.square()).sqrt()
    scale = torch.where(scale > 0, scale, 1.0)  # a variable in which paths have not parted yet
    z = away / scale
    gram = (weights[:, None] * z).T @ z + _RIDGE * torch.eye(x.shape[1], dtype=x.dtype)
    turn = torch.linalg.solve(gram, (weights[:, None] * z).T @ gone).T / scale
    left = gone - away @ turn.T
    return turn, mean - turn @ centre, (weights[:, None] * left).T @ left
