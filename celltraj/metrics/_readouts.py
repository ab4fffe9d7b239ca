"""What a laboratory reads of treated cells: their spread, and how many lie above a gate."""

from __future__ import annotations

import math

import numpy as np

from celltraj._arrays import ArrayLike, as_array
from celltraj._checks import checked
from celltraj.ot.checks import check_samples, probabilities


@checked
def variance_ratio(
    predicted: ArrayLike, observed: ArrayLike, *, weights: ArrayLike | None = None
) -> float:
    """Return the total variance of predicted cells over that of observed ones: 1 is right.

    ``sum_j Var(X_j) / sum_j Var(Y_j)``, which does not depend on how components are turned. Below 1
    predictions are too narrow, as those of a mean are.

    Parameters
    ----------
    predicted, observed
        ``(n, d)`` and ``(m, d)`` cells, in the same unit.
    weights
        ``(n,)`` weights of the predicted cells; uniform by default.

    Returns
    -------
    The ratio; NaN where the observed cells do not differ.

    Raises
    ------
    TypeError
        Cells or weights that are no real numbers.
    ValueError
        Samples that are empty, not finite or of unequal dimension; weights of another length,
        negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.metrics import variance_ratio
    >>> variance_ratio(np.array([[0.0], [1.0]]), np.array([[0.0], [2.0]]))
    0.25
    """
    x, y = check_samples(predicted, observed)
    a = probabilities(weights, len(x))
    narrow, wide = float(a @ ((x - a @ x) ** 2).sum(1)), float(y.var(0).sum())
    return narrow / wide if wide > 0 else math.nan


@checked
def gate_shares(
    cells: ArrayLike,
    control: ArrayLike,
    *,
    quantile: float = 0.9,
    weights: ArrayLike | None = None,
) -> np.ndarray:
    """Return the share of cells above the gate of each variable, a quantile of untreated cells.

    Parameters
    ----------
    cells
        ``(n, d)`` cells.
    control
        ``(m, d)`` untreated cells of the same population, which the gates are set by.
    quantile
        Share of these that lies below a gate, in (0, 1).
    weights
        ``(n,)`` weights of the cells; uniform by default.

    Returns
    -------
    ``(d,)`` shares, between 0 and 1: of untreated cells ``1 - quantile``.

    Raises
    ------
    TypeError
        Cells or weights that are no real numbers.
    ValueError
        Samples that are empty, not finite or of unequal dimension; weights of another length,
        negative or not finite; a quantile outside (0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.metrics import gate_shares
    >>> gate_shares(np.array([[0.0], [20.0]]), np.arange(11.0)[:, None])
    array([0.5])
    """
    x, y = check_samples(cells, control)
    if not 0 < quantile < 1:
        raise ValueError(f"quantile must lie in (0, 1); found {quantile}")
    shares = probabilities(weights, len(x)) @ (x > np.quantile(y, quantile, axis=0))
    above: np.ndarray = np.minimum(shares, 1.0)  # sums of 1 / n may round to a little more
    return above


@checked
def gate_error(
    predicted: ArrayLike,
    observed: ArrayLike,
    control: ArrayLike,
    *,
    quantile: float = 0.9,
    weights: ArrayLike | None = None,
) -> float:
    """Return the mean absolute error of the share of cells above the gates of untreated cells.

    ``mean_j |P(X_j > g_j) - P(Y_j > g_j)|`` with ``g_j`` the quantile of the control, see
    :func:`gate_shares`.

    Parameters
    ----------
    predicted, observed
        ``(n, d)`` and ``(m, d)`` treated cells.
    control
        ``(k, d)`` untreated cells of the same population.
    quantile
        Share of these that lies below a gate, in (0, 1).
    weights
        ``(n,)`` weights of the predicted cells; uniform by default.

    Returns
    -------
    The error, between 0 and 1.

    Raises
    ------
    TypeError
        Cells or weights that are no real numbers.
    ValueError
        As :func:`gate_shares`, or ``observed`` of another dimension.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.metrics import gate_error
    >>> control = np.arange(11.0)[:, None]
    >>> round(gate_error(control + 20, control, control), 3)
    0.909
    """
    control = as_array(control, "control", "(k, d)")
    given = gate_shares(predicted, control, quantile=quantile, weights=weights)
    found = gate_shares(observed, control, quantile=quantile)
    return float(np.abs(given - found).mean())
