"""Intervals of what becomes of donors, samples or clones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata.unit_forecasts import UnitForecasts, read_unit_forecasts
from celltraj._checks import checked
from celltraj._stats.conformal import check_confidence, reach_without, split_interval
from celltraj._typing import Time


@checked
def forecast_intervals(
    adata: AnnData,
    *,
    unit_key: str,
    key: str = "ct_fates",
    time: Time | Sequence[Time] | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Conformal prediction: intervals that hold the later composition of a new donor or sample.

    ``m_u -+ q`` within [0, 1], with ``m_u`` the mean fate of the cells of unit ``u`` and ``q`` the
    ``ceil((1 - alpha)(n + 1))``-th smallest distance of such forecasts from what was seen of ``n``
    other units. Units that were seen later get the interval that the others give them, so that how
    often these hold is an honest score; units that were not yet seen get that of all.

    Parameters
    ----------
    adata
        Cells after :func:`celltraj.tl.fates`, by couplings or a model.
    unit_key
        Column of ``obs`` with the donor, sample or clone of each cell; missing where it is not
        known.
    key
        The ``key_added`` of :func:`celltraj.tl.fates`, or of :func:`celltraj.tl.calibrate`.
    time
        Time or times, also as labels, of the cells to foretell from; by default all before that at
        which fates were read.
    confidence
        Share of new units that an interval holds, of each fate by itself.

    Returns
    -------
    A row for each unit and fate: ``unit``, ``fate``, ``n_cells`` (that the forecast is the mean
    of), ``predicted``, ``low``, ``high``, ``observed`` (share of the unit's cells at the time of
    the fates; missing where it was not seen) and ``n_units`` (that the interval is from).

    Raises
    ------
    KeyError
        There are no fates, or no such column.
    ValueError
        No cell with fates has a unit, or fewer units were seen later than an interval needs: one
        of ``n`` units errs in ``1 / (n + 1)`` of cases at least.

    Notes
    -----
    A unit of few cells varies more than one of many, of which one width for all knows nothing: it
    is right on average over units like those that were seen. Fates of couplings have been read off
    the later cells of all units together, also of the one that is foretold: on few units that
    flatters them, and only a model fitted without the unit does not.

    References
    ----------
    Vovk, Gammerman & Shafer, *Algorithmic learning in a random world* (2005); Lei et al.,
    *Distribution-free predictive inference for regression* (2018), theorem 2.2.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=100, seed=0)
    >>> adata.obs["side"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> adata.obs["donor"] = [f"donor {i % 7}" for i in range(adata.n_obs)]
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.tl.fates(adata, groupby="side")
    >>> found = ct.tl.forecast_intervals(adata, unit_key="donor", confidence=0.8)
    >>> found[["fate", "n_units"]].drop_duplicates().values.tolist()
    [['down', 6], ['up', 6]]
    """
    found = read_unit_forecasts(adata, key, unit_key, time)
    seen = found.is_seen
    check_confidence(int(seen.sum()) - 1, confidence, f"units of {unit_key!r}")
    return _table(found, *_intervals(found, confidence))


def _intervals(found: UnitForecasts, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of intervals, ``(U, K)`` each, and from how many units each is."""
    seen = found.is_seen
    missed = np.abs(found.predicted - found.observed)[seen]
    low, high = split_interval(found.predicted, missed, confidence=confidence)
    reach = reach_without(missed, confidence=confidence)
    low[seen], high[seen] = found.predicted[seen] - reach, found.predicted[seen] + reach
    return np.stack([low.clip(0, 1), high.clip(0, 1)]), len(missed) - seen


def _table(found: UnitForecasts, ends: np.ndarray, n_units: np.ndarray) -> pd.DataFrame:
    """Return a row for each unit and fate."""
    n_fates = len(found.names)
    low, high = ends
    return pd.DataFrame(
        {
            "unit": np.repeat(found.units, n_fates),
            "fate": np.tile(found.names, len(found.units)),
            "n_cells": np.repeat(found.n_cells, n_fates),
            "predicted": found.predicted.ravel(),
            "low": low.ravel(),
            "high": high.ravel(),
            "observed": found.observed.ravel(),
            "n_units": np.repeat(n_units, n_fates),
        }
    )
