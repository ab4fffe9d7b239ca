"""How well shares of cell types are predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from celltraj._arrays import ArrayLike
from celltraj._checks import checked
from celltraj.ot.checks import probabilities


@checked
def composition_error(
    predicted: Sequence[Any] | np.ndarray,
    observed: Sequence[Any] | np.ndarray,
    *,
    weights: ArrayLike | None = None,
) -> float:
    """Return the total variation of the shares of labels in two samples.

    ``sum_k |p_k - q_k| / 2``: the share of cells that would have to change their label.

    Parameters
    ----------
    predicted, observed
        ``(n,)`` and ``(m,)`` labels of cells.
    weights
        ``(n,)`` weights of the predicted cells; uniform by default.

    Returns
    -------
    The error, between 0 and 1.

    Raises
    ------
    TypeError
        Weights that are no real numbers.
    ValueError
        No cells, a missing label, or weights of another length, negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.metrics import composition_error
    >>> composition_error(np.array(["B", "T"]), np.array(["T", "T"]))
    0.5
    """
    given, found = _labels(predicted, "predicted"), _labels(observed, "observed")
    a, b = probabilities(weights, len(given)), probabilities(None, len(found))
    codes = pd.factorize(np.concatenate([given, found]))[0]
    n, n_labels = len(given), codes.max() + 1
    shares = np.bincount(codes[:n], a, n_labels) - np.bincount(codes[n:], b, n_labels)
    return float(np.abs(shares).sum()) / 2


def _labels(values: Sequence[Any] | np.ndarray, name: str) -> np.ndarray:
    """Return labels as objects, so that a number is never taken for its text."""
    labels = np.asarray(values, dtype=object)
    if labels.ndim != 1 or len(labels) == 0:
        raise ValueError(f"{name} must hold a label for each cell; found shape {labels.shape}")
    if pd.isna(labels).any():
        raise ValueError(
            f"{name} has {int(pd.isna(labels).sum())} cells without a label; leave them out"
        )
    return labels
