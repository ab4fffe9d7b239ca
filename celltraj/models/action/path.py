r"""Find the path of least action between two states.

``S = 1/2 int sum_i ((x_i' - b_i) / s_i)^2 dt`` is what a path costs in the noise that it asks for:
``exp(-S)`` is how likely trajectories are to follow it as the noise becomes small (Freidlin and
Wentzell). Of all durations that of the geometric action is the cheapest (Heymann & Vanden-Eijnden):
against ``b = -grad U`` it climbs to the pass and costs ``2 (U_pass - U_start) / sigma^2``.

The path is refined from coarse to fine, each time by L-BFGS in variables in which the second
derivative of the kinetic part is one: iterations then do not grow with the number of points.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Cells
from celltraj.models.action.action import GeometricAction, Motion, TimedAction
from celltraj.models.action.options import LeastAction
from celltraj.models.jacobian.differentiable import is_differentiable
from celltraj.models.process import Process, breakpoints_of, span_of
from celltraj.models.solvers.solver import segments

_TRIED = 33  # points of a line that a law is tried at
_LEVELS = (4, 2, 1)  # how much coarser the grids are
_BENT = 0.25  # of the distance, how far a guess is bent
_MODES = 3
_SAME = 0.01  # relative difference of actions of one path
_RESTS = 0.5  # change of the drift from piece to piece, relative to the drift, at a rest point
_FLAT = 1e-3  # slope at which a search counts as ended, relative
_STEADY = 1e-6  # relative change of a law with time that is rounding


@card()
@dataclass(frozen=True)
class ActionPath:
    """Hold a path of least action.

    Parameters
    ----------
    times
        ``(n + 1,)`` times of its points, in the user's unit.
    x
        ``(n + 1, d)`` points, in [x].
    pieces
        ``(n,)`` action of each piece, without unit.
    error
        Estimate of what the action misses for the length of its pieces, without unit.
    duration
        Time that it takes, in [t]; infinite where it comes to rest on its way, as at a minimum or
        a pass of a potential: the times of points are then those of this grid.
    converged
        Whether the search ended where the action is flat.
    n_agreeing
        How many of the guesses ended in a path of this action, to a hundredth.
    """

    times: Tensor
    x: Cells
    pieces: Tensor
    error: float
    duration: float
    converged: bool
    n_agreeing: int

    @property
    def action(self) -> float:
        """The action, without unit."""
        return float(self.pieces.sum())

    @property
    def until(self) -> Tensor:
        """Action from the start until each point, ``(n + 1,)``, without unit."""
        return torch.cat([torch.zeros_like(self.pieces[:1]), self.pieces.cumsum(0)])


def least_action(
    process: Process,
    ends: tuple[Tensor, Tensor],
    times: tuple[float, float | None],
    options: LeastAction,
    *,
    generator: torch.Generator,
) -> ActionPath:
    """Return the path of least action from one state to another.

    Parameters
    ----------
    process
        Law of motion, with noise.
    ends
        The two states, ``(d,)`` each, in [x].
    times
        Times at which it begins and ends, in the user's unit; None for the duration that costs
        least, of a law that does not change with time.
    options
        How it is looked for.
    generator
        Bends guesses.

    Raises
    ------
    ValueError
        The two states are one, there is no noise on the way, the times are not in order, or the law
        changes with time and no time to end at is given.

    References
    ----------
    Freidlin & Wentzell, *Random perturbations of dynamical systems* (2012), chapter 3; Onsager &
    Machlup (1953); Heymann & Vanden-Eijnden, *The geometric minimum action method* (2008).

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import LeastAction, OrnsteinUhlenbeck
    >>> from celltraj.models.action.path import least_action
    >>> pull = OrnsteinUhlenbeck(matrix=-torch.eye(1), shift=torch.zeros(1), sigma=1.0)
    >>> ends = torch.zeros(1).double(), torch.ones(1).double()
    >>> path = least_action(pull, ends, (0.0, None), LeastAction(), generator=torch.Generator())
    >>> round(path.action, 3)  # twice the height of x^2 / 2
    1.0
    """
    times = (float(times[0]), None if times[1] is None else float(times[1]))
    line = _line(ends, torch.linspace(0, 1, _TRIED, dtype=torch.float64))
    is_autonomous = _checked(process, line, times)
    motion = Motion.of(process, times[0], line, is_autonomous=is_autonomous)
    if options.onsager_machlup:
        _check_correction(process, line, times)
    search = _Search.of(process, motion, line, times, options)
    coarse = [search.descend(0, x) for x in search.guesses(ends, options.n_starts, generator)]
    actions = [search.action(0, x) for x, _ in coarse]
    found, is_flat = coarse[actions.index(min(actions))]
    levels = [found]
    for k in range(1, len(_LEVELS)):
        found, is_flat = search.descend(k, _refined(found))
        levels.append(found)
    pieces = search.problem(-1).pieces(found).detach()
    return ActionPath(
        search.times(found),
        found,
        pieces,
        abs(search.action(-1, found) - search.action(-2, levels[-2])) / 3,
        search.duration(found),
        is_flat,
        sum(a <= min(actions) + _SAME * abs(min(actions)) for a in actions),
    )


@dataclass(frozen=True)
class _Search:
    """Descend on grids from coarse to fine.

    Parameters
    ----------
    motion
        Law of motion.
    span
        Time at which paths begin, and end; None for the best duration.
    grid
        ``(n + 1,)`` finest grid: times, or shares of the length.
    scale
        ``(d,)`` noise that variables are measured with, in [x]/sqrt([t]).
    stiffness
        Squared rate at which the drift changes along the line, in 1/[t]^2.
    options
        How paths are looked for.
    unit
        Action of the line at best speed, without unit.
    """

    motion: Motion
    span: tuple[float, float | None]
    grid: Tensor
    scale: Tensor
    stiffness: float
    options: LeastAction
    unit: float

    @classmethod
    def of(
        cls,
        process: Process,
        motion: Motion,
        line: Cells,
        span: tuple[float, float | None],
        options: LeastAction,
    ) -> _Search:
        """Return a search in the units of a law along the line between the ends."""
        with torch.no_grad():
            times = _spread(span, len(line))
            scale = motion.at(motion.noise, times, line).mean(0)
            drift = motion.at(motion.drift, times, line) / scale
            turned = drift.diff(dim=0).square().sum() / (line.diff(dim=0) / scale).square().sum()
            unit = float((line.diff(dim=0) / scale).norm(dim=1).sum() * drift.norm(dim=1).mean())
        grid = _grid(span, breakpoints_of(process), options.n_points)
        return cls(motion, span, grid, scale, float(turned), options, max(unit, 1e-6))

    def problem(self, level: int) -> TimedAction | GeometricAction:
        """Return what is minimised on one of the grids."""
        if self.span[1] is None:
            return GeometricAction(self.motion, self.span[0], self.unit)
        return TimedAction(self.motion, self._grid(level), self.options.onsager_machlup)

    def _grid(self, level: int) -> Tensor:
        return self.grid[:: _LEVELS[level]]

    def action(self, level: int, x: Cells) -> float:
        """Return the action of a path on one of the grids."""
        return float(self.problem(level).pieces(x).detach().sum())

    def guesses(
        self, ends: tuple[Tensor, Tensor], n: int, generator: torch.Generator
    ) -> list[Cells]:
        """Return the straight line, and lines that are bent at random, on the coarsest grid."""
        grid = self._grid(0)
        share = (grid - grid[0]) / (grid[-1] - grid[0])
        line = _line(ends, share)
        modes = torch.arange(1, _MODES + 1, dtype=torch.float64)
        waves = torch.sin(math.pi * modes * share[:, None]) / modes
        waves[[0, -1]] = 0.0
        distance = ((ends[1] - ends[0]) / self.scale).norm() / math.sqrt(len(self.scale))
        found = [line]
        for _ in range(n - 1):
            z = torch.randn(_MODES, len(self.scale), dtype=torch.float64, generator=generator)
            found.append(line + _BENT * distance * self.scale * (waves @ z))
        return found

    def descend(self, level: int, x: Cells) -> tuple[Cells, bool]:
        """Return the path of least action near ``x``, and whether the action is flat there."""
        problem, ways = self.problem(level), self._ways(level)
        shape = (len(x) - 2, x.shape[1])

        def path(flat: Tensor) -> Tensor:
            inner = x[1:-1] + ways @ flat.reshape(shape) * self.scale
            return torch.cat([x[:1], inner, x[-1:]])

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            u = torch.from_numpy(flat).requires_grad_()
            value = problem.loss(path(u))
            (slope,) = torch.autograd.grad(value, u)
            return value.item(), slope.numpy()

        n, size = self.options.max_iter, max(self.unit, 1.0)
        options = {"maxiter": n, "maxfun": 2 * n, "maxcor": 20, "ftol": 1e-13, "gtol": 1e-7 * size}
        start = np.zeros(shape[0] * shape[1])
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
        is_flat = bool(np.abs(found.jac).max() <= _FLAT * max(1.0, abs(float(found.fun))))
        return path(torch.from_numpy(found.x)).detach(), is_flat

    def _ways(self, level: int) -> Tensor:
        """Return the inverse root of the second derivative of the kinetic part, ``(m, m)``."""
        h = self._grid(level).diff()
        matrix = torch.diag(1 / h[1:] + 1 / h[:-1])
        beside = torch.arange(len(h) - 2)
        matrix[beside, beside + 1] = matrix[beside + 1, beside] = -1 / h[1:-1]
        if self.span[1] is not None:
            matrix += self.stiffness * torch.diag((h[1:] + h[:-1]) / 2)
        inverse: Tensor = torch.linalg.inv(torch.linalg.cholesky(matrix)).T
        return inverse

    def times(self, x: Cells) -> Tensor:
        """Return the times of the points of the finest path, ``(n + 1,)``."""
        problem = self.problem(-1)
        if isinstance(problem, TimedAction):
            return self.grid
        steps = problem.durations(x).cumsum(0)
        return self.span[0] + torch.cat([torch.zeros_like(steps[:1]), steps])

    def duration(self, x: Tensor) -> float:
        """Return how long the finest path takes; infinite where it meets a rest point."""
        problem = self.problem(-1)
        if isinstance(problem, TimedAction):
            return float(self.grid[-1] - self.grid[0])
        return math.inf if problem.rests(x, _RESTS) else float(problem.durations(x).sum())


def _line(ends: tuple[Tensor, Tensor], share: Tensor) -> Cells:
    # so that the ends are met exactly
    line = (1 - share)[:, None] * ends[0] + share[:, None] * ends[1]
    line[0], line[-1] = ends
    return line


def _refined(x: Cells) -> Tensor:
    """Return a path with a point in the middle of each piece."""
    found = torch.empty(2 * len(x) - 1, x.shape[1], dtype=x.dtype)
    found[::2], found[1::2] = x, (x[1:] + x[:-1]) / 2
    return found


def _spread(span: tuple[float, float | None], n: int) -> Tensor:
    """Return ``n`` times inside a span, none at its ends, where a drift may have no limit."""
    start, stop = span[0], span[0] if span[1] is None else span[1]
    return start + (stop - start) * (torch.arange(n, dtype=torch.float64) + 0.5) / n


def _grid(span: tuple[float, float | None], breakpoints: Sequence[float], n: int) -> Tensor:
    """Return ``n`` steps or some more, a multiple of four between breakpoints."""
    if span[1] is None:
        return torch.linspace(0, 1, 4 * math.ceil(n / 4) + 1, dtype=torch.float64)
    knots = segments((span[0], span[1]), breakpoints)
    parts = [torch.tensor([knots[0]], dtype=torch.float64)]
    for a, b in itertools.pairwise(knots):
        # two pieces on the coarsest grid, so that there is something to bend
        k = 4 * max(2, math.ceil(n * (b - a) / (knots[-1] - knots[0]) / 4))
        parts.append(torch.linspace(a, b, k + 1, dtype=torch.float64)[1:])
    return torch.cat(parts)


def _checked(process: Process, line: Cells, span: tuple[float, float | None]) -> bool:
    """Return whether a law is the same at all times.

    Raises
    ------
    ValueError
        It cannot be asked for a path between these ends and times.
    """
    start, stop = span
    if bool((line[0] == line[-1]).all()):
        raise ValueError("the path begins and ends in one state; choose another source or target")
    if stop is not None and not start < stop:
        raise ValueError(f"a path ends after it begins; found start={start:g} and stop={stop:g}")
    name = type(process).__name__
    times = _spread(span, 3)
    noise = torch.stack([process.diffusion(t, line) for t in times.tolist()])
    if not bool((noise > 0).all()):
        raise ValueError(
            f"an action is in units of noise, and {name} has none between the two states; of a "
            "flow pass model.with_noise(sigma), of a reference one with a sigma"
        )
    is_autonomous = not _changes(process, line, span)
    if stop is None and not is_autonomous:
        raise ValueError(
            f"{name} changes with time, so that there is no best duration: pass stop=, or a law "
            "without time such as bridge.reference"
        )
    return is_autonomous


def _changes(process: Process, line: Cells, span: tuple[float, float | None]) -> bool:
    """Return whether drift or noise along a line change with time."""
    first, last = span_of(process) or (span[0], span[0] + 10.0)
    if span[1] is not None:
        last = max(last, span[1])
    moments = first + (last - first) * torch.tensor([0.03, 0.41, 0.77], dtype=torch.float64)
    for law in (process.drift, process.diffusion):
        here, *others = (law(t, line).detach() for t in moments.tolist())
        size = here.abs().max().clamp(min=torch.finfo(here.dtype).tiny)
        if any(bool(((one - here).abs() > _STEADY * size).any()) for one in others):
            return True
    return False


def _check_correction(process: Process, line: Cells, span: tuple[float, float | None]) -> None:
    """Raise where half of the divergence cannot be added.

    Raises
    ------
    ValueError
        The duration is free, the noise depends on the state, or torch does not know the slope.
    """
    t = float(_spread(span, 1))
    noise = process.diffusion(t, line)
    if span[1] is None or not bool((noise == noise[:1]).all()):
        raise ValueError(
            "onsager_machlup= is for a fixed duration, stop=, and noise that is the same everywhere"
        )
    drift = process.drift(t, line.clone().requires_grad_())
    if drift.requires_grad and not is_differentiable(process.drift, t, line):
        raise ValueError(
            f"onsager_machlup= needs the second derivative of the drift, which "
            f"{type(process).__name__} does not compute with torch"
        )
