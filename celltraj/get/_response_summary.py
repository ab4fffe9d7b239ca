"""Sum up what was measured of responses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from celltraj._checks import checked
from celltraj._stats.interval import bootstrap_interval, resampled_counts, resampled_means
from celltraj.models._response_baselines import FLOOR, NO_CHANGE, SHUFFLED, TRUTH
from celltraj.models._response_scores import DISTANCES, SIZE

R2, RANKS = "shift_r2", "size_rank_correlation"
_RISING = ("shift_cosine", R2, RANKS)  # more is better
_COLUMNS = ("left_out", "population", "condition", "method", "metric", "value", "seed")
_CASE = ["left_out", "population", "condition", "seed"]
_FEWEST = 5  # populations: of fewer, all agree too often by chance


@checked
def response_summary(
    scores: pd.DataFrame, *, n_bootstrap: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Average held-out scores over populations, with intervals, skill and a verdict on phi.

    ``skill = 1 - (d - floor) / (d_no_change - floor)`` of the distances: 1 at the noise floor, 0
    for no change. Scores are averaged within each population first, over conditions, folds and
    seeds; populations, not cells, are what is drawn anew in the bootstrap. The halves behind the
    floor are smaller than what is compared, so that skill may come out a little above 1.

    Parameters
    ----------
    scores
        Result of :func:`celltraj.tl.cross_validate_response`, also from a file, or several of them
        below each other, such as those of several seeds.
    n_bootstrap
        Resamples of the populations.
    seed
        Seed of the resamples.

    Returns
    -------
    One row per method and metric: method, metric; mean, low, high (95 %); skill, skill_low,
    skill_high, NaN where there is none: of other metrics, and of populations whose treated cells
    differ from the untreated ones by no more than the floor; verdict, a text: for a model with an
    encoder or a crowd whether it does better than when told of another population, ``"yes"`` or
    ``"no"`` where the interval of the difference excludes zero, from five populations on; else
    empty. ``shift_r2`` is pooled, with each population and condition as heavy as its squared true
    shift, since a share of next to nothing says nothing. ``size_rank_correlation`` is Spearman's,
    over populations and conditions, of predicted and true size of the mean shift; of a prediction
    that is the mean over all other populations, such as ``shift``, it tends to -1 where all are
    alike.

    Raises
    ------
    TypeError
        ``scores`` is not a DataFrame.
    ValueError
        It lacks a column or has no rows, or ``n_bootstrap`` is below 2.

    References
    ----------
    Hesterberg, *What teachers should know about the bootstrap* (2015): the quantiles are expanded
    for few populations.

    Examples
    --------
    >>> import celltraj as ct, pandas as pd
    >>> scores = pd.DataFrame({
    ...     "left_out": list("abc") * 3, "population": list("abc") * 3, "condition": "drug",
    ...     "method": ["floor"] * 3 + ["no_change"] * 3 + ["response"] * 3, "metric": "W1",
    ...     "value": [1.0] * 3 + [5.0] * 3 + [2.0, 3.0, 4.0], "seed": 0,
    ... })
    >>> ct.get.response_summary(scores).set_index("method")["skill"].tolist()
    [1.0, 0.0, 0.5]
    """
    table = _checked(scores)
    if n_bootstrap < 2:
        raise ValueError(f"n_bootstrap must be at least 2; found {n_bootstrap}")
    wide = table.pivot_table(index=_CASE, columns=["method", "metric"], values="value")
    names = pd.unique(table["population"])
    rng = np.random.default_rng(seed)
    cases = _Cases(wide, names, resampled_counts(len(names), n_bootstrap, rng=rng))
    rows = [cases.row(method, metric) for method, metric in _rows(table)]
    return pd.DataFrame(rows, columns=list(_Row._fields))


