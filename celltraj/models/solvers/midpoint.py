"""The midpoint rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from celltraj._checks import check_at_least, checked_fields
from celltraj._typing import Cells, States
from celltraj.models.solvers._clock import Method, integrate_on_clock
from celltraj.models.solvers.solver import Equation, after, centre

_SDE = Method("midpoint", "stratonovich", (after, centre))
_ODE = Method("midpoint", "stratonovich", (centre, centre))


@checked_fields
@dataclass(frozen=True)
class Midpoint:
    r"""Midpoint method: take the slope of the middle of each step; the default.

    ``x' = x + h v(t + h/2, x + (h v(t, x) + s dW)/2) + s dW`` with ``s = noise(t, x)``, so that
    noise that depends on the state is Ito's. Two evaluations a step; second order without noise,
    where Euler's would need hundreds of steps to follow a curved flow to within a small noise. The
    path of a bridge arrives at its end exactly.

    Parameters
    ----------
    n_steps
        Steps between neighbouring breakpoints (the snapshots of a bridge), or from the first to the
        last time where there are none; they shrink quadratically towards the end of each interval.
        Requested times cut the steps they fall into.

    Raises
    ------
    ValueError
        ``n_steps`` is not a whole number of at least 1.

    References
    ----------
    Kloeden & Platen, *Numerical solution of stochastic differential equations* (1992), section
    14.1, eq. 1.5; Li et al., *Scalable gradients for stochastic differential equations* (2020), for
    the implementation in torchsde.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import Brownian, Midpoint, simulate
    >>> simulate(
    ...     Brownian(0.1), torch.zeros(5, 2), (0.0, 1.0), solver=Midpoint(n_steps=10),
    ...     generator=torch.Generator(),
    ... ).n_evaluations
    20
    """

    n_steps: int = 50

    def __post_init__(self) -> None:
        check_at_least(1, n_steps=self.n_steps)

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
        # without noise both slopes lie at the centre: of second order too, and never at a snapshot,
        # where an empirical score is singular
        method = _ODE if equation.noise is None else _SDE
        return integrate_on_clock(
            method, self.n_steps, equation, x0, times, generator=generator, progress=progress
        )
