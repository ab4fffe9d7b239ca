r"""Weighted particles under a steered law, resampled before few of them carry all of the weight.

With ``x' = step(x, z)``, ``z`` drawn from ``N(a, C)`` in place of ``N(0, I)``, and an estimate
``log h`` of what a path is worth,

    d log w = log h(t', x') - log h(t, x) + log N(z; 0, I) - log N(z; a, C) + int growth dt,

from ``log h(t_0, x)`` at the start to ``log h = r`` at the last time: the sum telescopes to ``r``
and the ratio of the laws, so that weighted paths follow ``e^{r + int growth} dP / Z`` whatever the
estimate. The noise is drawn from the law that it has given the estimate, linearised at the mean of
the step: ``C^-1 = I + L' H L`` and ``a = C L' grad log h`` with ``L`` the root of the step's noise
and ``H`` the curvature. For an affine law and a linear or quadratic reward that is Doob's
transform, and all weights are equal.

Del Moral, *Feynman-Kac formulae* (2004); Guarniero, Johansen & Lee, *The iterated auxiliary
particle filter* (2017). The error of ``log Z`` is that of Chan & Lai, *A general theory of particle
filters in hidden Markov models and some applications* (2013), from the shares of the ancestors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from celltraj._typing import Cells, Earlier, States
from celltraj.models.conditioning.look_ahead import LookAhead
from celltraj.models.conditioning.reward import Reward, Worth
from celltraj.models.conditioning.steps import Ahead, Steps, check_finite
from celltraj.models.solvers.noise import normal_like
from celltraj.models.solvers.solver import StepGrid, progress_bar
from celltraj.ot.sampling import systematic

_LOST = 0.01  # share of particles that may be steered out of the finite numbers in a step
_MOST = 3.0  # standard deviations of its noise that a step is steered by
_ENOUGH = 0.5  # effective share of particles below which they are resampled


@dataclass(frozen=True, eq=False)
class Weighted:
    """Hold weighted paths.

    Parameters
    ----------
    times
        ``(T,)`` requested times, in the user's unit.
    x
        ``(T, n, d)`` states of each path, from its own start to its end, in [x].
    weights
        ``(n,)`` shares of the paths, which sum to 1; all zero where no path has any weight.
    start
        ``(n,)`` particle, of those at the first time, that each path begins with.
    log_mean
        Log of ``E[e^{r + int growth}]``; minus infinity where no path has any weight.
    """

    times: tuple[float, ...]
    x: States
    weights: Tensor
    start: Tensor
    log_mean: float

    def at(self, times: Sequence[float]) -> Weighted:
        """Return the paths at some of their times."""
        rows = [self.times.index(t) for t in times]
        return replace(self, times=tuple(times), x=self.x[rows])

    @property
    def effective(self) -> float:
        """Effective number of paths, ``1 / sum w^2``; 0 where none has any weight."""
        return float(1 / self.weights.square().sum()) if self.weights.any() else 0.0

    @property
    def n_ancestors(self) -> int:
        """How many particles of the first time have a path with weight."""
        return len(self.start[self.weights > 0].unique())

    @property
    def shares(self) -> Tensor:
        """Weight of all paths of each particle at the first time, ``(n,)``."""
        return torch.zeros_like(self.weights).index_add(0, self.start, self.weights)

    @property
    def error(self) -> float:
        """Standard error of ``log_mean``, from how the weight is spread over ancestors.

        Infinite where no path has any weight; with few ancestors it is too small.
        """
        if not self.weights.any():
            return math.inf
        n = len(self.weights)
        return float((n * self.shares - 1).square().sum().sqrt() / n)


def weighted_paths(
    steps: Steps,
    look: LookAhead,
    reward: Reward | None,
    x0: Cells,
    grid: StepGrid,
    *,
    generator: torch.Generator,
    progress: bool = False,
) -> Weighted:
    """Return weighted paths from ``x0 (n, d)`` over the steps of a grid.

    Parameters
    ----------
    steps
        How the law of motion is stepped.
    look
        Estimate of what a path is worth.
    reward
        What it is worth at the last time; None for nothing, so that only growth counts.
    x0
        ``(n, d)`` particles at the first time.
    grid
        Times of all steps, and which of them were requested.
    generator
        Source of randomness.
    progress
        Whether to show a progress bar over the steps.
    """
    cloud = _Cloud(x0, look(grid.times[0], x0).log_mean, generator)
    requested = set(grid.requested)
    with progress_bar(len(grid), progress=progress) as bar:
        for k, span in enumerate(pairwise(grid.times)):
            if k in requested:
                cloud.keep()
            cloud.resample()
            ahead = steps.ahead(*span, cloud.x)
            z, ratio = _steered(ahead, look(span[1], ahead.mean), cloud.x, generator)
            x, growth = steps.move(span, cloud.x, ahead, z, generator)
            gained = _without_lost(steps, x, ratio + growth, span[1])
            x = torch.where(torch.isfinite(gained)[:, None], x, cloud.x)
            is_last = k + 1 == len(grid)
            cloud.go(x, _worth(look, reward, span[1], x, is_last=is_last), gained)
            bar.update()
    cloud.keep()
    shares, log_mean = cloud.total()
    times = tuple(grid.times[k] for k in grid.requested)
    return Weighted(times, torch.stack(cloud.kept), shares, cloud.start, log_mean)


def _without_lost(steps: Steps, x: Cells, gained: Earlier, t: float) -> Earlier:
    """Return log weights, minus infinity for the few paths that were steered out of all numbers.

    They have no end that could be worth anything; of many, steps are too long for the law.
    """
    lost = (~torch.isfinite(x)).any(1)
    if lost.double().mean() > _LOST:
        check_finite(steps.process, x, t)
    return torch.where(lost, -torch.inf, gained)


def _worth(look: LookAhead, reward: Reward | None, t: float, x: Cells, *, is_last: bool) -> Tensor:
    if not is_last:
        return look(t, x).log_mean
    return torch.zeros_like(x[:, 0]) if reward is None else reward(x)


def _steered(
    ahead: Ahead, worth: Worth, x: Cells, generator: torch.Generator
) -> tuple[Tensor, Earlier]:
    """Return noise ``(n, d)`` drawn towards what is worth more, and the log ratio of its laws."""
    turned = ahead.root.mT
    pull = (turned @ worth.slope[..., None])[..., 0]
    one = torch.eye(x.shape[1], dtype=x.dtype)
    precision = one + turned @ worth.curvature @ ahead.root
    factor, failed = torch.linalg.cholesky_ex(precision)
    if failed.any():
        raise ValueError(
            "the curvature of what is looked ahead to is not positive semi-definite; give zeros in "
            "its place, which steer less well and are as right"
        )
    free = normal_like(x, generator)
    if not worth.curvature.any():
        # nothing holds an estimate without curvature back: one step may kick a path out of all data
        pull = pull * (_MOST / pull.norm(dim=1, keepdim=True).clamp(min=_MOST))
    mean = torch.cholesky_solve(pull[..., None], factor)
    z = (mean + torch.linalg.solve_triangular(factor.mT, free[..., None], upper=True))[..., 0]
    log_det = factor.diagonal(dim1=1, dim2=2).log().sum(1)
    return z, (free.square() - z.square()).sum(1) / 2 - log_det


class _Cloud:
    """Particles on their way: states, weights, and the path that each has come."""

    def __init__(self, x: Cells, log_h: Earlier, generator: torch.Generator) -> None:
        self.x, self.log_h, self.generator = x, log_h, generator
        self.log_w = log_h.clone()
        self.start = torch.arange(len(x))
        self.kept: list[Tensor] = []
        self.log_mean = 0.0

    def keep(self) -> None:
        """Keep the states of now as those of a requested time."""
        self.kept.append(self.x)

    def go(self, x: Cells, log_h: Earlier, gained: Earlier) -> None:
        """Move on, with weights for what the paths have become worth."""
        self.log_w = self.log_w + (log_h - self.log_h) + gained
        self.x, self.log_h = x, log_h

    def resample(self) -> None:
        """Draw particles by their weights, systematically, where few of them carry it all."""
        n = len(self.log_w)
        shares = torch.softmax(self.log_w, 0)
        if 1 / shares.square().sum() >= _ENOUGH * n:
            return
        self.log_mean += float(torch.logsumexp(self.log_w, 0)) - math.log(n)
        rows = systematic(shares, n, self.generator)
        self.x, self.log_h, self.start = self.x[rows], self.log_h[rows], self.start[rows]
        self.kept = [x[rows] for x in self.kept]
        self.log_w = torch.zeros_like(self.log_w)

    def total(self) -> tuple[Tensor, float]:
        """Return the shares of the paths, and the log of the mean weight."""
        if not bool(torch.isfinite(self.log_w).any()):
            return torch.zeros_like(self.log_w), -math.inf
        mean = float(torch.logsumexp(self.log_w, 0)) - math.log(len(self.log_w))
        return torch.softmax(self.log_w, 0), self.log_mean + mean
