"""Means of held-out scores with their resamples over what was held out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from celltraj._stats.interval import bootstrap_interval, resampled_counts, resampled_means
from celltraj._stats.rank_correlation import spearman
from celltraj.models.evaluation.distances import DISTANCES
from celltraj.models.evaluation.response_scores import AIMS, COSINE, R2, SIZE
from celltraj.models.evaluation.rows import FLOOR, TRUTH
from celltraj.models.evaluation.table import Design, ScoreTable

RANKS = "size_rank_correlation"
RISING = (COSINE, R2, RANKS)  # more is better
Column = tuple[str, str]  # method, metric


class Estimate(NamedTuple):
    """A statistic, what it is in every resample, and of how many units."""

    value: float
    draws: np.ndarray
    n: int

    def interval(self) -> tuple[float, float]:
        """Return the ends of its 95 % interval."""
        return bootstrap_interval(self.draws, self.n)

    def minus(self, other: Estimate) -> Estimate:
        """Return the difference from another one of the same resamples."""
        return Estimate(self.value - other.value, self.draws - other.draws, self.n)


NONE = Estimate(math.nan, np.empty(0), 0)


@dataclass(frozen=True)
class Estimates:
    """Hold the scores with a column for each method and metric, and resamples of the units.

    Parameters
    ----------
    design
        How the table is read.
    wide
        Scores by case, columns by method and metric.
    units
        ``(n,)`` names of what is drawn anew.
    counts
        ``(b, n)`` how often each is drawn in each resample.
    """

    design: Design
    wide: pd.DataFrame
    units: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, scores: ScoreTable, *, n_bootstrap: int, seed: int) -> Estimates:
        """Return those of a table without empty values."""
        table, design = scores.frame, scores.design
        wide = table.pivot_table(
            index=list(design.case), columns=["method", "metric"], values="value"
        )
        units = np.asarray(pd.unique(table[design.unit]))
        rng = np.random.default_rng(seed)
        return cls(design, wide, units, resampled_counts(len(units), n_bootstrap, rng=rng))

    def estimate(self, method: str, metric: str, *alongside: str) -> Estimate:
        """Return the mean of a method, over the cases that other methods have as well."""
        column, names = SIZE if metric == RANKS else metric, dict.fromkeys((method, *alongside))
        columns = [(name, column) for name in names]
        if any(one not in self.wide for one in columns):
            return NONE
        if metric == RANKS:
            return self._rank_correlation(columns)
        if metric == R2 and (TRUTH, SIZE) in self.wide:
            return self._pooled(columns)
        return self._mean(self.by_unit(columns).iloc[:, 0])

    def difference(self, method: str, other: str, metric: str) -> Estimate:
        """Return how much more a method has than another one, over the cases of both."""
        return self.estimate(method, metric, other).minus(self.estimate(other, metric, method))

    def skill(self, method: str, metric: str) -> Estimate:
        """Return ``1 - (d - floor) / (d_nothing - floor)``, where nothing does worse than that."""
        columns = [(name, metric) for name in dict.fromkeys((method, FLOOR, self.design.nothing))]
        if metric not in DISTANCES or any(one not in self.wide for one in columns):
            return NONE
        means = self.by_unit(columns)
        distance, floor, none = (means[n, metric] for n in (method, FLOOR, self.design.nothing))
        reach = (none - floor).where(none > floor)
        return self._mean(1 - (distance - floor) / reach)

    def best_trivial(self, metric: str) -> str | None:
        """Return the best of the methods without a model, among those that say most."""
        if metric == SIZE or metric in AIMS:
            return None
        column = SIZE if metric == RANKS else metric
        there = [name for name in self.design.trivial if (name, column) in self.wide]
        known = {name: int(self.wide[name, column].notna().sum()) for name in there}
        values = {
            name: self.estimate(name, metric).value
            for name, n in known.items()
            if n == max(known.values())
        }
        sign = -1 if metric in RISING else 1
        ranked = {name: sign * value for name, value in values.items() if math.isfinite(value)}
        return min(ranked, key=lambda name: ranked[name]) if ranked else None

    def won(self, method: str, other: str, metric: str) -> tuple[int, int]:
        """Return in how many units a method is better than another, and of how many."""
        means = self.by_unit([(name, metric) for name in dict.fromkeys((method, other))]).dropna()
        gain = means[other, metric] - means[method, metric]
        return int(((-gain if metric in RISING else gain) > 0).sum()), len(means)

    def by_unit(self, columns: list[Column]) -> pd.DataFrame:
        """Return the mean of each column in each unit, over cases that have all of them."""
        complete = self.wide[columns].dropna()
        return complete.groupby(level=self.design.unit).mean().reindex(self.units)

    def _mean(self, values: pd.Series) -> Estimate:
        array = values.to_numpy(float)
        n = int(np.isfinite(array).sum())
        value = float(np.nanmean(array)) if n else math.nan
        return Estimate(value, resampled_means(array, self.counts), n)

    def _pooled(self, columns: list[Column]) -> Estimate:
        """Return the mean of the first column, every case as heavy as its squared true size."""
        complete = self.wide[[*columns, (TRUTH, SIZE)]].dropna()
        weight = complete[TRUTH, SIZE] ** 2
        parts = pd.DataFrame({"sum": complete[columns[0]] * weight, "weight": weight})
        sums = parts.groupby(level=self.design.unit).sum().reindex(self.units, fill_value=0.0)
        n = int((sums["weight"] > 0).sum())
        totals = np.concatenate([np.ones((1, len(sums))), self.counts]) @ sums.to_numpy()
        with np.errstate(invalid="ignore"):
            ratios = totals[:, 0] / totals[:, 1]
        return Estimate(float(ratios[0]), ratios[1:], n)

    def _rank_correlation(self, columns: list[Column]) -> Estimate:
        sizes = self.wide[list(dict.fromkeys([*columns, (TRUTH, SIZE)]))].dropna()
        owner = pd.Index(self.units).get_indexer(sizes.index.get_level_values(self.design.unit))
        predicted, true = sizes[columns[0]].to_numpy(float), sizes[TRUTH, SIZE].to_numpy(float)
        once = np.ones((1, len(sizes)))
        value = float(spearman(predicted, true, once)[0])
        draws = spearman(predicted, true, self.counts[:, owner])
        return Estimate(value, draws, len(np.unique(owner)))
