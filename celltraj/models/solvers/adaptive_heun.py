"""Adaptive steps of an SDE."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._checks import check_at_least, checked_fields
from celltraj._typing import Cells, States
from celltraj.models.solvers.noise import normal_like
from celltraj.models.solvers.solver import (
    Equation,
    after,
    check_positive,
    progress_bar,
    segments,
)

_FIRST = 2  # halvings of an interval before the first try: a slope may vanish where it begins
_SAFETY = 0.9
_GROWTH = 4.0  # the most that a step is expected to outgrow the one before
_EARLY, _LATE = 0.25, 0.75  # of a step, where its slopes are taken


@checked_fields
@dataclass(frozen=True)
class AdaptiveHeun:
    r"""Heun's method in steps that an estimate of their error chooses, for SDEs and ODEs.

    ``x' = x + h (v(t + h/4, x) + v(t + 3h/4, y))/2 + s dW + m`` with the Euler step
    ``y = x + h v(t + h/4, x) + s dW``, ``s = noise(t, x)``, and Milstein's correction without
    derivatives, ``m = (s(x + h v + s sqrt(h)) - s) (dW^2 - h) / (2 sqrt(h))``, which vanishes where
    noise is the same everywhere. What they differ by from each other, ``x' - y``, estimates the
    error; every cell takes the same steps. Strong order 1 in the noise, second order without. A
    noise may depend on its own variable.

    A step that is refused does not bias the noise: steps are halves of halves of the interval
    between two times of the result or breakpoints, and what the Brownian motion does over an
    interval is drawn before it is tried and kept when it is halved, the value in its middle being
    drawn given those at its ends (Brownian bridge). All that a choice of steps has seen so stays
    part of the path.

    Parameters
    ----------
    rtol, atol
        Tolerances of a step, relative and in the unit of the state: root mean square over cells
        and variables.
    max_halvings
        How often an interval is halved at most (count).

    Raises
    ------
    ValueError
        A tolerance is not positive and finite; on the way, a step becomes too short.

    References
    ----------
    Gaines & Lyons, *Variable step size control in the numerical solution of stochastic differential
    equations* (1997), on halves of Brownian paths; Kloeden & Platen, *Numerical solution of
    stochastic differential equations* (1992), section 11.1, on the correction.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import AdaptiveHeun, OrnsteinUhlenbeck, simulate
    >>> pull = OrnsteinUhlenbeck(matrix=-torch.eye(1), shift=torch.zeros(1), sigma=0.1)
    >>> path = simulate(
    ...     pull, torch.ones(100, 1), (0.0, 1.0), solver=AdaptiveHeun(),
    ...     generator=torch.Generator().manual_seed(0),
    ... )
    >>> bool((path.x[-1].mean() - 0.3679).abs() < 0.03)
    True
    """

    rtol: float = 1e-2
    atol: float = 1e-3
    max_halvings: int = 40

    def __post_init__(self) -> None:
        check_positive(rtol=self.rtol, atol=self.atol)
        check_at_least(_FIRST, max_halvings=self.max_halvings)

    def __call__(
        self,
        equation: Equation,
        x0: Cells,
        times: Sequence[float],
        *,
        generator: torch.Generator,
        progress: bool = False,
    ) -> States:
        """Return the states ``(T, n, d)`` at ``times``."""
        knots, states = segments(times, equation.breakpoints), {times[0]: x0}
        x, expected = x0, math.inf
        with progress_bar(len(knots) - 1, progress=progress) as bar:
            for start, stop in itertools.pairwise(knots):
                whole = _Interval.of(start, stop, x, equation, generator)
                x, expected = self._over(whole, x, expected, equation, generator)
                states[stop] = x
                bar.update()
        return torch.stack([states[t] for t in times])

    def _over(
        self,
        whole: _Interval,
        x: Cells,
        expected: float,
        equation: Equation,
        generator: torch.Generator,
    ) -> tuple[Cells, float]:
        """Return the state at the end of an interval, and the step that is expected to do next."""
        left = [whole]  # what is still to be gone through, the next one last
        while left:
            one = left.pop()
            x_next, error = x, math.inf
            # one that is much longer than the last good step is not even tried
            if one.level >= _FIRST and one.length <= expected:
                x_next, error = self._tried(one, x, equation)
            if error <= 1:
                x = x_next
                expected = one.length * min(_GROWTH, _SAFETY / math.sqrt(max(error, 1e-12)))
                # a step is a power of a half: one that hardly does is worth a try
                expected *= math.sqrt(2)
                continue
            if one.level >= self.max_halvings:
                raise ValueError(
                    f"the step of AdaptiveHeun from {one.start:g} to {one.stop:g} is still "
                    f"{error:.2g} times its tolerance; raise rtol, atol or max_halvings, or choose "
                    "another solver="
                )
            if math.isfinite(error):
                expected = one.length * max(0.1, _SAFETY / math.sqrt(error)) * math.sqrt(2)
            left += one.halves(generator, dim=equation.dim(x))[::-1]
        return x, expected

    def _tried(self, one: _Interval, x: Cells, equation: Equation) -> tuple[Cells, float]:
        """Return the state after one step, and its error in units of the tolerance."""
        start, h = one.start, one.stop - one.start
        slope = equation.velocity(start + _EARLY * h, x)
        euler = x + h * slope
        noisy, correction = euler, torch.zeros_like(x)
        if one.increment is not None and equation.noise is not None:
            inside, root = after(one.start, one.stop), math.sqrt(abs(h))
            noise = equation.noise(inside, x)
            noisy = euler + noise * one.increment
            change = equation.noise(inside, euler + root * noise) - noise
            correction = change * (one.increment.square() - abs(h)) / (2 * root)
        curved = h / 2 * (equation.velocity(start + _LATE * h, noisy) - slope) + correction
        found = noisy + curved
        size = self.atol + self.rtol * torch.maximum(x.abs(), found.abs())
        d = equation.dim(x)
        error = float((curved / size)[:, :d].double().square().mean().sqrt())
        return found, error if math.isfinite(error) else math.inf


@dataclass(frozen=True)
class _Interval:
    """Hold an interval of time and what the Brownian motion does over it.

    Parameters
    ----------
    start, stop
        Its ends, in the user's unit.
    increment
        ``(n, d)``, in sqrt([t]), zero in columns that gather integrals; None for an ODE.
    level
        How often an interval between times was halved for it.
    """

    start: float
    stop: float
    increment: Tensor | None
    level: int

    @classmethod
    def of(
        cls, start: float, stop: float, x: Cells, equation: Equation, generator: torch.Generator
    ) -> _Interval:
        """Return an interval between times, with its increment drawn."""
        if equation.noise is None:
            return cls(start, stop, None, 0)
        z = normal_like(x, generator)
        z[:, equation.dim(x) :] = 0
        return cls(start, stop, math.sqrt(abs(stop - start)) * z, 0)

    @property
    def length(self) -> float:
        """Its length, in [t]."""
        return abs(self.stop - self.start)

    def halves(self, generator: torch.Generator, *, dim: int) -> list[_Interval]:
        """Return its two halves: what the Brownian motion does in the middle is drawn given all."""
        middle = (self.start + self.stop) / 2
        if self.increment is None:
            first = second = None
        else:
            z = normal_like(self.increment, generator)
            z[:, dim:] = 0
            first = self.increment / 2 + math.sqrt(self.length) / 2 * z
            second = self.increment - first
        return [
            _Interval(self.start, middle, first, self.level + 1),
            _Interval(middle, self.stop, second, self.level + 1),
        ]
