"""Slices of a tissue in one frame: those observed, those between, and where their cells go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj._anndata.results import SLICE
from celltraj._anndata.slices import ReadSlices
from celltraj._errors import some


@dataclass(frozen=True)
class SliceBetween:
    """Hold an interpolated slice in the frame of the last observed one.

    Parameters
    ----------
    time
        When it is, in the user's unit.
    places
        ``(n, k)`` places.
    nearer
        ``(n,)`` number of the observed cell, of the two that each lies between, that is nearer in
        time; the earlier one half way.
    """

    time: float
    places: np.ndarray
    nearer: np.ndarray


def registered_places(adata: AnnData, found: ReadSlices) -> np.ndarray:
    """Return the places ``(n_obs, k)`` of all cells in the frame of the last slice, float64."""
    return np.asarray(adata.obsm[f"{found.tied.name}_registered"], dtype=float)


def registered_between(adata: AnnData, found: ReadSlices, between: AnnData) -> SliceBetween:
    """Return an interpolated slice in the frame of the last observed one.

    The registrations are affine: a place ``(1 - s) u + s S^-1(v)`` in the frame of the earlier
    slice lies at ``(1 - s) u' + s v'`` in any later one, with ``u', v'`` the registered places of
    the two cells.

    Raises
    ------
    KeyError
        ``between`` holds no interpolated slice.
    ValueError
        It was made of other cells.
    """
    if SLICE.find(between) is None or not {"time", "source", "target"} <= set(between.obs):
        raise KeyError(
            "between holds no interpolated slice; make it with ct.tl.interpolate_slice(adata, "
            "at=...)"
        )
    earlier, later = (_rows(adata, between, name) for name in ("source", "target"))
    times = np.full(adata.n_obs, np.nan)
    for t, rows in zip(found.tied.lineage.times, found.tied.rows, strict=True):
        times[rows] = t
    spans = np.unique(np.column_stack([times[earlier], times[later]]), axis=0)
    moments = np.unique(between.obs["time"].to_numpy(dtype=float))
    if len(spans) != 1 or len(moments) != 1:
        raise ValueError(
            f"between must be one slice, whose cells lie between two slices of adata; found times "
            f"{moments.tolist()[:5]} between {spans.tolist()[:5]}"
        )
    (t0, t1), (moment,) = spans[0].tolist(), moments.tolist()
    share, places = (moment - t0) / (t1 - t0), registered_places(adata, found)
    drawn = (1 - share) * places[earlier] + share * places[later]
    return SliceBetween(moment, drawn, earlier if share <= 1 / 2 else later)


def _rows(adata: AnnData, between: AnnData, column: str) -> np.ndarray:
    """Return the rows ``(n,)`` of the cells that a column of an interpolated slice names."""
    names = pd.Index(between.obs[column].astype(str))
    rows: np.ndarray = pd.Index(adata.obs_names.astype(str)).get_indexer(names)
    if unknown := list(names[rows < 0]):
        raise ValueError(
            f"between lies between cells that adata does not have, {some(unknown)}; pass the adata "
            "that it was made of"
        )
    return rows


def registered_moves(adata: AnnData, found: ReadSlices) -> np.ndarray:
    """Return how far from each cell its descendants are in the mean, ``(n_obs, k)``.

    ``sum_j P_ij v'_j / sum_j P_ij - u'_i`` in the frame of the last slice, so that what a tissue
    turns, grows and moves as a whole is not in it. NaN for cells without descendants and those of
    the last slice.
    """
    places = registered_places(adata, found)
    moves = np.full_like(places, np.nan)
    rows = found.tied.rows
    for k, plan in enumerate(found.tied.lineage.couplings):
        reached = plan.pull(torch.from_numpy(places[rows[k + 1]]))
        mass = torch.where(plan.row_mass > 0, plan.row_mass, torch.nan)
        moves[rows[k]] = (reached / mass[:, None]).numpy() - places[rows[k]]
    return moves
