"""Sum up held-out scores: means, intervals, skill, and what was won over trivial answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from celltraj._stats.interval import bootstrap_interval, resampled_counts, resampled_means
from celltraj.models.evaluation.estimates import NONE, RANKS, RISING, Estimates
from celltraj.models.evaluation.response_baselines import NO_CHANGE
from celltraj.models.evaluation.response_scores import AIMS, SIZE
from celltraj.models.evaluation.rows import CONTROLS, FLOOR, TRUTH
from celltraj.models.evaluation.table import ScoreTable

_FEWEST = 5  # units for a verdict: of fewer, all agree too often by chance


class _Row(NamedTuple):
    method: str
    metric: str
    mean: float
    low: float
    high: float
    floor: float
    trivial: str
    excess: float
    excess_low: float
    excess_high: float
    won: int | None
    n_held_out: int
    skill: float
    skill_low: float
    skill_high: float
    verdict: str


def summarised(scores: ScoreTable, *, n_bootstrap: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Return one row per method and metric.

    Scores are averaged within each unit first, over conditions, folds and seeds; units are what is
    drawn anew in the bootstrap: populations of responses, held-out times else.

    Parameters
    ----------
    scores
        Held-out scores.
    n_bootstrap
        Resamples of the units.
    seed
        Seed of the resamples.

    Returns
    -------
    Columns method, metric; mean, low, high (95 %); floor, over the same cases; trivial, the best
    row without a model; excess, excess_low, excess_high, how much more the method has than that
    one; won, in how many of the n_held_out units it is better than that; skill, skill_low,
    skill_high; verdict on models that are also told another population.

    Raises
    ------
    ValueError
        No row has a value.

    Examples
    --------
    >>> from celltraj.models.evaluation import Score, ScoreTable, summarised
    >>> scores = ScoreTable.of([Score("previous", 1.0, "W1", 3.0), Score("mine", 1.0, "W1", 1.0)],
    ...     seed=0)
    >>> summarised(scores)[["method", "mean", "excess", "won", "n_held_out"]].values.tolist()
    [['previous', 3.0, 0.0, 0, 1], ['mine', 1.0, -2.0, 1, 1]]
    """
    known = scores.known()
    estimates = Estimates.of(known, n_bootstrap=n_bootstrap, seed=seed)
    best = {metric: estimates.best_trivial(metric) for _, metric in _rows(known.frame)}
    rows = [_row(estimates, method, metric, best[metric]) for method, metric in _rows(known.frame)]
    return pd.DataFrame(rows, columns=list(_Row._fields)).astype({"won": "Int64"})


def mean_interval(
    values: np.ndarray, *, n_bootstrap: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean of ``values (n,)``.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.models.evaluation import mean_interval
    >>> mean_interval(np.full(4, 2.5))
    (2.5, 2.5)
    """
    counts = resampled_counts(len(values), n_bootstrap, rng=np.random.default_rng(seed))
    return bootstrap_interval(resampled_means(values, counts), len(values))


def _rows(table: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield method and metric of every row of the summary, in the order of the scores."""
    metrics = pd.unique(table["metric"]).tolist()
    has_truth = bool(((table["method"] == TRUTH) & (table["metric"] == SIZE)).any())
    there = set(zip(table["method"], table["metric"], strict=True))
    for method in pd.unique(table["method"]).tolist():
        yield from ((method, metric) for metric in metrics if (method, metric) in there)
        if has_truth and (method, SIZE) in there and method not in (TRUTH, NO_CHANGE):
            yield method, RANKS


def _row(estimates: Estimates, method: str, metric: str, trivial: str | None) -> _Row:
    found, skill = estimates.estimate(method, metric), estimates.skill(method, metric)
    excess = NONE if trivial is None else estimates.difference(method, trivial, metric)
    won, n = None, found.n
    if trivial is not None and metric != RANKS:  # a rank correlation has no value in one unit
        won, n = estimates.won(method, trivial, metric)
    floor = estimates.estimate(FLOOR, metric, method).value
    return _Row(
        *(method, metric, found.value, *found.interval(), floor),
        *(trivial or "", excess.value, *excess.interval(), won, n),
        *(skill.value, *skill.interval(), _verdict(estimates, method, metric)),
    )


def _verdict(estimates: Estimates, method: str, metric: str) -> str:
    """Say whether a model does better than when it is told of another population, part by part."""
    column = SIZE if metric == RANKS else metric
    if metric == SIZE or metric in AIMS:
        return ""
    told = [one for one in CONTROLS if (method + one, column) in estimates.wide]
    return "; ".join(_better_than(estimates, method, one, metric) for one in told)


def _better_than(estimates: Estimates, method: str, control: str, metric: str) -> str:
    """Say whether a model does better than in one of its controls."""
    other = method + control
    ahead, behind = (method, other) if metric in RISING else (other, method)
    gain = estimates.difference(ahead, behind, metric)
    low, high = gain.interval()
    answer = "yes" if low > 0 else "no" if high < 0 else "cannot tell"
    if gain.n < _FEWEST:
        answer = "cannot tell"
    name = control.strip(" ()").replace(" ", "_")
    return (
        f"better_than_{name}: {answer} (95 % interval of the difference {low:.3g}.."
        f"{high:.3g} over {gain.n} populations)"
    )
