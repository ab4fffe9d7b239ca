"""Shares that are predicted of cells, brought to what units of cells were seen to do.

What is exchangeable are units: clones, donors, samples. Each counts once, however many cells it
has, and none is on two sides: some give the map, others the width, and a last part says how good
both are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.stats import t as student

from celltraj._stats.conformal import check_confidence, grouped_reach

_ASIDE = 5  # one of so many units is kept aside, to judge by
_MOST_BINS = 5
# times the least number of units of an interval, what a bin holds on average: with as few as that
# the width is that of the worst unit, and holds more than asked for
_ROOM = 4
_ONE_SIDED = 0.95  # of the test against a constant


@dataclass(frozen=True, eq=False)
class Told:
    """Hold what was predicted of cells, and what became of their units.

    Parameters
    ----------
    predicted
        ``(m, K)`` shares.
    truth
        ``(m, K)`` shares that were seen.
    unit
        ``(m,)`` whole numbers from 0, which unit a cell belongs to.
    lower, upper
        ``(m, K)`` ends of intervals that were predicted as well; None for none.
    """

    predicted: np.ndarray
    truth: np.ndarray
    unit: np.ndarray
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None

    def of(self, units: np.ndarray) -> Told:
        """Return the cells of some units."""
        here = np.isin(self.unit, units)
        ends = [None if one is None else one[here] for one in (self.lower, self.upper)]
        return Told(self.predicted[here], self.truth[here], self.unit[here], *ends)

    @property
    def weights(self) -> np.ndarray:
        """Weight of each cell, ``(m,)``: units count alike."""
        _, which, cells = np.unique(self.unit, return_inverse=True, return_counts=True)
        found: np.ndarray = 1.0 / (cells[which] * len(cells))
        return found


@dataclass(frozen=True, eq=False)
class Calibration:
    """Map predicted shares to those that units were seen to have, with intervals.

    Parameters
    ----------
    knots, values
        For each of ``K`` shares the points of an isotonic map, linear between them.
    edges
        For each share the ends of the bins of ``m`` that have a width of their own.
    reaches
        For each share the half width of each bin, in shares; infinite where too few units tell it.
    is_whole
        Whether the shares of a cell sum to 1.
    """

    knots: tuple[np.ndarray, ...]
    values: tuple[np.ndarray, ...]
    edges: tuple[np.ndarray, ...]
    reaches: tuple[np.ndarray, ...]
    is_whole: bool

    def mean(self, predicted: np.ndarray) -> np.ndarray:
        """Return the calibrated shares ``(m, K)`` of predicted ones."""
        columns = zip(predicted.T, self.knots, self.values, strict=True)
        found = np.column_stack([np.interp(*one) for one in columns])
        if not self.is_whole:
            return found
        total = found.sum(1, keepdims=True)
        base = np.array([one.mean() for one in self.values])
        found = np.where(total > 0, found, base)
        scaled: np.ndarray = found / found.sum(1, keepdims=True)
        return scaled

    def bins(self, predicted: np.ndarray) -> np.ndarray:
        """Return the bin ``(m, K)`` of each predicted share."""
        columns = zip(predicted.T, self.edges, strict=True)
        return np.column_stack([np.searchsorted(edges, m, side="right") for m, edges in columns])

    def interval(self, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the ends ``(m, K)`` of the intervals, within [0, 1]."""
        mean, bins = self.mean(predicted), self.bins(predicted)
        reach = np.column_stack([r[b] for r, b in zip(self.reaches, bins.T, strict=True)])
        return np.clip(mean - reach, 0, 1), np.clip(mean + reach, 0, 1)


def calibrated(
    told: Told, *, confidence: float, noun: str, generator: np.random.Generator
) -> tuple[Calibration, Told, np.ndarray]:
    """Return a calibration, the units kept aside, and the constant ``(K,)`` that needs no model.

    A fifth of the units is kept aside; of the others, half give the isotonic map ``m -> E[y | m]``
    and half the width of the intervals, by fifths of ``m``, fewer where units are few.

    Parameters
    ----------
    told
        Predictions and truth.
    confidence
        Share of new units that an interval holds, of each share by itself.
    noun
        What the units are called, for a message.
    generator
        Source of the division.

    Raises
    ------
    ValueError
        Fewer units than the confidence needs.

    References
    ----------
    Zadrozny & Elkan, *Transforming classifier scores into accurate multiclass probability
    estimates* (2002), for the map; Vovk, Gammerman & Shafer, *Algorithmic learning in a random
    world* (2005), section 4.5 for the bins.
    """
    units = generator.permutation(np.unique(told.unit))
    n_aside = len(units) // _ASIDE
    n_map = (len(units) - n_aside) // 2
    n_width = len(units) - n_aside - n_map
    if not n_aside:
        raise ValueError(f"{len(units)} {noun} are too few to calibrate by; at least 5 are needed")
    # the others give the map, or say how good both are
    check_confidence(n_width, confidence, f"{noun} for the width, two in five of {len(units)},")
    teaching = told.of(units[n_aside : n_aside + n_map])
    asked = told.of(units[n_aside + n_map :])
    found = _mapped(teaching, n_bins=_n_bins(n_map, confidence))
    missed = np.abs(found.mean(asked.predicted) - asked.truth)
    bins, reaches = found.bins(asked.predicted), []
    for k, edges in enumerate(found.edges):
        within = [bins[:, k] == b for b in range(len(edges) + 1)]
        reaches.append(
            np.array(
                [grouped_reach(missed[b, k], asked.unit[b], confidence=confidence) for b in within]
            )
        )
    constant = teaching.weights @ teaching.truth
    return replace(found, reaches=tuple(reaches)), told.of(units[:n_aside]), constant


