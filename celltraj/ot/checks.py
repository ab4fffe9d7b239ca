"""What samples, weights and shares must be, wherever they are given."""

from __future__ import annotations

import numpy as np

from celltraj._arrays import ArrayLike, as_array


def check_samples(x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return two samples ``(n, d)`` and ``(m, d)`` as float64 arrays.

    Raises
    ------
    TypeError
        One holds no real numbers.
    ValueError
        One is empty, has another shape or holds NaN, or their dimensions differ.

    Examples
    --------
    >>> from celltraj.ot.checks import check_samples
    >>> check_samples([[1, 2]], [[3, 4]])[0]
    array([[1., 2.]])
    """
    left, right = as_array(x, "x", "(n, d)"), as_array(y, "y", "(m, d)")
    if left.shape[1] != right.shape[1]:
        raise ValueError(
            f"x has {left.shape[1]} dimensions, y has {right.shape[1]}; they must agree"
        )
    return left, right


def probabilities(weights: ArrayLike | None, n: int) -> np.ndarray:
    """Return ``n`` weights that sum to one, uniform where there are none.

    Raises
    ------
    TypeError
        Weights that are no real numbers.
    ValueError
        Weights of another length, negative or not finite, or all zero.

    Examples
    --------
    >>> from celltraj.ot.checks import probabilities
    >>> probabilities([3, 1], 2)
    array([0.75, 0.25])
    """
    if weights is None:
        return np.full(n, 1 / n)
    w = as_array(weights, "weights", "(n,)")
    if w.shape != (n,) or (w < 0).any() or not w.sum() > 0:
        raise ValueError(
            f"weights must be {n} finite numbers, none of them negative and not all zero; found "
            f"shape {w.shape}, minimum {w.min():g}"
        )
    shares: np.ndarray = w / w.sum()
    return shares


def check_mass(mass: float) -> None:
    """Raise where a share of mass to leave out is none."""
    if not 0 <= mass < 1:
        raise ValueError(f"mass must lie in [0, 1); found {mass}")
