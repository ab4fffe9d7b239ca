"""The exponential midpoint rule."""

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
class ExponentialMidpoint:
    r"""Exponential midpoint method: follow a linear pull exactly, and the rest by steps.

    With ``v = A x + c + f(t, x)``, half a step of ``ExponentialEuler`` leads to the middle ``y``,
    and ``x' = e^{A h} x + h phi1(A h) (c + f(t + h/2, y)) + N(0, Q(h))`` with the noise that led to
    ``y`` and that of the other half. Two evaluations a step, second order, also
    weakly.

    Parameters
    ----------
    reference
        Affine reference with the pull ``A``, such as a fitted ``OrnsteinUhlenbeck``; as of
        ``ExponentialEuler`` one that pulls in the direction of the simulation.
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
    Hochbruck & Ostermann, *Exponential integrators* (2010), example 2.18 with ``c2 = 1/2``.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import ExponentialMidpoint, OrnsteinUhlenbeck, simulate
    >>> pull = OrnsteinUhlenbeck(matrix=-1e3 * torch.eye(1), shift=torch.ones(1), sigma=0.1)
    >>> path = simulate(
    ...     pull, torch.ones(5, 1), (0.0, 1.0), solver=ExponentialMidpoint(pull, n_steps=2),
    ...     generator=torch.Generator().manual_seed(0),
    ... )
    >>> path.n_evaluations, bool((path.x[-1].abs() < 0.02).all())
    (4, True)
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
        stage, matrix = centre if equation.noise is None else after, linear.matrix(x0)

        def step(start: float, stop: float, x: Cells) -> Cells:
            h, inside, middle = stop - start, after(start, stop), centre(start, stop)
            half, whole = linear.over(h / 2, x), linear.over(h, x)
            first, second = (linear.draw(inside, h / 2, x) for _ in range(2))
            velocity = equation.velocity(stage(start, stop), x)
            y = x + velocity @ half.integral.T + first
            rest = equation.velocity(middle, y) - y @ matrix.T  # c + f
            return x @ whole.step.T + rest @ whole.integral.T + first @ half.step.T + second

        grid = step_grid(times, equation.breakpoints, self.n_steps)
        return walk(step, x0, grid, progress=progress)
