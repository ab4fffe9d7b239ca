"""Simulate any process, forwards and backwards, by an SDE or its probability-flow ODE."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._arrays import takes_arrays
from celltraj._errors import check_option
from celltraj._typing import Cells, States
from celltraj.models._process import Process, ReversibleProcess, is_growing
from celltraj.models.solvers import Equation, Midpoint, SdeSolver
from celltraj.models.solvers._solver import Law, gather

_DEFAULT = Midpoint()


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
    log_mass
        ``(T, n)`` log of the mass of each trajectory, 0 at the first time: the growth of the
        process, integrated along it. None where the process has no growth.
    """

    times: tuple[float, ...]
    x: States
    n_evaluations: int
    log_mass: Tensor | None = None


@takes_arrays
def simulate(
    process: Process,
    x0: Cells,
    times: Sequence[float],
    *,
    solver: SdeSolver = _DEFAULT,
    ode: bool = False,
    generator: torch.Generator,
    progress: bool = False,
) -> Trajectories:
    """Simulate ``process`` from ``x0`` onto every time in ``times``.

    Increasing times run the forward SDE, decreasing times the backward SDE with drift
    ``b - sigma^2 score``; ``ode=True`` follows ``b - sigma^2 score / 2`` in either direction. The
    growth of a process that has one is integrated along each trajectory, backwards in time with
    the opposite sign.

    Parameters
    ----------
    process
        Law of motion; needs ``score`` backwards and for the ODE.
    x0
        ``(n, d)`` states at ``times[0]``.
    times
        Strictly monotone times, in the user's unit.
    solver
        How the equation is integrated: ``Midpoint()`` (default), ``Heun``, ``EulerMaruyama``,
        ``ExponentialEuler`` and ``ExponentialMidpoint`` for a stiff pull, ``PredictorCorrector``,
        ``DormandPrince`` for an ODE, or a :class:`celltraj.models.SdeSolver` of your own. Every
        time and every breakpoint of the process (the snapshots of a bridge) is stepped onto.
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
        Fewer than two times, times not monotone, states that become non-finite, or an equation
        that does not suit the solver.
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
    check_option(solver, SdeSolver, "solver", "Midpoint(n_steps=50)")
    velocity = _Counted(_velocity(process, 0.5 if ode else float(steps[0] < 0)))
    equation = Equation(
        velocity,
        noise=None if ode else process.diffusion,
        score=process.score if isinstance(process, ReversibleProcess) else None,
        breakpoints=tuple(getattr(process, "breakpoints", ())),
    )
    state, d = x0, x0.shape[1]
    if is_growing(process):
        equation = gather(equation, process.growth)
        state = torch.cat([x0, torch.zeros_like(x0[:, :1])], 1)
    with torch.no_grad():
        z = solver(equation, state, times, generator=generator, progress=progress)
    if not torch.isfinite(z).all():
        raise ValueError(
            f"the simulation from {times[0]:g} to {times[-1]:g} became non-finite; raise n_steps "
            "of the solver"
        )
    log_mass = z[..., d] if equation.n_integrals else None
    return Trajectories(times, z[..., :d], velocity.n_calls, log_mass)


class _Counted:
    """Count the calls of a law."""

    def __init__(self, law: Law) -> None:
        self.law, self.n_calls = law, 0

    def __call__(self, t: float, x: Tensor) -> Tensor:
        self.n_calls += 1
        return self.law(t, x)


def _velocity(process: Process, weight: float) -> Law:
    """Return ``b - weight sigma^2 score``: weight 0 forward, 1 backward, 1/2 probability flow."""
    if weight == 0:
        return process.drift
    if not isinstance(process, ReversibleProcess):
        raise TypeError(
            f"{type(process).__name__} has no score(t, x): it can only be simulated forwards"
        )

    def velocity(t: float, x: Cells) -> Cells:
        variance, drift = process.diffusion(t, x).square(), process.drift(t, x)
        # without noise the score counts for nothing, and may cost as much as the drift
        if not bool(variance.any()):
            return drift
        return drift - weight * variance * process.score(t, x)

    return velocity
