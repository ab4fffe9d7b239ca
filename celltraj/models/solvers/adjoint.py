r"""Adaptive integration of an ODE that can be differentiated, in memory that does not grow with it.

The gradient is that of the steps that were taken, exact to rounding and not of another equation
that is integrated backwards: those are run again, from states that are kept on the way. Only
``n_kept`` states are kept at a time. When a stretch of steps is led back, its middle is run to
again and kept in the place of a later one that is done with (binomial checkpointing), so that
memory is that of ``n_kept`` states and of one step, at the price of running most steps a few times.
The lengths of steps count as given. Griewank & Walther, *Algorithm 799: revolve* (2000); Gholami et
al., *ANODE* (2019), on why not to integrate the state backwards.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from scipy.integrate import RK45
from torch import Tensor

from celltraj._checks import check_at_least
from celltraj.models.solvers.solver import Law, after, check_positive, segments

_SAFETY, _LEAST, _MOST = 0.9, 0.2, 10.0  # of the next step, in units of the last
_FIRST = 0.01  # of an interval: the first step where nothing is known
_ORDER = 5
_SHORTEST = 1e-12  # relative to the interval
_A, _B, _C, _E = (tuple(map(tuple, RK45.A)), tuple(RK45.B), tuple(RK45.C), tuple(RK45.E))


@dataclass(frozen=True)
class AdjointOptions:
    """Say how an ODE is integrated whose end is differentiated.

    Parameters
    ----------
    rtol, atol
        Tolerances of a step, relative and in the unit of the state: root mean square over all.
    n_kept
        States that are kept for the gradient at a time (count).
    max_steps
        Most steps that are tried (count).

    Raises
    ------
    ValueError
        A tolerance is not positive and finite, or a count too small.
    """

    rtol: float = 1e-5
    atol: float = 1e-7
    n_kept: int = 8
    max_steps: int = 10_000

    def __post_init__(self) -> None:
        check_positive(rtol=self.rtol, atol=self.atol)
        check_at_least(1, n_kept=self.n_kept, max_steps=self.max_steps)


def integrate_with_gradient(
    velocity: Law,
    x0: Tensor,
    times: tuple[float, float],
    parameters: Sequence[Tensor],
    options: AdjointOptions | None = None,
    *,
    breakpoints: Sequence[float] = (),
) -> Tensor:
    """Return the state at the second time, differentiable in ``x0`` and ``parameters``.

    By Dormand and Prince, in steps that an estimate of their error chooses for all states together.

    Parameters
    ----------
    velocity
        ``velocity(t, x)`` of the shape of ``x``, computed with torch, per unit of time.
    x0
        State at the first time, of any shape.
    times
        First and last time, in either order, in the user's unit.
    parameters
        What ``velocity`` depends on and is differentiated by, such as the weights of a network.
    options
        Tolerances, and how much is kept.
    breakpoints
        Times at which the velocity has a kink; no step crosses one.

    Returns
    -------
    The state, of the shape of ``x0``.

    Raises
    ------
    ValueError
        The two times are one, the solution leaves the finite numbers, or steps become too short or
        too many.

    References
    ----------
    Dormand & Prince (1980); Griewank & Walther (2000).

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.solvers.adjoint import integrate_with_gradient
    >>> rate = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    >>> x0 = torch.ones(1, dtype=torch.float64)
    >>> end = integrate_with_gradient(lambda t, x: -rate * x, x0, (0.0, 2.0), [rate])
    >>> end.sum().backward()
    >>> rate.grad.round(decimals=2)  # -2 exp(-1)
    tensor(-0.7400, dtype=torch.float64)
    """
    if times[0] == times[1]:
        raise ValueError(f"the times of an ODE differ; found {times[0]:g} twice")
    knots = segments(times, breakpoints)
    call = _Call(velocity, knots, AdjointOptions() if options is None else options)
    found: Tensor = cast("Any", _Integrated).apply(call, x0, *parameters)
    return found


@dataclass(frozen=True)
class _Call:
    """Hold what an integration is told besides tensors."""

    velocity: Law
    knots: tuple[float, ...]
    options: AdjointOptions

    def step(self, start: float, stop: float, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the state after a step of Dormand and Prince, and its error estimate."""
        h, slopes = stop - start, self._slopes(start, stop, x)
        found = x + h * _sum(_B, slopes)
        slopes.append(self.velocity(after(stop, start), found))
        return found, h * _sum(_E, slopes)

    def moved(self, start: float, stop: float, x: Tensor) -> Tensor:
        """Return the state after a step, without its error."""
        return x + (stop - start) * _sum(_B, self._slopes(start, stop, x))

    def _slopes(self, start: float, stop: float, x: Tensor) -> list[Tensor]:
        """Return the slopes of a step, all taken inside it: at its ends a velocity may jump."""
        h, slopes = stop - start, [self.velocity(after(start, stop), x)]
        for c, row in zip(_C[1:], _A[1:], strict=True):
            t = after(stop, start) if c == 1 else start + c * h
            slopes.append(self.velocity(t, x + h * _sum(row, slopes)))
        return slopes

    def walk(self, x: Tensor) -> tuple[Tensor, list[float]]:
        """Return the state at the last time, and the times of all steps."""
        grid, h, n = [self.knots[0]], None, 0
        for start, stop in itertools.pairwise(self.knots):
            span, t = stop - start, start
            h = _FIRST * span if h is None else math.copysign(min(abs(h), abs(span)), span)
            while t != stop:
                t_next = stop if abs(t + h - start) >= abs(span) * (1 - 1e-10) else t + h
                found, missed = self.step(t, t_next, x)
                error = self._size(missed, x, found)
                n += 1
                self._check(n, t, h, span, error)
                scale = _SAFETY * max(error, 1e-10) ** (-1 / _ORDER)
                if error <= 1:
                    x, t = found, t_next
                    grid.append(t)
                h *= min(_MOST, max(_LEAST, scale)) if error <= 1 else max(_LEAST, min(scale, 1.0))
        return x, grid

    def _size(self, missed: Tensor, x: Tensor, found: Tensor) -> float:
        allowed = self.options.atol + self.options.rtol * torch.maximum(x.abs(), found.abs())
        error = float((missed / allowed).double().square().mean().sqrt())
        return error if math.isfinite(error) else math.inf

    def _check(self, n: int, t: float, h: float, span: float, error: float) -> None:
        """Raise where an integration does not come to its end.

        Raises
        ------
        ValueError
            It does not.
        """
        if n > self.options.max_steps:
            raise ValueError(
                f"the ODE took {n - 1} steps until time {t:g}; raise max_steps or rtol"
            )
        if error > 1 and abs(h) < _SHORTEST * abs(span):
            raise ValueError(
                f"the ODE could not be integrated at time {t:g}: a step of {abs(h):.2g} is still "
                f"{error:.2g} times its tolerance"
            )


