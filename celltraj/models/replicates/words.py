"""What distances between samples and batches mean, in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_LEVEL = 0.05


def verdict_of(row: Mapping[str, Any], n_usable: int, *, fewest: int) -> str:
    """Return in words what the samples of a time say about intervals."""
    if row["n_samples"] == 1:
        return (
            "one sample: what is particular to it cannot be told from what is of its time, and no "
            "interval says how far another sample would lie"
        )
    if n_usable < 2:
        return f"fewer than two samples of {fewest} cells: their distances say nothing"
    ratio = row["W1_between"] / row["W1_within"] if row["W1_within"] > 0 else math.inf
    if row["p"] > _LEVEL:
        return (
            f"samples differ {ratio:.2g} times as much as cells drawn twice, no more than chance "
            f"allows (p = {row['p']:.2g}); few samples tell little, so prefer intervals by sample"
        )
    short = f"; a standard error by cell is {row['inflation']:.2g} times too short for the mean"
    return (
        f"samples differ {ratio:.2g} times as much as cells drawn twice (p = {row['p']:.2g}): "
        f"intervals must be by sample{short if row['inflation'] > 1 else ''}"
    )


def shift_in_words(row: Mapping[str, Any]) -> str | None:
    """Return in words how large the shift of batches is, None where too few cells tell it."""
    if not math.isfinite(row["excess"]):
        return None
    text = f"at time {row['time']:g} batches are {row['excess']:.2g} apart in energy distance "
    text += "above that of cells drawn twice"
    if math.isfinite(row["ratio"]):
        text += f", {row['ratio']:.2g} times what cells move to the times beside"
    if not math.isfinite(row["of_samples"]):
        return f"{text}; no batch has two samples there, so that batch and sample are one"
    return f"{text}; samples of one batch are {row['of_samples']:.2g} apart"
