"""How well a mean shift is predicted."""

from __future__ import annotations

import math

import numpy as np

from celltraj._arrays import ArrayLike, as_array
from celltraj._checks import checked


@checked
def shift_cosine(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Return the cosine of the angle between two mean shifts: 1 where the direction is right.

    Parameters
    ----------
    predicted, observed
        ``(d,)`` differences of the means after and before.

    Returns
    -------
    The cosine; NaN where one of them is zero.

    Raises
    ------
    TypeError
        Shifts that are no real numbers.
    ValueError
        Shifts that are empty, of unequal length or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.metrics import shift_cosine
    >>> shift_cosine(np.array([0.0, 2.0]), np.array([0.0, 5.0]))
    1.0
    """
    p, q = _shifts(predicted, observed)
    lengths = float(np.linalg.norm(p) * np.linalg.norm(q))
    return float(p @ q) / lengths if lengths > 0 else math.nan


@checked
def shift_r2(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Return the share of a mean shift that is predicted: 1 where it is right, 0 for no change.

    ``1 - |predicted - observed|^2 / |observed|^2``. It is measured against no change and not
    against the mean over variables, which has no meaning in components; so it does not depend on
    how these are turned.

    Parameters
    ----------
    predicted, observed
        ``(d,)`` differences of the means after and before.

    Returns
    -------
    The share, below zero where no change would have been better; NaN where ``observed`` is zero.

    Raises
    ------
    TypeError
        Shifts that are no real numbers.
    ValueError
        Shifts that are empty, of unequal length or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.metrics import shift_r2
    >>> shift_r2(np.array([0.0, 1.0]), np.array([0.0, 2.0]))
    0.75
    """
    p, q = _shifts(predicted, observed)
    size, missed = float(q @ q), p - q
    return 1 - float(missed @ missed) / size if size > 0 else math.nan


def _shifts(predicted: ArrayLike, observed: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    p, q = as_array(predicted, "predicted", "(d,)"), as_array(observed, "observed", "(d,)")
    if p.shape != q.shape:
        raise ValueError(f"predicted has {len(p)} variables, observed has {len(q)}")
    return p, q
