"""Judge predicted expression of one population under its conditions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from celltraj.metrics import (
    GeneChanges,
    de_direction_match,
    de_overlap,
    differential_expression,
    discrimination_score,
    pearson_delta,
    pseudobulk_mae,
)

# in the words of cell-eval
MAE, PEARSON = "mae", "pearson_delta"
OVERLAP, DIRECTION, DISCRIMINATION = (
    "overlap_at_N",
    "de_direction_match",
    "discrimination_score_l1",
)
Cells = Mapping[str, np.ndarray]  # by condition


class GeneScore(NamedTuple):
    """One score.

    Parameters
    ----------
    condition
        Name of the condition.
    metric
        What is measured.
    value
        Of the prediction.
    ceiling
        Of one half of the observed treated cells as a prediction of the other.
    """

    condition: str
    metric: str
    value: float
    ceiling: float


def gene_scores(
    predicted: Cells, observed: Cells, control: np.ndarray, *, n_splits: int, seed: int
) -> list[GeneScore]:
    """Return all scores that are defined, with what halves of the truth have of each other.

    Parameters
    ----------
    predicted, observed
        ``(n, g)`` treated cells by condition, the same in both: ``log1p`` of normalised counts.
    control
        ``(k, g)`` untreated cells, from which changes are counted on both sides.
    n_splits
        Random splits that the ceiling is the mean of.
    seed
        Seed of the splits.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.models.evaluation.gene_scores import gene_scores
    >>> x = np.ones((4, 3))
    >>> gene_scores({"a": x}, {"a": x + 2}, x, n_splits=1, seed=0)[0]
    GeneScore(condition='a', metric='mae', value=2.0, ceiling=0.0)
    """
    values = _measured(predicted, observed, control)
    rng = np.random.default_rng(seed)
    ceilings = [_measured(*_halves(observed, rng), control) for _ in range(n_splits)]
    return [
        GeneScore(*case, value, _mean([one.get(case, math.nan) for one in ceilings]))
        for case, value in values.items()
        if not math.isnan(value)
    ]


def _measured(
    predicted: Cells, observed: Cells, control: np.ndarray
) -> dict[tuple[str, str], float]:
    """Return the scores by condition and metric, NaN where one is not defined."""
    found: dict[tuple[str, str], float] = {}
    for name, truth in observed.items():
        told = predicted[name]
        changes: list[GeneChanges] = [differential_expression(x, control) for x in (told, truth)]
        found[name, MAE] = pseudobulk_mae(told, truth)
        found[name, PEARSON] = pearson_delta(told, truth, control)
        found[name, OVERLAP] = de_overlap(*changes)
        found[name, DIRECTION] = de_direction_match(*changes)
    if len(observed) > 1:
        effects = [
            np.stack([cells[name].mean(0) - control.mean(0) for name in observed])
            for cells in (predicted, observed)
        ]
        ranks = discrimination_score(*effects)
        found |= {(name, DISCRIMINATION): float(r) for name, r in zip(observed, ranks, strict=True)}
    return found


def _halves(observed: Cells, rng: np.random.Generator) -> tuple[Cells, Cells]:
    """Return random halves of the cells under each condition, without the odd one."""
    orders = {name: rng.permutation(len(x)) for name, x in observed.items()}
    if min(map(len, orders.values())) < 2:
        raise ValueError("a noise ceiling needs at least two observed cells of every condition")
    first, second = (
        {name: x[orders[name][part::2][: len(x) // 2]] for name, x in observed.items()}
        for part in (0, 1)
    )
    return first, second


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
