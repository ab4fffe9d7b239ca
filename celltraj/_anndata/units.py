"""Read what became of units of cells, such as clones, beside what was told of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata.columns import column_of, texts_of
from celltraj._anndata.groups import memberships, read_groups
from celltraj._anndata.quantities import read_fates, told_cells
from celltraj._anndata.results import FATES
from celltraj._anndata.tables import ENDS
from celltraj._anndata.times import read_times
from celltraj._stats.calibration import Told, by_unit
from celltraj._typing import Time


@dataclass(frozen=True, eq=False)
class UnitFates:
    """Hold fates of cells, and of those whose unit was seen also what became of it.

    Parameters
    ----------
    names
        ``K`` names of the fates that are calibrated.
    predicted
        ``(n_obs, K)`` fates of all cells.
    is_told
        ``(n_obs,)`` whether anything was told of a cell.
    told
        Those of cells whose unit is known.
    """

    names: tuple[str, ...]
    predicted: np.ndarray
    is_told: np.ndarray
    told: Told


def read_unit_fates(
    adata: AnnData,
    key: str,
    truth: Mapping[str, str] | None,
    unit_key: str,
    time: Time | Sequence[Time] | None,
) -> UnitFates:
    """Return fates, and what became of units.

    Raises
    ------
    KeyError
        There are no such fates, or no such column.
    ValueError
        Unknown names of fates, shares outside [0, 1], or no cell whose unit was seen.
    """
    fates = read_fates(adata, key)
    params = FATES.peek(adata, key)["params"]
    units = pd.Series(texts_of(column_of(adata, unit_key)))
    is_told = told_cells(adata, key, fates.is_known, time, str(params["time_key"]))
    if truth is None:
        names, seen = fates.names, seen_shares(adata, params, units, fates.names)
    else:
        names, seen = tuple(truth), _given(adata, truth, fates.names)
    fates = fates.only(list(names))
    here = is_told & units.notna().to_numpy() & np.isfinite(seen).all(1)
    if not here.any():
        raise ValueError(
            f"no cell with fates in obsm[{key!r}] and a unit in obs[{unit_key!r}] whose fate was "
            "seen; pass truth= with columns that hold it, or other units"
        )
    ends: list[np.ndarray | None] = [None, None]
    if f"{key}_lower" in adata.obsm:
        places = [list(FATES.peek(adata, key)["names"]).index(name) for name in names]
        ends = [
            np.asarray(FATES.values(adata, key, ENDS[end]), float)[here][:, places]
            for end in ("lower", "upper")
        ]
    codes = pd.factorize(units[here], sort=True)[0]  # whatever the order of cells
    told = Told(fates.values[here], seen[here], codes, *ends)
    return UnitFates(names, fates.values, is_told, told)


def _given(adata: AnnData, truth: Mapping[str, str], names: tuple[str, ...]) -> np.ndarray:
    """Return the ``(n_obs, K)`` shares in columns of ``obs``."""
    if not truth:
        raise ValueError("truth= names no fate; leave it out to read it from the units themselves")
    if unknown := [name for name in truth if name not in names]:
        raise ValueError(f"truth= names {unknown}, and the fates are {list(names)}")
    columns = []
    for column in truth.values():
        found = column_of(adata, column, what="shares that were seen")
        if found.dtype.kind not in "fiub":
            raise ValueError(f"obs[{column!r}] has dtype {found.dtype}; shares must be numbers")
        columns.append(found.to_numpy(dtype=float, na_value=np.nan))
    shares = np.column_stack(columns)
    if ((shares < 0) | (shares > 1)).any():
        raise ValueError(f"shares in {list(truth.values())} must lie between 0 and 1")
    return shares


def seen_shares(
    adata: AnnData, params: Mapping[str, object], units: pd.Series, names: tuple[str, ...]
) -> np.ndarray:
    """Return for each cell the shares of fates among the last cells of its unit; NaN for none."""
    groups = read_groups(adata, str(params["groupby"]))
    at = read_times(adata, str(params["time_key"])) == float(str(params["at"]))
    rows = np.flatnonzero(at & groups.isin(names).to_numpy() & units.notna().to_numpy())
    order = [list(groups.cat.categories).index(name) for name in names]
    codes, known = pd.factorize(units.iloc[rows])
    shares = by_unit(memberships(groups, rows).numpy()[:, order], codes)
    place = pd.Index(known).get_indexer(units)
    found: np.ndarray = np.full((adata.n_obs, len(names)), np.nan)
    found[place >= 0] = shares[place[place >= 0]]
    return found
