"""Rank correlation, in many resamples at once."""

from __future__ import annotations

import numpy as np


def spearman(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the rank correlation of ``x`` and ``y``, ``(n,)``, in each resample.

    Parameters
    ----------
    x, y
        ``(n,)`` values.
    counts
        ``(b, n)`` how often each is drawn.

    Returns
    -------
    ``(b,)`` correlations, NaN where all values of a resample are the same.

    References
    ----------
    Spearman, *The proof and measurement of association between two things* (1904).

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj._stats.rank_correlation import spearman
    >>> spearman(np.array([1.0, 2, 3]), np.array([1.0, 4, 9]), np.ones((1, 3)))
    array([1.])
    """
    total = counts.sum(1, keepdims=True)
    centred = []
    for values in (x, y):
        before = (values < values[:, None]) + (values == values[:, None]) / 2
        ranks = counts @ before.T
        centred.append(ranks - (counts * ranks).sum(1, keepdims=True) / np.maximum(total, 1))
    a, b = centred
    spread = np.sqrt((counts * a**2).sum(1) * (counts * b**2).sum(1))
    is_flat = spread <= 1e-9 * np.maximum(total[:, 0], 1) ** 3
    return np.where(is_flat, np.nan, (counts * a * b).sum(1) / np.where(is_flat, 1, spread))
