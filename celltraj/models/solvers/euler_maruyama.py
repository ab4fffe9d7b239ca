"""The method of Euler and Maruyama."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from celltraj._checks import check_at_least, checked_fields
from celltraj._typing import Cells, States
from celltraj.models.solvers._clock import Method, integrate_on_clock
from celltraj.models.solvers.solver import Equation, after, centre

_SDE = Method("euler", "ito", (after,))
_ODE = Method("euler", "ito", (centre,))


@checked_fields
@dataclass(frozen=True)
class EulerMaruyama:
    r"""Euler-Maruyama method: take the slope of the start of each step.

    ``x' = x + h v(t, x) + noise(t, x) dW``: one evaluation a step, first order. Without noise the
    slope is that of the state at the start and the time of the middle.

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
    Maruyama, *Continuous Markov processes and stochastic equations* (1955); Kloeden & Platen
    (1992), section 10.2, eq. 2.4.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import Brownian, EulerMaruyama, simulate
    >>> simulate(
    ...     Brownian(0.1), torch.zeros(5, 2), (0.0, 1.0), solver=EulerMaruyama(n_steps=10),
    ...     generator=torch.Generator(),
    ... ).n_evaluations
    10
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
        method = _ODE if equation.noise is None else _SDE
        return integrate_on_clock(
            method, self.n_steps, equation, x0, times, generator=generator, progress=progress
        )