class _Integrated(torch.autograd.Function):
    """Integrate without a graph, and lead gradients back step by step."""

    @staticmethod
    def forward(ctx: Any, call: _Call, x0: Tensor, *parameters: Tensor) -> Tensor:
        end, ctx.grid = call.walk(x0.detach())
        ctx.call = call
        ctx.save_for_backward(x0, *parameters)
        return end

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        x0, *parameters = ctx.saved_tensors
        back = _Back(ctx.call, ctx.grid, [p for p in parameters if p.requires_grad])
        slope = back.over(0, len(ctx.grid) - 1, x0.detach(), slopes[0], ctx.call.options.n_kept)
        sums = iter(back.sums)
        found = [next(sums) if p.requires_grad else None for p in parameters]
        return None, slope, *found


class _Back:
    """Lead a gradient back over steps; sums of those by parameters gather in ``sums``."""

    def __init__(self, call: _Call, grid: list[float], parameters: list[Tensor]) -> None:
        self.call, self.grid, self.parameters = call, grid, parameters
        self.sums = [torch.zeros_like(p) for p in parameters]

    def over(self, first: int, last: int, x: Tensor, slope: Tensor, n_kept: int) -> Tensor:
        """Return the gradient at point ``first`` from that at ``last``, with ``x`` at ``first``."""
        while last > first:
            if last == first + 1:
                return self._step(first, x, slope)
            middle = last - 1 if n_kept < 1 else self._middle(first, last, n_kept)
            state = x
            with torch.no_grad():
                for k in range(first, middle):
                    state = self.call.moved(self.grid[k], self.grid[k + 1], state)
            slope = self.over(middle, last, state, slope, n_kept - 1)
            last = middle
        return slope

    @staticmethod
    def _middle(first: int, last: int, n_kept: int) -> int:
        """Return the point to keep: so that what follows is led back with one place less."""
        n = last - first
        repeats = 1
        while math.comb(n_kept + 1 + repeats, repeats) < n:
            repeats += 1
        ahead = math.comb(n_kept + repeats, repeats)  # steps that the places left can lead back
        return first + max(1, n - min(ahead, n - 1))

    def _step(self, k: int, x: Tensor, slope: Tensor) -> Tensor:
        """Return the gradient before one step, whose graph lives no longer than this."""
        with torch.enable_grad():
            point = x.detach().requires_grad_()
            found = self.call.moved(self.grid[k], self.grid[k + 1], point)
            first, *others = torch.autograd.grad(
                found, (point, *self.parameters), slope, allow_unused=True
            )
        for total, one in zip(self.sums, others, strict=True):
            if one is not None:
                total += one
        return torch.zeros_like(x) if first is None else first


def _sum(weights: Sequence[float], slopes: list[Tensor]) -> Tensor:
    """Return the weighted sum of as many slopes as there are, from the first weight on."""
    total = torch.zeros_like(slopes[0])
    for weight, slope in zip(weights, slopes, strict=False):
        if weight:
            total = total + weight * slope
    return total