def _checked(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a value, names as text whatever a file made of them."""
    if not isinstance(scores, pd.DataFrame):
        raise TypeError(
            "scores must be the table of ct.tl.cross_validate_response; found "
            f"{type(scores).__name__}"
        )
    if missing := [name for name in _COLUMNS if name not in scores]:
        raise ValueError(
            f"scores lack the columns {missing}; make them with ct.tl.cross_validate_response"
        )
    table = scores[scores["value"].notna()]
    if table.empty:
        raise ValueError("scores have no rows with a value")
    texts = ["left_out", "population", "condition", "method", "metric"]
    return table.astype(dict.fromkeys(texts, str))


def _rows(table: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield method and metric of every row of the summary, in the order of the scores."""
    metrics = pd.unique(table["metric"]).tolist()
    has_truth = bool(((table["method"] == TRUTH) & (table["metric"] == SIZE)).any())
    there = set(zip(table["method"], table["metric"], strict=True))
    for method in pd.unique(table["method"]).tolist():
        yield from ((method, metric) for metric in metrics if (method, metric) in there)
        if has_truth and (method, SIZE) in there and method not in (TRUTH, NO_CHANGE):
            yield method, RANKS


class _Row(NamedTuple):
    method: str
    metric: str
    mean: float
    low: float
    high: float
    skill: float
    skill_low: float
    skill_high: float
    verdict: str


class _Estimate(NamedTuple):
    """A statistic, what it is in every resample, and of how many populations."""

    value: float
    draws: np.ndarray
    n: int

    def interval(self) -> tuple[float, float]:
        return bootstrap_interval(self.draws, self.n)


@dataclass(frozen=True)
class _Cases:
    """Hold the scores with a column for each method and metric, and the resamples."""

    wide: pd.DataFrame
    populations: np.ndarray
    counts: np.ndarray  # (b, n)

    def row(self, method: str, metric: str) -> _Row:
        found = self._estimate(method, metric)
        skill = self._skill(method, metric)
        verdict = self._verdict(method, metric)
        return _Row(
            method, metric, found.value, *found.interval(), skill.value, *skill.interval(), verdict
        )

    def _estimate(self, method: str, metric: str, *alongside: str) -> _Estimate:
        """Return the mean of a method, over the cases that other methods have as well."""
        columns = [(name, SIZE if metric == RANKS else metric) for name in (method, *alongside)]
        if metric == RANKS:
            return self._rank_correlation(columns)
        if metric == R2 and (TRUTH, SIZE) in self.wide:
            return self._pooled(columns)
        return self._mean(self._by_population(columns).iloc[:, 0])

    def _by_population(self, columns: list[tuple[str, str]]) -> pd.DataFrame:
        """Return the mean of each column in each population, over cases that have all of them."""
        complete = self.wide[columns].dropna()
        return complete.groupby(level="population").mean().reindex(self.populations)

    def _mean(self, values: pd.Series) -> _Estimate:
        array = values.to_numpy(float)
        n = int(np.isfinite(array).sum())
        value = float(np.nanmean(array)) if n else math.nan
        return _Estimate(value, resampled_means(array, self.counts), n)

    def _skill(self, method: str, metric: str) -> _Estimate:
        columns = [(name, metric) for name in dict.fromkeys((method, FLOOR, NO_CHANGE))]
        if metric not in DISTANCES or any(one not in self.wide for one in columns):
            return _Estimate(math.nan, np.empty(0), 0)
        means = self._by_population(columns)
        distance, floor, none = (means[name, metric] for name in (method, FLOOR, NO_CHANGE))
        reach = (none - floor).where(none > floor)
        return self._mean(1 - (distance - floor) / reach)

    def _verdict(self, method: str, metric: str) -> str:
        shuffled = method + SHUFFLED
        if metric == SIZE or (shuffled, SIZE if metric == RANKS else metric) not in self.wide:
            return ""
        own = self._estimate(method, metric, shuffled)
        other = self._estimate(shuffled, metric, method)
        gain = own.draws - other.draws if metric in _RISING else other.draws - own.draws
        low, high = bootstrap_interval(gain, own.n)
        answer = "yes" if low > 0 else "no" if high < 0 else "cannot tell"
        if own.n < _FEWEST:
            answer = "cannot tell"
        return (
            f"better_than_shuffled_phi: {answer} (95 % interval of the difference {low:.3g}.."
            f"{high:.3g} over {own.n} populations)"
        )

    def _pooled(self, columns: list[tuple[str, str]]) -> _Estimate:
        """Return the mean of the first column, every case as heavy as its squared true size."""
        complete = self.wide[[*columns, (TRUTH, SIZE)]].dropna()
        weight = complete[TRUTH, SIZE] ** 2
        parts = pd.DataFrame({"sum": complete[columns[0]] * weight, "weight": weight})
        sums = parts.groupby(level="population").sum().reindex(self.populations, fill_value=0.0)
        n = int((sums["weight"] > 0).sum())
        totals = np.concatenate([np.ones((1, len(sums))), self.counts]) @ sums.to_numpy()
        with np.errstate(invalid="ignore"):
            ratios = totals[:, 0] / totals[:, 1]
        return _Estimate(float(ratios[0]), ratios[1:], n)

    def _rank_correlation(self, columns: list[tuple[str, str]]) -> _Estimate:
        sizes = self.wide[list(dict.fromkeys([*columns, (TRUTH, SIZE)]))].dropna()
        owner = pd.Index(self.populations).get_indexer(sizes.index.get_level_values("population"))
        predicted, true = sizes[columns[0]].to_numpy(float), sizes[TRUTH, SIZE].to_numpy(float)
        once = np.ones((1, len(sizes)))
        value = float(spearman(predicted, true, once)[0])
        draws = spearman(predicted, true, self.counts[:, owner])
        return _Estimate(value, draws, len(np.unique(owner)))


def spearman(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the rank correlation of ``x`` and ``y``, ``(n,)``, in each resample.

    Parameters
    ----------
    x, y
        ``(n,)`` values.
    counts
        ``(b, n)`` how often each is drawn.

    Returns
    -------
    ``(b,)`` correlations, NaN where all values of a resample are the same.

    References
    ----------
    Spearman, *The proof and measurement of association between two things* (1904).

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.get._response_summary import spearman
    >>> spearman(np.array([1.0, 2, 3]), np.array([1.0, 4, 9]), np.ones((1, 3)))
    array([1.])
    """
    total = counts.sum(1, keepdims=True)
    centred = []
    for values in (x, y):
        before = (values < values[:, None]) + (values == values[:, None]) / 2
        ranks = counts @ before.T
        centred.append(ranks - (counts * ranks).sum(1, keepdims=True) / np.maximum(total, 1))
    a, b = centred
    spread = np.sqrt((counts * a**2).sum(1) * (counts * b**2).sum(1))
    is_flat = spread <= 1e-9 * np.maximum(total[:, 0], 1) ** 3
    return np.where(is_flat, np.nan, (counts * a * b).sum(1) / np.where(is_flat, 1, spread))
