"""Unregularised transport by POT's network simplex."""

from __future__ import annotations

import numpy as np
import ot as pot


def wasserstein(x: np.ndarray, y: np.ndarray, *, order: int = 1) -> float:
    """Return the exact Wasserstein distance of two uniformly weighted samples.

    ``W_p = (min_P sum P_ij |x_i - y_j|^p)^(1/p)`` for ``p`` = 1 or 2.

    Parameters
    ----------
    x, y
        ``(n, d)`` and ``(m, d)`` samples.
    order
        1 or 2.

    Returns
    -------
    The distance, in units of ``x``.

    Raises
    ------
    ValueError
        An order other than 1 or 2.
    RuntimeError
        The simplex did not reach an optimum.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.ot import wasserstein
    >>> wasserstein(np.zeros((2, 2)), np.full((2, 2), 3.0), order=2)
    4.24264068711928...
    """
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2; found {order}")
    cost = pot.dist(np.asarray(x, float), np.asarray(y, float)).clip(min=0) ** (order / 2)
    value, log = pot.emd2(pot.unif(len(x)), pot.unif(len(y)), cost, numItermax=10**7, log=True)
    _check_optimal(log)
    return float(value) ** (1 / order)


def exact_matching(x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the plan of least mean squared displacement, by POT's network simplex.

    ``argmin_P sum P_ij |x_i - y_j|^2`` with row sums ``a`` and column sums ``b``.

    Parameters
    ----------
    x, y
        ``(n, d)`` and ``(m, d)`` cells.
    a, b
        ``(n,)`` and ``(m,)`` weights of equal sum.

    Returns
    -------
    The dense ``(n, m)`` plan; at most ``n + m - 1`` of its entries are not zero.

    Raises
    ------
    RuntimeError
        The simplex did not reach an optimum.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.ot import exact_matching
    >>> x, half = np.array([[0.0], [9.0]]), np.array([0.5, 0.5])
    >>> exact_matching(x, x[::-1], half, half)
    array([[0. , 0.5],
           [0.5, 0. ]])
    """
    plan, log = pot.emd(a, b, pot.dist(x, y), numItermax=10**7, log=True)
    _check_optimal(log)
    return plan


def _check_optimal(log: dict) -> None:
    if log["warning"] is not None:
        raise RuntimeError(f"exact transport failed: {log['warning']}")
