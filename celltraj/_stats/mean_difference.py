"""Difference of the means of few samples, with Student's intervals and exact p values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from celltraj._card import card

_MOST_EXACT = 10_000  # relabellings that are all counted
_BLOCK = 1 << 22  # numbers held at once
_TIE = 1e-9  # relative; sums in another order differ by less


@card()
@dataclass(frozen=True)
class MeanDifference:
    """Hold the differences of ``k`` quantities.

    Parameters
    ----------
    effect
        ``(k,)`` differences of the means.
    lower, upper
        ``(k,)`` ends of the intervals, NaN where samples do not differ at all.
    p
        ``(k,)`` two-sided p values by relabelling.
    p_min
        The least p value that so few samples can have.
    """

    effect: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    p: np.ndarray
    p_min: float


def mean_difference(
    x: np.ndarray,
    reference: np.ndarray,
    *,
    confidence: float,
    n_permutations: int,
    rng: np.random.Generator,
) -> MeanDifference:
    """Return how far the means of two groups of samples are apart.

    ``mean x - mean reference`` with Welch's interval, and as p value the share of all ways to call
    ``n`` of the ``n + m`` samples ``x`` whose means are as far apart in units of Welch's standard
    error; of more than 10,000 ways ``n_permutations`` are drawn. Exact where samples of both groups
    have one law, and closer than by means alone where they only have one mean.

    Parameters
    ----------
    x, reference
        ``(n, k)`` and ``(m, k)`` samples, two or more each.
    confidence
        Level of the intervals.
    n_permutations
        Relabellings to draw where not all are counted.
    rng
        Source of those.

    Returns
    -------
    The difference of each quantity.

    References
    ----------
    Welch, *The generalization of "Student's" problem when several different population variances
    are involved* (1947); Janssen, *Studentized permutation tests for non-i.i.d. hypotheses and the
    generalized Behrens-Fisher problem* (1997); Phipson & Smyth, *Permutation p-values should never
    be zero* (2010).

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj._stats.mean_difference import mean_difference
    >>> a, b = np.array([[4.0], [5], [6]]), np.array([[1.0], [2], [3]])
    >>> rng = np.random.default_rng(0)
    >>> found = mean_difference(a, b, confidence=0.95, n_permutations=99, rng=rng)
    >>> found.effect, found.p, found.p_min  # 2 of 20 ways
    (array([3.]), array([0.1]), 0.1)
    """
    n, m = len(x), len(reference)
    effect = x.mean(0) - reference.mean(0)
    a, b = x.var(0, ddof=1) / n, reference.var(0, ddof=1) / m
    with np.errstate(invalid="ignore"):
        freedom = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (m - 1))
    lower, upper = _interval(effect, np.sqrt(a + b), freedom, confidence)
    pooled = np.concatenate([x, reference])
    pooled = pooled - pooled.mean(0)
    n_ways = math.comb(n + m, n)
    exact = n_ways <= _MOST_EXACT
    ways = _subsets(n + m, n) if exact else _drawn_subsets(n + m, n, n_permutations, rng)
    p = _share_of_subsets(pooled, n, ways, 0 if exact else 1)
    least = (2 if n == m else 1) / n_ways if exact else 1 / (1 + n_permutations)
    return MeanDifference(effect, lower, upper, p, least)


def paired_difference(
    x: np.ndarray,
    reference: np.ndarray,
    *,
    confidence: float,
    n_permutations: int,
    rng: np.random.Generator,
) -> MeanDifference:
    """Return the mean difference of samples that were seen twice.

    ``mean (x - reference)`` with Student's interval, and as p value the share of all ways to swap
    the two values of some samples that leave a mean as far from zero; of more than 10,000 ways
    ``n_permutations`` are drawn.

    Parameters
    ----------
    x, reference
        ``(n, k)`` values of the same samples in the same order.
    confidence
        Level of the intervals.
    n_permutations
        Swaps to draw where not all are counted.
    rng
        Source of those.

    Returns
    -------
    The difference of each quantity.

    References
    ----------
    Fisher, *The design of experiments* (1935), section 21.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj._stats.mean_difference import paired_difference
    >>> a, b = np.array([[2.0], [4], [9]]), np.array([[1.0], [2], [3]])
    >>> rng = np.random.default_rng(0)
    >>> found = paired_difference(a, b, confidence=0.95, n_permutations=99, rng=rng)
    >>> found.effect, found.p, found.p_min  # 2 of 8 ways
    (array([3.]), array([0.25]), 0.25)
    """
    difference = x - reference
    n = len(difference)
    effect = difference.mean(0)
    error = np.sqrt(difference.var(0, ddof=1) / n)
    freedom = np.where(error > 0, n - 1.0, np.nan)
    lower, upper = _interval(effect, error, freedom, confidence)
    p, least = share_of_signs(difference, n_permutations=n_permutations, rng=rng)
    return MeanDifference(effect, lower, upper, p, least)


def share_of_signs(
    values: np.ndarray, *, n_permutations: int, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """Return the share of ways to swap signs of ``(n, k)`` that leave a mean as far from zero.

    And the least share that there can be. Of more than 10,000 ways ``n_permutations`` are drawn.
    """
    n = len(values)
    exact = 2**n <= _MOST_EXACT
    width = max(1, _BLOCK // (2**n if exact else n_permutations))
    shares = []
    for first in range(0, values.shape[1], width):
        part = values[:, first : first + width]
        ways = _signs(n) if exact else _drawn_signs(n, n_permutations, rng)
        shares.append(_share(part.sum(0), part, ways, 0 if exact else 1))
    return np.concatenate(shares), 2 / 2**n if exact else 1 / (1 + n_permutations)


def _interval(
    effect: np.ndarray, error: np.ndarray, freedom: np.ndarray, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    half = student.ppf((1 + confidence) / 2, freedom) * error
    return effect - half, effect + half


def _share(
    observed: np.ndarray, values: np.ndarray, ways: Iterator[np.ndarray], before: int
) -> np.ndarray:
    """Return the share of ways, rows of ``(b, n)``, whose sum is as far from zero as observed.

    ``before`` counts the observed one among drawn ways.
    """
    least = np.abs(observed) - _TIE * np.abs(values).sum(0)
    count, total = np.full(len(observed), before), before
    for block in ways:
        count = count + (np.abs(block @ values) >= least).sum(0)
        total += len(block)
    return count / total


def _share_of_subsets(
    values: np.ndarray, n: int, ways: Iterator[np.ndarray], before: int
) -> np.ndarray:
    """Return the share of ways to choose ``n`` rows that differ as much from the rest as the first.

    ``values`` are centred; ``before`` counts the observed one among drawn ways.
    """
    observed = _apart((np.arange(len(values)) < n)[None].astype(float), values, n)
    count, total = np.full(values.shape[1], before), before
    for block in ways:
        distance, error = _apart(block, values, n)
        # multiplied crosswise: of samples that do not differ the error is zero
        reach = distance * observed[1] - observed[0] * error
        count = count + (reach >= -_TIE * distance * observed[1]).sum(0)
        total += len(block)
    return count / total


def _apart(ways: np.ndarray, values: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return squared differences of means and Welch's squared errors, ``(b, k)`` each."""
    m = len(values) - n
    sums, squares = ways @ values, ways @ values**2
    total = (values**2).sum(0)
    floor = _TIE * total  # what is left of equal numbers by rounding
    one, rest = squares - sums**2 / n, total - squares - sums**2 / m
    one, rest = (np.where(part <= floor, 0.0, part) for part in (one, rest))
    return (sums / n + sums / m) ** 2, one / (n * (n - 1)) + rest / (m * (m - 1))


def _subsets(n: int, size: int) -> Iterator[np.ndarray]:
    chosen = np.array(list(itertools.combinations(range(n), size)))
    block = np.zeros((len(chosen), n))
    np.put_along_axis(block, chosen, 1.0, axis=1)
    yield block


def _drawn_subsets(
    n: int, size: int, number: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    first = np.arange(n) < size
    for part in _parts(number, n):
        yield rng.permuted(np.tile(first, (part, 1)), axis=1).astype(float)


def _signs(n: int) -> Iterator[np.ndarray]:
    yield np.array(list(itertools.product((1.0, -1.0), repeat=n)))


def _drawn_signs(n: int, number: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    for part in _parts(number, n):
        yield rng.choice((1.0, -1.0), size=(part, n))


def _parts(number: int, n: int) -> Iterator[int]:
    size = max(1, _BLOCK // n)
    for first in range(0, number, size):
        yield min(size, number - first)
