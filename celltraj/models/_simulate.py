"""Simulate any process, forwards and backwards, by an SDE or its probability-flow ODE."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._arrays import takes_arrays
from celltraj._card import card
from celltraj._checks import check_option
from celltraj._typing import Cells, States
from celltraj.models._card_facts import trajectories_facts
from celltraj.models.process import (
    KnowsRows,
    Process,
    ReversibleProcess,
    SharedGrowth,
    breakpoints_of,
    is_growing,
)
from celltraj.models.solvers import Equation, SdeSolver
from celltraj.models.solvers.noise import DiagonalNoise
from celltraj.models.solvers.solver import Law, gather
from celltraj.models.solvers.stability import Watch, usual_solver

_COARSE = 1e3  # size of states over their spread beyond which float32 has no digits for a step


@card(trajectories_facts)
@dataclass(frozen=True)
class Trajectories:
    """Hold simulated states.

    Parameters
    ----------
    times
        ``(T,)`` times, in the user's unit.
    x
        ``(T, n, d)`` states, in [x].
    n_evaluations
        Calls of the velocity that the simulation took.
    solver
        How the equation was integrated.
    log_mass
        ``(T, n)`` log of the mass of each trajectory, 0 at the first time: the growth of the
        process, integrated along it. None where the process has no growth.
    """

    times: tuple[float, ...]
    x: States
    n_evaluations: int
    solver: SdeSolver
    log_mass: Tensor | None = None


@takes_arrays
def simulate(
    process: Process,
    x0: Cells,
    times: Sequence[float],
    *,
    solver: SdeSolver | None = None,
    n_steps: int = 50,
    ode: bool = False,
    generator: torch.Generator,
    progress: bool = False,
) -> Trajectories:
    """Simulate ``process`` from ``x0`` onto every time in ``times``.

    Increasing times run the forward SDE, decreasing times the backward SDE with drift
    ``b_i - (d_i s_i^2 + s_i^2 score_i)``, where ``s = diffusion(t, x)`` and its derivative ``d_i``
    by the variable itself is zero for noise that is the same everywhere; ``ode=True`` subtracts
    half of that in either direction. The growth of a process that has one is integrated along each
    trajectory, backwards in time with the opposite sign.

    Parameters
    ----------
    process
        Law of motion; needs ``score`` backwards and for the ODE.
    x0
        ``(n, d)`` states at ``times[0]``.
    times
        Strictly monotone times, in the user's unit.
    solver
        How the equation is integrated: ``Midpoint()``, ``Heun``, ``EulerMaruyama``,
        ``ExponentialEuler`` and ``ExponentialMidpoint`` for a stiff pull, ``PredictorCorrector``,
        ``AdaptiveHeun`` for steps that an error chooses, ``DormandPrince`` for an ODE, or a
        :class:`celltraj.models.SdeSolver` of your own. Every time and every breakpoint of the
        process (the snapshots of a bridge) is stepped onto. By
        default the midpoint rule, and the exponential one where an affine law or reference pulls by
        more than a tenth in a step.
    n_steps
        Steps between neighbouring breakpoints of the default solver.
    ode
        Whether to follow the probability flow instead of the SDE.
    generator
        Source of randomness.
    progress
        Whether to show a progress bar over the steps.

    Returns
    -------
    States at ``times``, evaluations of the velocity, and log masses where the process grows.

    Raises
    ------
    ValueError
        Fewer than two times, times not monotone, states that become non-finite or that leave the
        data by a thousand widths where shorter steps do not, an equation that does not suit the
        solver, or noise whose derivative by the state is needed and not to be had.
    TypeError
        A backward or ODE simulation of a process without a score, or a solver that is a class or a
        text and not such an object.

    References
    ----------
    Anderson, *Reverse-time diffusion equation models* (1982); Song et al., *Score-based generative
    modeling through SDEs* (2021), eq. 6 and 13.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import Brownian, simulate
    >>> path = simulate(
    ...     Brownian(0.1), torch.zeros(5, 2), (0.0, 0.5, 2.0), generator=torch.Generator()
    ... )
    >>> path.x.shape
    torch.Size([3, 5, 2])
    """
    times = tuple(float(t) for t in times)
    steps = [b - a for a, b in itertools.pairwise(times)]
    if not steps or not (all(h > 0 for h in steps) or all(h < 0 for h in steps)):
        raise ValueError(f"times must hold two or more strictly monotone values; found {times}")
    x = x0.double() if _is_coarse(process, x0, times) else x0
    if solver is None:
        solver = usual_solver(process, x, times, ode=ode, n_steps=n_steps)
    check_option(solver, SdeSolver, "solver", "Midpoint(n_steps=50)")
    equation = Equation(
        _velocity(process, 0.5 if ode else float(steps[0] < 0)),
        noise=None if ode else process.diffusion,
        score=process.score if isinstance(process, ReversibleProcess) else None,
        breakpoints=breakpoints_of(process),
        knows_rows=isinstance(process, KnowsRows) and process.knows_rows,
    )
    state, d, motion = x, x.shape[1], equation
    if is_growing(process):
        both = None
        if isinstance(process, SharedGrowth) and steps[0] > 0 and not ode:
            both = process.drift_and_growth
        equation = gather(equation, process.growth, both=both)
        state = torch.cat([x, torch.zeros_like(x[:, :1])], 1)
    watch = Watch(equation, solver, times, motion)
    with torch.no_grad():
        z = solver(watch.watched, state, times, generator=generator, progress=progress)
        watch.check(z)
    z = z.to(x0.dtype)
    log_mass = z[..., d] if equation.n_integrals else None
    return Trajectories(times, z[..., :d], watch.n_calls, solver, log_mass)


def _is_coarse(process: Process, x0: Cells, times: tuple[float, ...]) -> bool:
    """Whether states lie so far from zero that short steps would be lost in float32."""
    if x0.dtype != torch.float32 or not len(x0):
        return False
    noise = process.diffusion(times[0], x0[:1]).abs().amax(0)
    spread = x0.amax(0) - x0.amin(0) + noise * abs(times[-1] - times[0]) ** 0.5
    size = x0.abs().amax(0)
    return bool((size > _COARSE * torch.where(spread > 0, spread, 10.0)).any())


def _velocity(process: Process, weight: float) -> Law:
    """Return ``b - weight (d_i s_i^2 + s_i^2 score)``: weight 0 forward, 1 backward, 1/2 ODE."""
    if weight == 0:
        return process.drift
    if not isinstance(process, ReversibleProcess):
        raise TypeError(
            f"{type(process).__name__} has no score(t, x): it can only be simulated forwards"
        )

    noise = DiagonalNoise(process)

    def velocity(t: float, x: Cells) -> Cells:
        variance, divergence = noise.variance(t, x)
        drift = process.drift(t, x)
        if divergence is not None:
            return drift - weight * (divergence + variance * process.score(t, x))
        # without noise the score counts for nothing, and may cost as much as the drift
        if not bool(variance.any()):
            return drift
        return drift - weight * variance * process.score(t, x)

    return velocity
