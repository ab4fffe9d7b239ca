r"""Whether steps are short enough for a law, and which solver to take by itself.

A step ``h`` of a rule such as the midpoint's follows ``x' = l x`` only while ``|l h|`` is about 1;
beyond 2 a pull becomes a push, and a simulation can reach any number without being infinite. Two
things tell, at no evaluation of the law:

- the first two slopes of a simulation, ``z = h |v(y) - v(x)| / |y - x|``;
- how far states get from where they began, in widths of the data.

Only where one of them is suspicious, the motion without noise of a few cells is followed by as many
steps and by twice as many. A law that really grows leads both to the same place.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from celltraj._typing import Cells, States
from celltraj.models.process import Affine, Process, breakpoints_of, reference_of
from celltraj.models.solvers import (
    Equation,
    ExponentialEuler,
    ExponentialMidpoint,
    Midpoint,
    SdeSolver,
)
from celltraj.models.solvers.solver import after, step_grid

_MILD = 0.1  # pull times longest step up to which the midpoint rule follows an affine law
_STEEP = (
    1.0  # change of the slope over a step, relative to the state's, that asks for a closer look
)
_FAR = 1e3  # widths of the data
_APART, _LOST = 0.5, 10.0  # distance of the two ends, relative, to warn of and to refuse
_FEW = 8  # cells that are followed twice
_FLOOR = 0.3  # of the mean displacement: a variable that hardly moves tells nothing of its slope
logger = logging.getLogger("celltraj")


def usual_solver(
    process: Process, x0: Cells, times: Sequence[float], *, ode: bool = False, n_steps: int = 50
) -> SdeSolver:
    """Return the solver to take where none is chosen.

    The midpoint rule; the exponential one for a forward SDE whose law, or whose reference, is
    affine with a pull that the steps of the midpoint rule are too long for.

    Parameters
    ----------
    process
        Law of motion.
    x0
        ``(n, d)`` states at the first time.
    times
        Monotone times, in the user's unit.
    ode
        Whether the probability flow is followed.
    n_steps
        Steps between neighbouring breakpoints.
    """
    usual = Midpoint(n_steps=n_steps)
    reference = reference_of(process)
    # backwards the pull of a reference is a push, against which the rest of the velocity works
    if ode or times[-1] < times[0] or not isinstance(reference, Affine) or reference.sigma is None:
        return usual
    noise = process.diffusion(after(times[0], times[-1]), x0)
    if not torch.allclose(noise, torch.full_like(noise, reference.sigma), rtol=1e-5, atol=0):
        return usual
    matrix, _ = reference.affine(x0.shape[1])
    longest = max(_steps(process, times, n_steps))
    is_stiff = float(torch.linalg.matrix_norm(matrix, 2)) * longest > _MILD
    return ExponentialMidpoint(reference, n_steps) if is_stiff else usual


@dataclass
class Watch:
    """Stand in for the velocity of one simulation, and judge what became of it.

    Parameters
    ----------
    equation
        What is integrated.
    solver
        How.
    times
        Times of the result.
    motion
        The same without what is gathered along paths, where a part of them is followed again.
    n_calls
        Evaluations of the velocity until now.
    """

    equation: Equation
    solver: SdeSolver
    times: tuple[float, ...]
    motion: Equation
    n_calls: int = 0
    _slopes: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    @property
    def watched(self) -> Equation:
        """Return the equation to hand to the solver."""
        return replace(self.equation, velocity=self._velocity)

    def _velocity(self, t: float, x: Tensor) -> Tensor:
        self.n_calls += 1
        v = self.equation.velocity(t, x)
        if len(self._slopes) < 2:
            self._slopes.append((x, v))
        return v

    def check(self, z: States) -> None:
        """Raise, or warn, where the states ``(T, n, d)`` at the times are not the equation's.

        Raises
        ------
        ValueError
            They are not finite, or far from where shorter steps lead.
        """
        finite = torch.isfinite(z).flatten(1).all(1)
        if not bool(finite.all()):
            at = self.times[int((~finite).nonzero()[0])]
            raise ValueError(f"{self._name} became non-finite by time {at:g}; {self._remedy}")
        reach = ((z - z[0]).abs() / self._width(z[0]))[..., : self.equation.dim(z[0])].amax(2)
        far = next((k for k, r in enumerate(reach.amax(1).tolist()) if r > _FAR), None)
        if far is None and self._steepness <= _STEEP:
            return
        apart = self._apart(z, reach, far)
        place = (
            ""
            if far is None
            else f" lies {float(reach[far].max()):.2g} widths of the data "
            + (f"from its start by time {self.times[far]:g}, and")
        )
        if apart > (_LOST if far is None else _APART):
            raise ValueError(
                f"{self._name}{place} leads elsewhere than steps half as long: the law is stiff "
                f"for its steps; {self._remedy}"
            )
        if apart > _APART:
            logger.warning(
                "%s leads elsewhere than steps half as long, by %.2g of the way: the law is stiff "
                "for its steps; %s",
                self._name,
                apart,
                self._remedy,
            )
        elif far is not None:
            logger.warning("%s%s does so in shorter steps: the law leads there", self._name, place)

    @property
    def _name(self) -> str:
        name = f"{type(self.solver).__name__}({'' if self._n is None else f'n_steps={self._n}'})"
        return f"the simulation from {self.times[0]:g} to {self.times[-1]:g} by {name}"

    @property
    def _remedy(self) -> str:
        if self._n is None:
            return "choose another solver="
        z, about = self._steepness, ""
        if _STEEP < z < math.inf:
            about = f", to about {math.ceil(2 * z * self._n)}"
        also = (
            ""
            if self._is_exponential
            else (
                "; where its pull is that of an affine reference, such as OrnsteinUhlenbeck, pass "
                "solver=ct.models.ExponentialMidpoint(reference)"
            )
        )
        return f"raise n_steps of the solver{about}{also}"

    @property
    def _n(self) -> int | None:
        """Return the number of steps between breakpoints, None for a solver without one."""
        n = getattr(self.solver, "n_steps", None)
        return n if is_dataclass(self.solver) and isinstance(n, int) else None

    @property
    def _is_exponential(self) -> bool:
        return isinstance(self.solver, ExponentialEuler | ExponentialMidpoint)

    @property
    def _steepness(self) -> float:
        """Return ``h |v(y) - v(x)| / |y - x|`` of the first step, greatest over variables."""
        if self._n is None or len(self._slopes) < 2:
            return 0.0
        pairs = zip(*self._slopes, strict=True)
        moved, turned = ((b - a)[:, : self.equation.dim(a)].double() for a, b in pairs)
        if self._is_exponential:  # of what is stepped beside the pull that is known
            matrix, _ = cast("Any", self.solver).reference.affine(moved.shape[1])
            turned = turned - moved @ matrix.T
        moved, turned = (part.square().mean(0).sqrt() for part in (moved, turned))
        least = float(_FLOOR * moved.square().mean().sqrt())
        if not least > 0:
            return 0.0
        grid = self._grid
        return abs(grid[1] - grid[0]) * float((turned / moved.clamp(min=least)).max())

    @property
    def _grid(self) -> tuple[float, ...]:
        return step_grid(self.times, self.equation.breakpoints, self._n or 1).times

    def _width(self, x0: Cells) -> Tensor:
        """Return what each variable may be expected to span: its cells, noise and first motion."""
        duration = abs(self.times[-1] - self.times[0])
        width = x0.amax(0) - x0.amin(0)
        if self._slopes:
            width = width + self._slopes[0][1].abs().amax(0) * duration
        if self.equation.noise is not None:
            start = after(self.times[0], self.times[1])
            noise = self.equation.noise(start, x0[:_FEW]).abs().amax(0)
            width = width + noise * math.sqrt(duration)
        return width.clamp(min=torch.finfo(x0.dtype).tiny)

    def _apart(self, z: States, reach: Tensor, far: int | None) -> float:
        """Return how far apart steps and half steps lead without noise, relative to their way."""
        if self._n is None:
            return 0.0
        n, d = len(z[0]), self.equation.dim(z[0])
        width = self._width(z[0])[:d]
        if far is None:
            rows = torch.linspace(0, n - 1, min(_FEW, n)).long()
        else:
            rows = reach[far].topk(min(_FEW, n)).indices
        start, both = z[0][rows], (self._n, 2 * self._n)
        ends = [self._motion(k, z[0], self.times, rows)[1:] for k in both]
        apart = _distances(start[:, :d], ends, width, least=1.0)
        if far is None:
            return float(apart.median(1).values.max())
        steps = itertools.pairwise(self._grid)
        span = sorted(self.times[far - 1 : far + 1])
        inside = [step for step in steps if span[0] <= min(step) and max(step) <= span[1]]
        longest = max(inside, key=lambda step: abs(step[1] - step[0]))
        there = z[far][rows]
        ends = [self._motion(k, z[far], longest, rows)[1:] for k in (1, 2)]
        nearby = _distances(there[:, :d], ends, width, least=0.0)
        return float(torch.cat([apart[:far], nearby]).max())

    def _motion(self, n_steps: int, x: Cells, times: tuple[float, ...], rows: Tensor) -> Tensor:
        """Return the states ``(T, k, d)`` of some rows without noise and corrections."""
        changes = {"n_steps": n_steps}
        if hasattr(self.solver, "n_corrections"):
            changes["n_corrections"] = 0
        solver = cast("SdeSolver", replace(cast("Any", self.solver), **changes))
        plain, x = replace(self.motion, noise=None), x[:, : self.equation.dim(x)]
        of_all = self.equation.knows_rows
        moved = solver(
            plain, x if of_all else x[rows], times, generator=torch.Generator(), progress=False
        )
        return moved[:, rows] if of_all else moved


def _steps(process: Process, times: Sequence[float], n_steps: int) -> list[float]:
    grid = step_grid(times, breakpoints_of(process), n_steps).times
    return [abs(b - a) for a, b in itertools.pairwise(grid)]


def _distances(start: Cells, ends: list[Tensor], width: Tensor, *, least: float) -> Tensor:
    """Return ``(T, n)`` distances of two ends in units of the shorter way to them, or of widths."""
    first, second = (((end - start) / width).double() for end in ends)
    gap = (first - second).norm(dim=2)
    way = torch.minimum(first.norm(dim=2), second.norm(dim=2)).clamp(min=least)
    apart = torch.where(gap > 0, gap / way, 0.0)
    return torch.where(torch.isfinite(gap), apart, torch.inf)
