"""Heun's method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from celltraj._checks import check_at_least, checked_fields
from celltraj._typing import Cells, States
from celltraj.models.solvers._clock import Method, integrate_on_clock
from celltraj.models.solvers.solver import Equation, centre

_METHOD = Method("heun", "stratonovich", (centre, centre))


@checked_fields
@dataclass(frozen=True)
class Heun:
    r"""Heun's method: take the mean of the slopes of the start and of the predicted end of a step.

    ``x' = x + h (v(m, x) + v(m, y))/2 + s dW`` with ``y = x + h v(m, x) + s dW``, the time
    ``m = t + h/2`` and ``s = noise(t, x)``. Two evaluations a step; second order without noise. In
    time both slopes are those of the middle of the step, of the same order, since at its end the
    drift of a bridge has no limit.

    Parameters
    ----------
    n_steps
        Steps between neighbouring breakpoints, as of :class:`celltraj.models.Midpoint`.

    Raises
    ------
    ValueError
        ``n_steps`` is not a whole number of at least 1.

    References
    ----------
    Burrage, Burrage & Tian, *Numerical methods for strong solutions of stochastic differential
    equations: an overview* (2004).

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import Brownian, Heun, simulate
    >>> simulate(
    ...     Brownian(0.1), torch.zeros(5, 2), (0.0, 1.0), solver=Heun(n_steps=10),
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
        return integrate_on_clock(
            _METHOD, self.n_steps, equation, x0, times, generator=generator, progress=progress
        )
