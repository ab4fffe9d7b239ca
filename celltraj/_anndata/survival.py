"""Read what share of the cells lived, from counts or from a viability assay."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata.columns import column_of
from celltraj.models.evaluation import Sample

_SHOWN = 5


def relative_survival(adata: AnnData, key: str, samples: Iterable[Sample]) -> np.ndarray:
    """Return ``(n_obs,)`` the number of each treated cell over that of its control, NaN elsewhere.

    Where a control has no number, those of its treated cells are shares already.

    Parameters
    ----------
    adata
        The cells.
    key
        Column of ``obs`` with counts or viabilities.
    samples
        Which cells are of which population, untreated or treated.

    Raises
    ------
    KeyError
        There is no such column.
    ValueError
        It holds what is no number, or untreated cells of one population do not share theirs.
    """
    samples = list(samples)
    column = column_of(adata, key)
    values = pd.to_numeric(column.astype(object), errors="coerce").to_numpy(dtype=float)
    bad = column.notna().to_numpy() & np.isnan(values)
    if bad.any():
        raise ValueError(
            f"obs[{key!r}] must hold counts or viabilities; found {column[bad].iloc[0]!r}"
        )
    controls = {
        one.population: _control(values[one.rows], one.population, key)
        for one in samples
        if one.condition is None
    }
    found = np.full(adata.n_obs, np.nan)
    for one in samples:
        if one.condition is not None:
            found[one.rows] = values[one.rows] / controls.get(one.population, 1.0)
    return found


def shared_survival(values: np.ndarray, population: str, *, least: float = 0.0) -> float:
    """Return the survival that treated cells share.

    Parameters
    ----------
    values
        ``(n,)`` that of each.
    population
        Whose they are.
    least
        What it must be above, or, if 0, at least.

    Raises
    ------
    ValueError
        They do not share one, or it is out of range.
    """
    found = np.unique(values)
    if len(found) != 1 or not found[0] >= least or not np.isfinite(found[0]):
        raise ValueError(
            f"the treated cells of population {population!r} under one condition must share one "
            f"survival, finite and {'positive' if least > 0 else 'not negative'}; "
            f"found {found[:_SHOWN].tolist()}"
        )
    return float(found[0])


def _control(values: np.ndarray, population: str, key: str) -> float:
    """Return the number of the untreated cells of a population, 1 where there is none."""
    found = np.unique(values)
    if np.isnan(found).all():
        return 1.0
    if len(found) != 1 or not 0 < found[0] < np.inf:
        raise ValueError(
            f"the untreated cells of population {population!r} must share one positive number in "
            f"obs[{key!r}], or have none; found {found[:_SHOWN].tolist()}"
        )
    return float(found[0])
