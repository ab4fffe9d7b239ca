"""Adaptive steps of an ODE."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._checks import checked_fields
from celltraj._typing import Cells, States
from celltraj.models.solvers.ode import integrate
from celltraj.models.solvers.solver import (
    Equation,
    Law,
    check_positive,
    progress_bar,
    segments,
)


@checked_fields
@dataclass(frozen=True)
class DormandPrince:
    """Dormand-Prince method: choose the steps of an ODE by an estimate of their error.

    Fifth order, with six evaluations a step; every cell takes the same steps. For velocities that
    are smooth between breakpoints, as those of a flow: at the snapshots of a plug-in bridge the
    probability flow is singular, and steps become very many.

    Parameters
    ----------
    rtol, atol
        Tolerances of a step, relative and in the unit of the state.

    Raises
    ------
    ValueError
        A tolerance is not positive and finite; on the way, the equation has noise, the solution
        leaves the finite numbers, or a step becomes too short.

    References
    ----------
    Dormand & Prince, *A family of embedded Runge-Kutta formulae* (1980).

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import DormandPrince, OrnsteinUhlenbeck, simulate
    >>> class Decay(OrnsteinUhlenbeck):
    ...     def score(self, t, x):
    ...         return torch.zeros_like(x)
    >>> pull = Decay(matrix=-torch.eye(1), shift=torch.zeros(1), sigma=1.0)
    >>> simulate(
    ...     pull, torch.ones(1, 1), (0.0, 1.0), solver=DormandPrince(rtol=1e-6), ode=True,
    ...     generator=torch.Generator(),
    ... ).x[-1].log()
    tensor([[-1.0000]])
    """

    rtol: float = 1e-4
    atol: float = 1e-6

    def __post_init__(self) -> None:
        check_positive(rtol=self.rtol, atol=self.atol)

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
        with progress_bar(len(knots) - 1, progress=progress) as bar:
            for start, stop in itertools.pairwise(knots):
                velocity = _inside(equation, start, stop)
                states[stop] = integrate(
                    velocity, states[start], (start, stop), rtol=self.rtol, atol=self.atol
                ).x[-1]
                bar.update()
        return torch.stack([states[t] for t in times])


def _inside(equation: Equation, start: float, stop: float) -> Law:
    """Return the velocity with its limits from within at the two ends, where it may jump."""
    # one part in 2^52 and not the next number: that after 0 is so small that the width of an
    # empirical marginal vanishes
    margin = math.copysign(sys.float_info.epsilon * max(abs(start), abs(stop)), stop - start)
    least, most = sorted((start + margin, stop - margin))

    def velocity(t: float, x: Tensor) -> Tensor:
        t = min(max(float(t), least), most)
        if equation.noise is not None and bool(equation.noise(t, x).any()):
            raise ValueError(
                "DormandPrince integrates an ODE, and the equation has noise: pass ode=True for "
                "the probability flow, noise=0.0 for the ODE of a flow, or another solver="
            )
        return equation.velocity(t, x)

    return velocity
