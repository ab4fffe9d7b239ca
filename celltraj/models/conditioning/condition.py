r"""Conditioned paths of any law of motion.

``e^{r(X_T)} dP / Z``: the paths that a law of motion takes, weighed by what becomes of them. How
they are steered and weighed stands in :mod:`celltraj.models.conditioning.particles`, what they are
steered by in ``gaussian`` and ``logistic``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from scipy.stats import beta

from celltraj._arrays import takes_arrays
from celltraj._card import card
from celltraj._typing import Cells
from celltraj.models.conditioning.gaussian import AffineEnds, FittedEnds, GaussianLookAhead
from celltraj.models.conditioning.group_reward import GroupReward
from celltraj.models.conditioning.learned import learned_paths
from celltraj.models.conditioning.look_ahead import Blind, LookAhead
from celltraj.models.conditioning.particles import Weighted, weighted_paths
from celltraj.models.conditioning.pilot import Pilot, pilot_paths
from celltraj.models.conditioning.reward import Reward
from celltraj.models.conditioning.steps import steps_of
from celltraj.models.process import Affine, Bounded, Process, breakpoints_of, is_growing
from celltraj.models.solvers.solver import step_grid

_BOUND = 0.95  # level of the bound of a probability that nothing was seen of


@card()
@dataclass(frozen=True, eq=False)
class Conditioned:
    """Hold conditioned paths, and how likely they are.

    Parameters
    ----------
    paths
        Weighted paths.
    look_ahead
        What they were steered by.
    log_total
        Log of the mean mass at the last time, without condition; 0 without growth.
    error_total
        Its standard error, where it comes from other paths than the weighted ones.
    n_pilot
        Unsteered paths that were simulated before; 0 where none was needed.
    n_reached
        How many of them met the condition, their shares summed.
    outside
        Share of the states, by the weight of their paths, that lie outside the data of the model,
        where it knows them; NaN where it does not.
    """

    paths: Weighted
    look_ahead: str
    log_total: float = 0.0
    error_total: float = 0.0
    n_pilot: int = 0
    n_reached: float = 0.0
    outside: float = math.nan

    @property
    def is_reached(self) -> bool:
        """Whether any path met the condition."""
        return math.isfinite(self.paths.log_mean)

    @property
    def log_probability(self) -> float:
        """Log of the mean of ``e^r`` over the population at the last time.

        Where no path met the condition an upper bound, from how many unsteered ones there were.
        """
        if self.is_reached:
            return self.paths.log_mean - self.log_total
        met = min(self.n_reached, self.n_pilot)
        return float(math.log(beta.ppf(_BOUND, met + 1, max(self.n_pilot - met, 1))))

    @property
    def error(self) -> float:
        """Standard error of ``log_probability``; infinite where that is a bound."""
        return math.hypot(self.paths.error, self.error_total)

    def row(self) -> dict[str, float | int | bool | str]:
        """Return what is to be known of the paths as one row of a table."""
        return {
            "log_probability": self.log_probability,
            "error": self.error,
            "is_bound": not self.is_reached,
            "effective": self.paths.effective,
            "n_ancestors": self.paths.n_ancestors,
            "n_pilot": self.n_pilot,
            "n_reached": self.n_reached,
            "log_mass": self.log_total,
            "look_ahead": self.look_ahead,
            "outside": self.outside,
        }


@takes_arrays
def condition(
    process: Process,
    x0: Cells,
    times: Sequence[float],
    *,
    reward: Reward | None,
    look_ahead: LookAhead | None = None,
    n_steps: int = 50,
    generator: torch.Generator,
    progress: bool = False,
) -> Conditioned:
    r"""Condition the paths of a process on what becomes of them.

    Particles follow ``dX = (b + sigma^2 grad log h) dt + sigma dW`` and carry the weights that make
    up for it, so that they follow ``e^{r(X_T) + int growth} dP / Z`` whatever the estimate ``h`` of
    ``E[e^{r(X_T)} | X_t]``. They are resampled where fewer than half are effective. For an affine
    process and a linear or quadratic reward ``h`` is exact (Doob's transform), and weights are
    equal.

    Parameters
    ----------
    process
        Law of motion, with noise.
    x0
        ``(n, d)`` particles at ``times[0]``, in [x].
    times
        Increasing times, in the user's unit.
    reward
        Log weight of the last state: :class:`celltraj.models.LinearReward`,
        :class:`celltraj.models.QuadraticReward`, or a :class:`celltraj.models.Reward` of your own;
        None conditions on nothing, so that particles are resampled by their growth alone.
    look_ahead
        Estimate of what a path is worth, ``look_ahead(t, x) -> Worth``; by default of a normal law
        of the last state, for a group by logistic regression on unsteered paths.
    n_steps
        Steps between neighbouring breakpoints.
    generator
        Source of randomness.
    progress
        Whether to show progress bars.

    Returns
    -------
    Weighted paths and the log of the mean of ``e^r``.

    Raises
    ------
    ValueError
        Fewer than two times or times that do not increase, a process without noise, a reward of
        another number of variables, or paths that leave the finite numbers.

    References
    ----------
    Doob, *Conditional Brownian motion and the boundary limits of harmonic functions* (1957);
    Del Moral, *Feynman-Kac formulae* (2004).

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import Brownian, LinearReward, condition
    >>> found = condition(
    ...     Brownian(1.0), torch.zeros(100, 1), (0.0, 1.0), reward=LinearReward([3.0]),
    ...     generator=torch.Generator().manual_seed(0),
    ... )
    >>> round(found.log_probability, 6)  # log E exp(3 X) = 9 / 2
    4.5
    """
    times = tuple(float(t) for t in times)
    x0 = x0.double()
    _check(process, x0, times, reward)
    grid = step_grid(times, breakpoints_of(process), n_steps)
    steps = steps_of(process)
    pilot, n_reached, learned = None, 0.0, None
    with torch.no_grad():
        if _needs_pilot(process, reward, look_ahead):
            pilot = pilot_paths(steps, x0, grid, generator=generator, progress=progress)
        if pilot is not None and isinstance(reward, GroupReward):
            n_reached = float(reward(pilot.end).exp().sum())
            if look_ahead is None:
                learned = learned_paths(
                    steps, reward, x0, grid, pilot, generator=generator, progress=progress
                )
        look: LookAhead
        if learned is not None:
            look, paths = learned
        else:
            look = look_ahead or _look(process, reward, times[-1], pilot)
            paths = weighted_paths(
                steps, look, reward, x0, grid, generator=generator, progress=progress
            )
    paths = paths.at(times)
    return Conditioned(
        paths,
        type(look).__name__,
        _log_total(paths, reward, pilot),
        0.0 if pilot is None else pilot.error,
        0 if pilot is None else len(x0),
        n_reached,
        _outside(process, paths),
    )


def _needs_pilot(process: Process, reward: Reward | None, look: LookAhead | None) -> bool:
    """Whether unsteered paths are needed: to learn from, or to know the mean mass."""
    if reward is None:
        return False
    if is_growing(process) or isinstance(reward, GroupReward):
        return True
    return look is None and not isinstance(process, Affine)


def _look(process: Process, reward: Reward | None, stop: float, pilot: Pilot | None) -> LookAhead:
    """Return the usual estimate of what a path is worth."""
    if reward is None:
        return Blind()
    if isinstance(process, Affine) and not is_growing(process):
        return GaussianLookAhead(reward, AffineEnds(process, stop))
    return GaussianLookAhead(reward, FittedEnds.of(pilot)) if pilot is not None else Blind()


def _log_total(paths: Weighted, reward: Reward | None, pilot: Pilot | None) -> float:
    """Return the log of the mean mass at the last time, without condition."""
    if reward is None:
        return paths.log_mean
    return 0.0 if pilot is None else pilot.log_total


def _outside(process: Process, paths: Weighted) -> float:
    """Return the share of the weight of states that lie outside the data of a process."""
    if not isinstance(process, Bounded) or not paths.weights.any():
        return math.nan
    shares = [
        float(paths.weights @ process.outside(t, x).to(paths.weights))
        for t, x in zip(paths.times, paths.x, strict=True)
    ]
    return sum(shares) / len(shares)


def _check(process: Process, x0: Cells, times: tuple[float, ...], reward: Reward | None) -> None:
    if len(times) < 2 or any(b <= a for a, b in pairwise(times)):
        raise ValueError(
            f"times must hold two or more values that increase; found {list(times)}. What led to "
            "cells backwards in time is asked by the times before them, as start"
        )
    if not bool(process.diffusion(times[0], x0[:1]).any()):
        raise ValueError(
            f"{type(process).__name__} has no noise, and without it each cell has one path, which "
            "nothing can steer. Give a flow some, flow.with_noise(...); or simulate it and keep "
            "the paths that end as asked"
        )
    if reward is not None:
        try:
            shape = reward(x0[:1]).shape
        except (RuntimeError, ValueError) as error:
            raise ValueError(
                f"{type(reward).__name__} does not take states of {x0.shape[1]} variables: {error}"
            ) from error
        if shape != (1,):
            raise ValueError(
                f"{type(reward).__name__} must return a number for each state; found shape "
                f"{tuple(shape)} for one"
            )
