"""The exponential method of Euler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from celltraj._checks import check_at_least, checked_fields
from celltraj._typing import Cells, States
from celltraj.models.process import Affine
from celltraj.models.solvers._exponential import LinearPart, check_affine
from celltraj.models.solvers.solver import (
    Equation,
    after,
    centre,
    step_grid,
    walk,
)


@checked_fields
@dataclass(frozen=True)
class ExponentialEuler:
    r"""Exponential Euler method: follow a linear pull exactly, and the rest by steps.

    With ``v = A x + c + f(t, x)``,
    ``x' = e^{A h} x + h phi1(A h) (c + f(t, x)) + N(0, Q(h))``, where
    ``h phi1(A h) = int_0^h e^{A u} du`` and ``Q(h) = sigma^2 int_0^h e^{A u} e^{A' u} du``: exact
    where ``f`` is constant, however stiff the pull. One evaluation a step, first order.

    For a reference that pulls in the direction of the simulation: backwards in time its pull is a
    push, against which ``f`` works, and the steps must be as short as any other solver's.

    Parameters
    ----------
    reference
        Affine reference with the pull ``A``, such as a fitted ``OrnsteinUhlenbeck``.
    n_steps
        Steps between neighbouring breakpoints, as of :class:`celltraj.models.Midpoint`.

    Raises
    ------
    TypeError
        ``reference`` is not affine.
    ValueError
        ``n_steps`` is not a whole number of at least 1; on the way, the diffusion differs between
        variables, cells or times, or the reference has another number of variables.

    References
    ----------
    Hochbruck & Ostermann, *Exponential integrators* (2010), eq. 1.5; Jentzen & Kloeden (2009),
    *Overcoming the order barrier in the numerical approximation of SPDEs*, for the noise.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import ExponentialEuler, OrnsteinUhlenbeck, simulate
    >>> pull = OrnsteinUhlenbeck(matrix=-1e3 * torch.eye(1), shift=torch.ones(1), sigma=0.1)
    >>> path = simulate(
    ...     pull, torch.ones(5, 1), (0.0, 1.0), solver=ExponentialEuler(pull, n_steps=2),
    ...     generator=torch.Generator().manual_seed(0),
    ... )
    >>> path.n_evaluations, bool((path.x[-1].abs() < 0.02).all())
    (2, True)
    """

    reference: Affine
    n_steps: int = 50

    def __post_init__(self) -> None:
        check_affine(self.reference)
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
        linear = LinearPart(self.reference, equation, generator)
        stage = centre if equation.noise is None else after

        def step(start: float, stop: float, x: Cells) -> Cells:
            h = stop - start
            velocity = equation.velocity(stage(start, stop), x)
            # e^{Ah} = 1 + h phi1(Ah) A: the state and the velocity hold c and f together
            drawn = linear.draw(after(start, stop), h, x)
            return x + velocity @ linear.over(h, x).integral.T + drawn

        grid = step_grid(times, equation.breakpoints, self.n_steps)
        return walk(step, x0, grid, progress=progress)
