"""Energy distance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.distance import cdist

from celltraj._arrays import ArrayLike
from celltraj._checks import checked
from celltraj.ot.checks import check_samples, probabilities


@checked
def energy_distance(x: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Return the energy distance of two samples, the root and not the square.

    ``sqrt(2 E|X - Y| - E|X - X'| - E|Y - Y'|)``; means run over all pairs, a cell with itself among
    them.

    Parameters
    ----------
    x, y
        ``(n, d)`` and ``(m, d)`` samples.
    weights
        ``(n,)`` weights of ``x``, whose sum does not matter; uniform by default. Those of ``y`` are
        uniform.

    Returns
    -------
    The distance, in units of the root of ``x``.

    Raises
    ------
    TypeError
        Samples or weights that are no real numbers.
    ValueError
        Samples that are empty, not finite or of unequal dimension; weights of another length,
        negative or not finite.

    References
    ----------
    Székely & Rizzo, *Energy statistics: a class of statistics based on distances* (2013).

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.metrics import energy_distance
    >>> energy_distance(np.zeros((2, 1)), np.full((2, 1), 8.0))
    4.0
    """
    return float(np.sqrt(mean_differences(*check_samples(x, y), cdist, weights)))


def mean_differences(
    x: np.ndarray,
    y: np.ndarray,
    distance: Callable[[np.ndarray, np.ndarray], np.ndarray],
    weights: ArrayLike | None,
) -> float:
    """Return ``2 E d(X, Y) - E d(X, X') - E d(Y, Y')``, not below zero, for ``d`` by pairs."""
    a = probabilities(weights, len(x))
    across = a @ distance(x, y).mean(1)
    # rounding may leave a little less than nothing between a sample and itself
    return max(2 * float(across) - float(a @ distance(x, x) @ a) - float(distance(y, y).mean()), 0)
