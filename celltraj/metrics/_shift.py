"""How well a mean shift is predicted."""

from __future__ import annotations

import math

import numpy as np


def shift_cosine(predicted: np.ndarray, observed: np.ndarray) -> float:
    """Return the cosine of the angle between two mean shifts: 1 where the direction is right.

    Parameters
    ----------
    predicted, observed
        ``(d,)`` differences of the means after and before.

    Returns
    -------
    The cosine; NaN where one of them is zero.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.metrics import shift_cosine
    >>> shift_cosine(np.array([0.0, 2.0]), np.array([0.0, 5.0]))
    1.0
    """
    lengths = float(np.linalg.norm(predicted) * np.linalg.norm(observed))
    return float(predicted @ observed) / lengths if lengths > 0 else math.nan


def shift_r2(predicted: np.ndarray, observed: np.ndarray) -> float:
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

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.metrics import shift_r2
    >>> shift_r2(np.array([0.0, 1.0]), np.array([0.0, 2.0]))
    0.75
    """
    size = float(observed @ observed)
    missed = predicted - observed
    return 1 - float(missed @ missed) / size if size > 0 else math.nan
