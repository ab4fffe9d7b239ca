"""Energy distance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.distance import cdist


def energy_distance(x: np.ndarray, y: np.ndarray, *, weights: np.ndarray | None = None) -> float:
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
    ValueError
        Weights of another length, negative or not finite.

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
    return float(np.sqrt(mean_differences(x, y, cdist, weights)))


def mean_differences(
    x: np.ndarray,
    y: np.ndarray,
    distance: Callable[[np.ndarray, np.ndarray], np.ndarray],
    weights: np.ndarray | None,
) -> float:
    """Return ``2 E d(X, Y) - E d(X, X') - E d(Y, Y')``, not below zero, for ``d`` by pairs."""
    a = probabilities(weights, len(x))
    across = a @ distance(x, y).mean(1)
    # rounding may leave a little less than nothing between a sample and itself
    return max(2 * float(across) - float(a @ distance(x, x) @ a) - float(distance(y, y).mean()), 0)


def probabilities(weights: np.ndarray | None, n: int) -> np.ndarray:
    """Return ``n`` weights that sum to one, uniform where there are none.

    Raises
    ------
    ValueError
        Weights of another length, negative or not finite, or all zero.
    """
    if weights is None:
        return np.full(n, 1 / n)
    w = np.asarray(weights, float)
    if w.shape != (n,) or not np.isfinite(w).all() or (w < 0).any() or not w.sum() > 0:
        raise ValueError(
            f"weights must be {n} finite numbers, none of them negative and not all zero; found "
            f"shape {w.shape}, minimum {w.min(initial=np.inf):g}"
        )
    return w / w.sum()
