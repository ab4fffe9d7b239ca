"""A ladder of falling epsilons, and the path of the potentials along it."""

from __future__ import annotations

import math

import numpy as np

_TOP = 0.05  # first rung, in units of the mean cost
_RATIO = 3.0  # between rungs
RUNG_TOL = 0.01  # column error that ends a rung, as a share of the mass


def ladder(mean_cost: float, epsilon: float) -> list[float]:
    """Return epsilons that fall from about .05 of the mean cost to ``epsilon`` itself."""
    n_steps = math.ceil(math.log(max(_TOP * mean_cost / epsilon, 1.0), _RATIO) - 0.25)
    return [epsilon * _RATIO**k for k in range(n_steps, -1, -1)]


class Path:
    """Follow the potentials, which are smooth in epsilon, from rung to rung.

    Parameters
    ----------
    f, g
        First guess of the potentials, in units of the cost.
    """

    def __init__(self, f: np.ndarray, g: np.ndarray) -> None:
        self._f, self._g, self._slope = f, g, np.zeros_like(g)
        self._epsilon: float | None = None

    def guess(self, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
        """Return where the last two rungs point to, in units of ``epsilon``."""
        step = 0.0 if self._epsilon is None else epsilon - self._epsilon
        return self._f / epsilon, (self._g + step * self._slope) / epsilon

    def reach(self, epsilon: float, f: np.ndarray, g: np.ndarray) -> None:
        """Take note of the potentials found at ``epsilon``, in units of it."""
        if self._epsilon is not None:
            self._slope = (epsilon * g - self._g) / (epsilon - self._epsilon)
        self._f, self._g, self._epsilon = epsilon * f, epsilon * g, epsilon
