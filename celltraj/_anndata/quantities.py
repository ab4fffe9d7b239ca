"""Read numbers of every cell, whichever slot holds them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata.columns import column_of, has_column
from celltraj._anndata.groups import memberships, read_groups
from celltraj._anndata.results import FATES, check_place_fresh, params_of
from celltraj._anndata.tables import fates_table
from celltraj._anndata.times import read_times, times_of
from celltraj._errors import DataWarning, some, warn
from celltraj._typing import Time

logger = logging.getLogger("celltraj")
_SHOWN = 20


@dataclass(frozen=True)
class Quantities:
    """Hold ``k`` numbers of every cell.

    Parameters
    ----------
    names
        ``k`` names.
    values
        ``(n_obs, k)``; NaN in all columns for a cell that has none.
    """

    names: tuple[str, ...]
    values: np.ndarray

    @property
    def is_known(self) -> np.ndarray:
        """Which cells have values, ``(n_obs,)``."""
        known: np.ndarray = np.isfinite(self.values).all(1)
        return known

    def only(self, names: list[str]) -> Quantities:
        """Return some of them, in the order of ``names``.

        Raises
        ------
        ValueError
            There is none of such a name.
        """
        if unknown := [name for name in names if name not in self.names]:
            raise ValueError(f"no {unknown}; found {list(self.names)[:_SHOWN]}")
        return Quantities(tuple(names), self.values[:, [self.names.index(name) for name in names]])


def read_fates(adata: AnnData, key: str) -> Quantities:
    """Return the fates in ``obsm[key]``.

    Raises
    ------
    KeyError
        There are none, or nothing says what they are called.
    """
    if key not in adata.obsm:
        raise KeyError(
            f"no fates in adata.obsm[{key!r}]; found {some(adata.obsm)}. Run {FATES.call}"
        )
    table = fates_table(adata, key)
    return Quantities(tuple(table.columns), table.to_numpy(dtype=float))


def read_number(adata: AnnData, key: str) -> Quantities:
    """Return a column of ``obs`` with numbers or booleans; infinite ones count as missing.

    Raises
    ------
    KeyError
        There is no such column.
    ValueError
        It holds something else.
    """
    column = column_of(adata, key)
    check_place_fresh(adata, "obs", key)
    if column.dtype.kind not in "fiub":
        raise ValueError(f"adata.obs[{key!r}] has dtype {column.dtype}, and numbers are needed")
    values = column.to_numpy(dtype=float, na_value=np.nan)
    if n_endless := int(np.isinf(values).sum()):
        warn(
            f"{n_endless} cells have infinite values in adata.obs[{key!r}], as the growth of a "
            "cell without descendants; they are left out. Give them a number to keep them",
            DataWarning,
        )
    return Quantities((key,), np.where(np.isfinite(values), values, np.nan)[:, None])


def read_membership(adata: AnnData, key: str) -> Quantities:
    """Return for each category of ``obs[key]`` which cells have it; their means are shares."""
    groups = read_groups(adata, key)
    values = memberships(groups, np.arange(adata.n_obs)).numpy()
    values[groups.isna().to_numpy()] = np.nan
    return Quantities(tuple(groups.cat.categories), values)


def fate_time_of(adata: AnnData, key: str) -> float | None:
    """Return the time that the fates in ``obsm[key]`` were read at; None for another result."""
    if key not in adata.obsm:
        return None
    at = params_of(adata, key).get("at")
    return None if at is None else float(at)


def told_cells(
    adata: AnnData,
    key: str,
    is_known: np.ndarray,
    time: Time | Sequence[Time] | None,
    time_key: str,
) -> np.ndarray:
    """Return which cells with a value are of the asked times, ``(n_obs,)``.

    Without any those before the time that fates were read at: the fate of a cell of that very time
    is its own label, of which nothing was told. Only who names that time gets these cells.

    Raises
    ------
    ValueError
        No cell is of such a time.
    """
    at = fate_time_of(adata, key)
    if time is not None or at is None or not has_column(adata, time_key):
        chosen: np.ndarray = is_known & is_at(adata, time, time_key)
        return chosen
    is_last = is_known & (read_times(adata, time_key) == at)
    if is_last.any():
        logger.info(
            "%d cells of time %g, at which %r were read, are left out: their fate is their own "
            "label. Name that time in time= to take them",
            is_last.sum(),
            at,
            key,
        )
    chosen = is_known & ~is_last
    return chosen


def is_at(adata: AnnData, time: Time | Sequence[Time] | None, time_key: str) -> np.ndarray:
    """Return which cells are of the asked times, ``(n_obs,)``; all of them for None.

    Times are numbers or labels.

    Raises
    ------
    ValueError
        No cell is of such a time.
    """
    if time is None:
        return np.ones(adata.n_obs, dtype=bool)
    times = read_times(adata, time_key)
    asked = np.array(times_of(adata, time_key, time))
    if unknown := asked[~np.isin(asked, times)].tolist():
        raise ValueError(
            f"no cells at time {unknown} in adata.obs[{time_key!r}]; found "
            f"{np.unique(times).tolist()}"
        )
    return np.isin(times, asked)


def has_numbers(column: pd.Series) -> bool:
    """Return whether a column of ``obs`` is one of numbers, and not of categories."""
    return column.dtype.kind in "fiub"