def _n_bins(n_units: int, confidence: float) -> int:
    """Return into how many bins so many units can be divided."""
    needed = math.ceil(1 / (1 - confidence)) - 1
    return max(1, min(_MOST_BINS, n_units // (_ROOM * max(needed, 1))))


def _mapped(told: Told, *, n_bins: int) -> Calibration:
    """Return the isotonic maps of some units, and bins with as many units each."""
    weights, knots, values, edges = told.weights, [], [], []
    for m, y in zip(told.predicted.T, told.truth.T, strict=True):
        at, which = np.unique(m, return_inverse=True)
        weight = np.bincount(which, weights)
        mean = np.bincount(which, weights * y) / weight
        knots.append(at)
        values.append(np.asarray(isotonic_regression(mean, weights=weight).x))
        shares = np.arange(1, n_bins) / n_bins
        cuts = at[np.searchsorted(np.cumsum(weight), shares)]
        edges.append(np.unique(cuts[cuts > at[0]]))
    is_whole = bool(np.allclose(told.truth.sum(1), 1, atol=1e-6)) and len(knots) > 1
    return Calibration(tuple(knots), tuple(values), tuple(edges), (), is_whole)


@dataclass(frozen=True, eq=False)
class Verdict:
    """Hold how good predictions of ``K`` shares are on units that were kept aside.

    Parameters
    ----------
    coverage_before, coverage
        ``(K,)`` share of units whose truth the intervals hold, before and after; NaN without.
    error_before, error, error_constant
        ``(K,)`` mean squared errors, in shares squared.
    width
        ``(K,)`` mean width of the calibrated intervals.
    beats_constant
        ``(K,)`` whether the error is below that of a constant by more than chance.
    """

    coverage_before: np.ndarray
    coverage: np.ndarray
    error_before: np.ndarray
    error: np.ndarray
    error_constant: np.ndarray
    width: np.ndarray
    beats_constant: np.ndarray


def judged(aside: Told, calibration: Calibration, constant: np.ndarray) -> Verdict:
    """Return how good predictions are on units kept aside, each of which counts once."""
    mean, (lower, upper) = calibration.mean(aside.predicted), calibration.interval(aside.predicted)
    missing = np.full(len(constant), np.nan)
    before = missing
    if aside.lower is not None and aside.upper is not None:
        before = by_unit(_holds(aside.lower, aside.truth, aside.upper), aside.unit).mean(0)
    shares = (aside.predicted, mean, np.broadcast_to(constant, mean.shape))
    raw, after, plain = (by_unit((one - aside.truth) ** 2, aside.unit) for one in shares)
    gain = plain - after
    n = len(gain)
    spread = gain.std(0, ddof=1) / math.sqrt(n) if n > 1 else missing
    beats = gain.mean(0) > (student.ppf(_ONE_SIDED, n - 1) if n > 1 else np.nan) * spread
    return Verdict(
        before,
        by_unit(_holds(lower, aside.truth, upper), aside.unit).mean(0),
        raw.mean(0),
        after.mean(0),
        plain.mean(0),
        by_unit(upper - lower, aside.unit).mean(0),
        beats,
    )


def reliability(
    aside: Told, calibration: Calibration, k: int, *, confidence: float
) -> dict[str, np.ndarray]:
    """Return the reliability curve of a share: what was predicted and seen, bin by bin.

    Fifths of ``m`` over the units kept aside; a unit counts once in each bin that it has cells in.
    Bands are those of a mean over units, by Student's t. Entries ``before``, ``after`` (mean
    predicted shares), ``observed``, ``lower``, ``upper``, ``coverage`` and ``n_units``.
    """
    m, y = aside.predicted[:, k], aside.truth[:, k]
    cuts = np.quantile(m, np.arange(1, _MOST_BINS) / _MOST_BINS)
    bins = np.searchsorted(np.unique(cuts), m, side="right")
    mean, (low, high) = calibration.mean(aside.predicted), calibration.interval(aside.predicted)
    held = _holds(low[:, k], y, high[:, k])
    rows = []
    for one in np.unique(bins):
        here = bins == one
        values = np.column_stack([m, mean[:, k], y, held])[here]
        units = by_unit(values, aside.unit[here])
        n, at = len(units), units.mean(0)
        half = np.nan
        if n > 1:
            factor = student.ppf((1 + confidence) / 2, n - 1)
            half = factor * units[:, 2].std(ddof=1) / math.sqrt(n)
        ends = np.clip([at[2] - half, at[2] + half], 0, 1)
        rows.append([*at[:3], *ends, at[3], n])
    names = ("before", "after", "observed", "lower", "upper", "coverage", "n_units")
    return dict(zip(names, np.array(rows).T, strict=True))


def by_unit(values: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Return the mean ``(n, ...)`` of the cells of each unit."""
    _, which, cells = np.unique(unit, return_inverse=True, return_counts=True)
    total = np.zeros((len(cells), *values.shape[1:]))
    np.add.at(total, which, values)
    means: np.ndarray = total / cells.reshape(-1, *[1] * (values.ndim - 1))
    return means


def _holds(lower: np.ndarray, value: np.ndarray, upper: np.ndarray) -> np.ndarray:
    held: np.ndarray = ((lower <= value) & (value <= upper)).astype(float)
    return held
