"""Held-out scores in words: what is the floor, what needs no model, and how models compare."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from celltraj.models.evaluation import (
    BASELINES,
    DISTANCES,
    FLOOR,
    REPLICATES,
    RISING,
    SIZE,
    TRUTH,
    ScoreTable,
)
from celltraj.pl._report.markup import number

_TOLD = {  # what predicts without a model, in words
    REPLICATES: "random halves of the samples, compared with each other: another experiment",
    "previous": "the cells of the time before, unchanged",
    "next": "the cells of the time after, unchanged",
    "mixture": "cells of the times before and after, mixed",
    "displacement": "straight lines between the times before and after, along exact transport",
    "displacement_shrunk": "these straight lines, with their scatter drawn in",
    "chain_cubic": "smooth curves through chains of cells",
    "chain_pchip": "monotone curves through chains of cells",
    "no_change": "the untreated cells, unchanged",
    "shift": "the untreated cells, moved by the mean shift of the training",
    "shift_by_type": "the same for each cell type",
    "pooled": "the treated cells of the training populations",
    "neighbours": "the untreated cells, moved as those nearest in other populations",
    "neighbours_drawn": "the same, each as one of these at random",
    "neighbours_centred": "the same, with populations laid on each other",
    "oracle_shift": "the untreated cells, moved by their true mean shift, which no one knows",
}


def scores_in_words(scores: ScoreTable, summary: pd.DataFrame) -> Iterator[tuple[str, list[str]]]:
    """Yield each metric with what is to be said of it.

    Parameters
    ----------
    scores
        Held-out scores.
    summary
        What :func:`celltraj.models.evaluation.summarised` makes of them.
    """
    names = set(map(str, summary["method"]))
    needs_none = {FLOOR, REPLICATES, TRUTH, *scores.design.trivial, *BASELINES}
    unit = "populations" if scores.is_response else "times"
    for metric, rows in summary.groupby("metric", sort=False):
        found = rows.set_index(rows["method"].astype(str))
        said = [_scale_in_words(str(metric))]
        said += _floor_in_words(found)
        said += _trivial_in_words(found, metric)
        said += [
            _model_in_words(name, found.loc[name], unit, is_rising=metric in RISING)
            for name in found.index
            if name in names - needs_none
        ]
        yield str(metric), said


def trivial_methods(scores: ScoreTable) -> list[str]:
    """Say what each row is that needs no model."""
    there = set(map(str, scores.frame["method"]))
    said = [f"{name}: {words}" for name, words in _TOLD.items() if name in there]
    floor = ["floor: random halves of the held-out cells, compared with each other"]
    return floor * (FLOOR in there) + said


def _scale_in_words(metric: str) -> str:
    if metric in DISTANCES:
        return f"{metric} is a distance from the held-out cells: less is better."
    if metric == SIZE:
        return f"{metric} is the length of the mean shift: better the nearer to that of {TRUTH}."
    return f"{metric}: {'more' if metric in RISING else 'less'} is better."


def _floor_in_words(found: pd.DataFrame) -> Iterator[str]:
    if FLOOR in found.index:
        yield (
            f"The floor is {number(found.loc[FLOOR, 'mean'])}: random halves of the held-out cells "
            "are as far from each other, and no prediction is expected to come nearer, or only by "
            "as little as halves are fewer cells."
        )


def _trivial_in_words(found: pd.DataFrame, metric: object) -> Iterator[str]:
    """Yield what the best answer without a model is."""
    best = next((str(one) for one in found["trivial"] if one), None)
    if best is not None and best in found.index:
        told = f" ({_TOLD[best]})" if best in _TOLD else ""
        yield f"The best answer without a model is {best}{told}, with {_mean(found.loc[best])}."


def _model_in_words(name: str, row: pd.Series[Any], unit: str, *, is_rising: bool) -> str:
    """Say how a model compares with the best answer without one."""
    words = f"{name} has {_mean(row)}"
    if not row["trivial"] or pd.isna(row["excess"]):
        return f"{words}."
    sign = -1 if is_rising else 1
    low, high = sorted((sign * row["excess_low"], sign * row["excess_high"]))
    verdict = "is not told apart from"
    if high < 0:
        verdict = "is better than"
    elif low > 0:
        verdict = "is worse than"
    words += f": it {verdict} {row['trivial']}, with a difference of {number(row['excess'])}"
    words += f" [{number(row['excess_low'])}, {number(row['excess_high'])}]"
    if not pd.isna(row["won"]):
        words += (
            f", and has the better score at {row['won']} of {row['n_held_out']} held-out {unit}"
        )
    if not pd.isna(row["skill"]):
        words += f"; its skill is {number(row['skill'])}, where 1 is the floor and 0 no change"
    return f"{words}."


def _mean(row: pd.Series[Any]) -> str:
    return f"{number(row['mean'])} [{number(row['low'])}, {number(row['high'])}]"
