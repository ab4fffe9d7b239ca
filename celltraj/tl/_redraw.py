"""Measure cells that were drawn anew, one draw after the other: what all bootstraps share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata.redrawn import redrawn
from celltraj._errors import warn
from celltraj._parallel import mapped
from celltraj._stats.units import Units

FEW = 2  # draws that an interval can be read from at all

Measure = Callable[[AnnData, int], pd.Series | None]


def measured_again(
    measure: Measure,
    cells: AnnData,
    units: Units,
    *,
    n_draws: int,
    seed: int,
    n_jobs: int,
    progress: bool,
    sample_key: str | None = None,
) -> list[pd.Series]:
    """Return what ``measure(cells, draw)`` makes of each draw, without those where it failed.

    Draws are numbered from 1. With ``sample_key`` a sample that was drawn twice is two samples.
    """
    work = mapped(
        partial(_measured, measure, units, seed, sample_key),
        ((draw,) for draw in range(1, n_draws + 1)),
        n_tasks=n_draws,
        what=("bootstrap", "draw"),
        shared=(cells,),
        n_jobs=n_jobs,
        progress=progress,
    )
    return [one for one in work if one is not None]


def _measured(
    measure: Measure, units: Units, seed: int, sample_key: str | None, cells: AnnData, draw: int
) -> pd.Series | None:
    drawn = units.draw(np.random.default_rng([seed, draw]))
    return measure(redrawn(cells, drawn, sample_key), draw)


def check_failures(n_found: int, n_draws: int, verb: str, why: str) -> None:
    """Raise where nearly all draws failed, and warn where some did.

    Raises
    ------
    ValueError
        Fewer than half of the draws, or than two, are left.
    """
    if n_found < max(FEW, n_draws // 2):
        raise ValueError(f"only {n_found} of {n_draws} resampled data sets could {verb}; {why}")
    if n_found < n_draws:
        warn(
            f"{n_draws - n_found} of {n_draws} resampled data sets could not {verb} and are left "
            "out"
        )
