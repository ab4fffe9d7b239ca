"""Intervals by the bootstrap over few populations."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import norm, t

_LEVEL = 0.95


def resampled_counts(n: int, n_bootstrap: int, *, rng: np.random.Generator) -> np.ndarray:
    """Return how often each of ``n`` populations is drawn, ``(n_bootstrap, n)``, rows sum to n."""
    return rng.multinomial(n, np.full(n, 1 / n), size=n_bootstrap)


def resampled_means(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the mean of ``values (n,)`` in each resample, NaN where it holds no finite one."""
    is_known = np.isfinite(values)
    total = counts[:, is_known].sum(1)
    sums = counts[:, is_known] @ values[is_known]
    return np.where(total > 0, sums / np.maximum(total, 1), np.nan)


def bootstrap_interval(draws: np.ndarray, n: int) -> tuple[float, float]:
    """Return the expanded 95 % percentile interval of a statistic of ``n`` populations.

    The quantiles ``Phi(-+ sqrt(n / (n - 1)) t)``, with ``t`` the .975 quantile of Student's
    distribution with ``n - 1`` degrees of freedom, in place of .025 and .975: plain percentiles are
    too narrow for few populations, since a resample spreads by ``(n - 1) / n`` of the variance and
    its quantiles are those of a normal distribution. No quantile goes beyond the least and the
    greatest population, between which the centre of a symmetric law lies in ``1 - 2^(1 - n)`` of
    cases: of fewer than six populations it holds the truth less often than in 95 % (.75 of three).

    Parameters
    ----------
    draws
        ``(b,)`` the statistic in resamples; those that are NaN do not count.
    n
        Number of populations.

    Returns
    -------
    Both ends, NaN with fewer than two populations.

    References
    ----------
    Hesterberg, *What teachers should know about the bootstrap* (2015), section 5.3.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj._stats.interval import bootstrap_interval
    >>> [round(end, 3) for end in bootstrap_interval(np.linspace(0, 1, 1001), 10)]
    [0.009, 0.991]
    """
    known = draws[np.isfinite(draws)]
    if n < 2 or len(known) == 0:
        return math.nan, math.nan
    tail = norm.cdf(-math.sqrt(n / (n - 1)) * t.ppf((1 + _LEVEL) / 2, n - 1))
    low, high = np.quantile(known, [tail, 1 - tail]).tolist()
    return low, high


def percentile_interval(draws: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the percentile interval of each of ``k`` statistics from ``(b, k)`` resamples.

    Order statistics at ``(b + 1) p``: a further draw falls inside with the stated probability,
    where interpolation between the extremes of few draws would promise too much. Resamples where a
    statistic is NaN do not count for it.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj._stats.interval import percentile_interval
    >>> [end.round(6).tolist() for end in percentile_interval(np.arange(39.0)[:, None], 0.95)]
    [[0.0], [38.0]]
    """
    ends = []
    for p in ((1 - confidence) / 2, (1 + confidence) / 2):
        columns = (column[np.isfinite(column)] for column in draws.T)
        ends.append(
            np.array([np.quantile(c, p, method="weibull") if len(c) else math.nan for c in columns])
        )
    return ends[0], ends[1]


def student_interval(
    estimate: np.ndarray, draws: np.ndarray, n: int, confidence: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return standard error and ends of Student's interval of statistics of ``n`` units.

    ``estimate -+ t sqrt(n / (n - 1)) s``: ``s`` is the standard deviation over resamples, which
    spread by ``(n - 1) / n`` of the variance, and ``t`` the quantile with ``n - 1`` degrees of
    freedom. For the mean of ``n`` units it is Student's interval of these. Percentiles of so few
    units end at the most extreme of them.

    Parameters
    ----------
    estimate
        ``(k,)`` statistics of all units.
    draws
        ``(b, k)`` the same of resamples.
    n
        Units, two or more.
    confidence
        Level.

    References
    ----------
    Hesterberg, *What teachers should know about the bootstrap* (2015), section 5.3.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj._stats.interval import student_interval
    >>> error, low, high = student_interval(np.zeros(1), np.array([[-1.0], [1.0]]), 2, 0.5)
    >>> error.round(6).tolist(), high.round(6).tolist()
    ([2.0], [2.0])
    """
    known = np.isfinite(draws)
    counts = known.sum(0)
    # a statistic that no two resamples have spreads by nobody knows how much
    mean = np.where(known, draws, 0.0).sum(0) / np.maximum(counts, 1)
    squares = np.where(known, (draws - mean) ** 2, 0.0).sum(0)
    spread = np.sqrt(np.where(counts > 1, squares / np.maximum(counts - 1, 1), math.nan))
    error = spread * math.sqrt(n / (n - 1))
    reach = error * t.ppf((1 + confidence) / 2, n - 1)
    return error, estimate - reach, estimate + reach
