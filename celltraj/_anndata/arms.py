"""Courses under several conditions, and what is known of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj._anndata.columns import column_of
from celltraj._anndata.named_cells import SHOWN, NamedCells
from celltraj._errors import FitWarning, some, warn
from celltraj.models.arms.courses import ArmCourses
from celltraj.models.response.condition import Value

_FEW_CELLS = 10  # of a condition at a time


def arm_courses(cells: NamedCells, covariates: Mapping[str, Mapping[str, Value]]) -> ArmCourses:
    """Return the snapshots of every condition.

    Raises
    ------
    ValueError
        Fewer than two conditions, none seen twice, or gaps too short beside others.
    """
    courses, once = {}, {}
    for name in cells.states.conditions:
        times = cells.states.times_of(name)
        if len(times) == 1:
            once[name] = times[0], torch.from_numpy(cells.states.at(name, times[0]))
        else:
            courses[name] = cells.snapshots(name)
    return ArmCourses(courses, once, covariates)


def warn_of_limits(cells: NamedCells) -> None:
    """Say which conditions and combinations tell little."""
    cells.warn_of_few(_FEW_CELLS, "what is said of them is mostly noise, drop or merge them")
    if once := cells.seen_once():
        warn(
            f"conditions {some(once, SHOWN)} were seen at one time: nothing couples "
            "their cells, and what becomes of them is a forecast by the law that they share "
            "with others",
            FitWarning,
        )


def warn_of_few_to_judge(cells: NamedCells) -> None:
    """Say which combinations have too few cells to judge a prediction by."""
    cells.warn_of_few(_FEW_CELLS, "distances to them are mostly noise, their floor is high")


def read_covariates(
    adata: AnnData, keys: str | Sequence[str], names: np.ndarray
) -> dict[str, dict[str, Value]]:
    """Return the value of each covariate by condition, by name.

    Parameters
    ----------
    adata
        Cells.
    keys
        Columns of ``obs``.
    names
        ``(n,)`` condition of each cell.

    Raises
    ------
    KeyError
        There is no such column.
    ValueError
        A covariate is missing for a cell, or varies within a condition.
    """
    listed_keys = (keys,) if isinstance(keys, str) else tuple(keys)
    return {key: _covariate(adata, key, names) for key in listed_keys}


def _covariate(adata: AnnData, key: str, names: np.ndarray) -> dict[str, Value]:
    """Return the value that a covariate has in each condition."""
    column = column_of(adata, key, what="covariates")
    if column.isna().any():
        raise ValueError(
            f"adata.obs[{key!r}] is missing for {int(column.isna().sum())} cells (first: "
            f"{adata.obs_names[column.isna()][0]!r}); fill it in, or drop them"
        )
    is_number = pd.api.types.is_numeric_dtype(column.dtype)
    is_number &= not pd.api.types.is_bool_dtype(column.dtype)
    values = column.astype(float if is_number else str).astype(object)
    by_condition = pd.Series(values.to_numpy(), index=names).groupby(level=0)
    varying = [name for name, n in by_condition.nunique().items() if n > 1]
    if varying:
        raise ValueError(
            f"adata.obs[{key!r}] varies within the conditions {varying[:SHOWN]}; a covariate is "
            "one value for a condition, such as its dose"
        )
    return {str(name): value for name, value in by_condition.first().items()}
