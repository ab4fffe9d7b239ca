"""How well shares of cell types are predicted."""

from __future__ import annotations

import numpy as np

from celltraj.metrics._energy import probabilities


def composition_error(
    predicted: np.ndarray, observed: np.ndarray, *, weights: np.ndarray | None = None
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
    ValueError
        Weights of another length, negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.metrics import composition_error
    >>> composition_error(np.array(["B", "T"]), np.array(["T", "T"]))
    0.5
    """
    a = probabilities(weights, len(predicted))
    labels = np.unique(np.concatenate([predicted, observed]))
    shares = [abs(a[predicted == label].sum() - (observed == label).mean()) for label in labels]
    return float(np.sum(shares)) / 2
