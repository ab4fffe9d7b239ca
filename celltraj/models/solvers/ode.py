"""Adaptive integration of an ordinary differential equation, by Dormand and Prince."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor


@dataclass(frozen=True)
class Solution:
    """Hold states ``(T, ...)`` at ``T`` times, and how often the velocity was evaluated."""

    x: Tensor
    n_evaluations: int


def integrate(
    velocity: Callable[[float, Tensor], Tensor],
    x0: Tensor,
    times: Sequence[float],
    *,
    breakpoints: Sequence[float] = (),
    rtol: float = 1e-4,
    atol: float = 1e-6,
) -> Solution:
    """Integrate ``x' = velocity(t, x)`` onto every time, forwards or backwards.

    Parameters
    ----------
    velocity
        ``velocity(t, x)`` of the shape of ``x``, per unit of time.
    x0
        State at ``times[0]``, of any shape.
    times
        Strictly monotone times, in the user's unit.
    breakpoints
        Times at which the velocity has a kink; no step crosses one.
    rtol, atol
        Tolerances of a step, relative and in the unit of ``x``.

    Raises
    ------
    ValueError
        The solution leaves the finite numbers, or a step becomes too short.

    Examples
    --------
    >>> import torch
    >>> integrate(lambda t, x: -x, torch.ones(1), (0.0, 1.0), rtol=1e-6).x[-1].log()
    tensor([-1.0000])
    """
    first, last = min(times), max(times)
    inside = [b for b in breakpoints if first < b < last]
    knots = sorted({*times, *inside}, reverse=bool(times[0] > times[-1]))
    state, at, n = x0.double().cpu().numpy().ravel(), {times[0]: x0}, 0

    def rate(t: float, flat: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(flat).reshape(x0.shape).to(x0)
        return velocity(t, x).double().cpu().numpy().ravel()

    for start, stop in itertools.pairwise(knots):
        found = solve_ivp(rate, (start, stop), state, method="RK45", rtol=rtol, atol=atol)
        n += int(found.nfev)
        if not found.success or not np.isfinite(found.y[:, -1]).all():
            raise ValueError(
                f"the ODE from {start:g} to {stop:g} could not be integrated: {found.message}"
            )
        state = found.y[:, -1]
        at[stop] = torch.from_numpy(state).reshape(x0.shape).to(x0)
    return Solution(torch.stack([at[t] for t in times]), n)
