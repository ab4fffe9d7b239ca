"""Intervals that hold a new population as often as they say, from how far others were missed.

What is exchangeable are populations, so each counts once, however many cells it has.
"""

from __future__ import annotations

import math

import numpy as np

_ROUNDING = 1e-9  # of ranks: (1 - .8) 5 is a little less than 1


def check_confidence(n: int, confidence: float, noun: str = "populations") -> None:
    """Raise where ``n`` populations, or other units, give no interval of a confidence.

    A new population is missed by more than all ``n`` others in ``1 / (n + 1)`` of cases: no finite
    interval errs less often.

    Raises
    ------
    ValueError
        ``1 - confidence`` is below ``1 / (n + 1)``, or there is no population.

    Examples
    --------
    >>> from celltraj._stats.conformal import check_confidence
    >>> check_confidence(8, 0.8)
    """
    if n == 0:
        raise ValueError("no population to calibrate by: none was treated that no model has seen")
    if (1 - confidence) * (n + 1) < 1 - _ROUNDING:
        needed = math.ceil(1 / (1 - confidence) - _ROUNDING) - 1
        most = math.floor(100 * n / (n + 1)) / 100
        raise ValueError(
            f"{n} {noun} give no {confidence:.0%} interval: the least honest error rate is "
            f"1 / (n + 1) = {1 / (n + 1):.1%}. Pass confidence={most} or less, or {needed} "
            f"{noun.partition(',')[0]}"
        )


def split_interval(
    predicted: np.ndarray, missed: np.ndarray, *, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the split conformal interval of a new population.

    ``predicted -+ q``, with ``q`` the ``ceil((1 - alpha)(n + 1))``-th smallest of the distances by
    which ``n`` populations were missed that the model has not seen either. It holds the truth with
    a probability of at least ``1 - alpha``, and below ``1 - alpha + 1 / (n + 1)`` without ties.

    Parameters
    ----------
    predicted
        ``(k,)`` predictions of ``k`` quantities.
    missed
        ``(n, k)`` distances of predictions from the truth, not negative.
    confidence
        ``1 - alpha``, of each quantity by itself.

    Raises
    ------
    ValueError
        Too few populations, see :func:`check_confidence`.

    References
    ----------
    Vovk, Gammerman & Shafer, *Algorithmic learning in a random world* (2005); Lei et al.,
    *Distribution-free predictive inference for regression* (2018), theorem 2.2.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj._stats.conformal import split_interval
    >>> split_interval(np.zeros(1), np.arange(1.0, 5)[:, None], confidence=0.8)
    (array([-4.]), array([4.]))
    """
    check_confidence(len(missed), confidence)
    k = math.ceil(confidence * (len(missed) + 1) - _ROUNDING)
    reach = np.sort(missed, axis=0)[k - 1]
    return predicted - reach, predicted + reach


def reach_without(missed: np.ndarray, *, confidence: float) -> np.ndarray:
    """Return for each population how far the others let it be missed, ``(n, k)``.

    Parameters
    ----------
    missed
        ``(n, k)`` distances of predictions from the truth, not negative.
    confidence
        ``1 - alpha``, of each quantity by itself.

    Raises
    ------
    ValueError
        Without one there are too few populations, see :func:`check_confidence`.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj._stats.conformal import reach_without
    >>> reach_without(np.arange(1.0, 6)[:, None], confidence=0.8)[:, 0]
    array([5., 5., 5., 5., 4.])
    """
    n = len(missed)
    check_confidence(n - 1, confidence)
    k = math.ceil(confidence * n - _ROUNDING)  # of n - 1 distances
    order = np.sort(missed, axis=0)
    # the k-th of the others is one further where the own distance stands before it
    found: np.ndarray = np.where(missed <= order[k - 1], order[k], order[k - 1])
    return found


def jackknife_plus(
    predicted: np.ndarray, missed: np.ndarray, *, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the jackknife+ interval of a new population.

    From the ``floor(alpha (n + 1))``-th smallest of ``mu_i - r_i`` to the
    ``ceil((1 - alpha)(n + 1))``-th smallest of ``mu_i + r_i``, where the model without population
    ``i`` predicts ``mu_i`` of the new one and missed ``i`` by ``r_i``. It holds the truth with a
    probability of at least ``1 - 2 alpha``, and of about ``1 - alpha`` where fits are stable; the
    same formula with models that were each fitted without several populations is CV+.

    Parameters
    ----------
    predicted
        ``(n, k)`` predictions of ``k`` quantities of the new population by each model.
    missed
        ``(n, k)`` distances of each model from the truth of the population it was fitted without.
    confidence
        ``1 - alpha``, of each quantity by itself.

    Raises
    ------
    ValueError
        Too few populations, see :func:`check_confidence`.

    References
    ----------
    Barber, Candès, Ramdas & Tibshirani, *Predictive inference with the jackknife+* (2021),
    equation 1.3, theorems 1 and 4.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj._stats.conformal import jackknife_plus
    >>> jackknife_plus(np.zeros((4, 1)), np.arange(1.0, 5)[:, None], confidence=0.8)
    (array([-4.]), array([4.]))
    """
    n = len(missed)
    check_confidence(n, confidence)
    first = math.floor((1 - confidence) * (n + 1) + _ROUNDING)
    last = math.ceil(confidence * (n + 1) - _ROUNDING)
    low = np.sort(predicted - missed, axis=0)[first - 1]
    return low, np.sort(predicted + missed, axis=0)[last - 1]


def grouped_reach(missed: np.ndarray, unit: np.ndarray, *, confidence: float) -> float:
    """Return how far a random cell of a new unit is missed at most, in ``confidence`` of cases.

    The least ``q`` with ``sum_k (1 / (n + 1)) (share of the cells of unit k missed by q or less)``
    of at least ``1 - alpha``: each of the ``n`` units counts once, however many cells it has, and
    the new one as missed without end. With one cell a unit this is split conformal; infinite where
    ``n`` is below ``1 / alpha - 1``.

    Parameters
    ----------
    missed
        ``(m,)`` distances of predictions from the truth, not negative.
    unit
        ``(m,)`` number or name of the unit of each cell.
    confidence
        ``1 - alpha``.

    References
    ----------
    Lee, Barber & Willett, *Distribution-free inference with hierarchical data* (2023), equation 6.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj._stats.conformal import grouped_reach
    >>> grouped_reach(np.arange(1.0, 5), np.arange(4), confidence=0.8)
    4.0
    """
    _, which, cells = np.unique(unit, return_inverse=True, return_counts=True)
    order = np.argsort(missed, kind="stable")
    reached = np.cumsum(1.0 / cells[which[order]]) / (len(cells) + 1)
    first = int(np.searchsorted(reached, confidence - _ROUNDING))
    return float(missed[order[first]]) if first < len(order) else math.inf
