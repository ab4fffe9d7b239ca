"""What fates foretell of units of cells, such as donors, beside what was seen of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata.columns import column_of, texts_of
from celltraj._anndata.quantities import read_fates, told_cells
from celltraj._anndata.results import FATES
from celltraj._anndata.units import seen_shares
from celltraj._stats.calibration import by_unit
from celltraj._typing import Time


@dataclass(frozen=True, eq=False)
class UnitForecasts:
    """Hold shares of fates by unit.

    Parameters
    ----------
    units, names
        ``U`` units and ``K`` fates.
    n_cells
        ``(U,)`` cells that the forecast of each is the mean of.
    predicted, observed
        ``(U, K)`` shares; not a number where a unit was not seen later.
    """

    units: tuple[str, ...]
    names: tuple[str, ...]
    n_cells: np.ndarray
    predicted: np.ndarray
    observed: np.ndarray

    @property
    def is_seen(self) -> np.ndarray:
        """Whether each unit was seen at the time of the fates, ``(U,)``."""
        found: np.ndarray = np.isfinite(self.observed).all(1)
        return found


def read_unit_forecasts(
    adata: AnnData, key: str, unit_key: str, time: Time | Sequence[Time] | None
) -> UnitForecasts:
    """Return what fates of the cells of each unit foretell.

    Raises
    ------
    KeyError
        There are no such fates, or no such column.
    ValueError
        No cell with fates has a unit.
    """
    fates = read_fates(adata, key)
    params = FATES.peek(adata, key)["params"]
    units = pd.Series(texts_of(column_of(adata, unit_key)))
    is_told = told_cells(adata, key, fates.is_known, time, str(params["time_key"]))
    here = is_told & units.notna().to_numpy()
    if not here.any():
        raise ValueError(f"no cell with fates in obsm[{key!r}] has a unit in obs[{unit_key!r}]")
    codes, names = pd.factorize(units[here], sort=True)
    first = np.unique(codes, return_index=True)[1]
    seen = seen_shares(adata, params, units, fates.names)[here]
    if not np.isfinite(seen).any():
        raise ValueError(
            f"no unit of obs[{unit_key!r}] with fates has cells at time {params['at']:g}, at which "
            "they were read: nothing tells how far forecasts are missed"
        )
    return UnitForecasts(
        tuple(str(name) for name in names),
        fates.names,
        np.bincount(codes),
        by_unit(fates.values[here], codes),
        seen[first],
    )
