"""Tell how fast cells multiply, and how many there should be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import Tensor

from celltraj._anndata import (
    Tied,
    annotated,
    expected_growth,
    read_lineage,
    sample_record,
)
from celltraj._anndata.results import GROWTH
from celltraj._checks import checked
from celltraj._errors import DataWarning, warn


@checked
def growth(
    adata: AnnData,
    *,
    key: str = "couplings",
    key_added: str = "ct_growth",
    copy: bool = False,
) -> AnnData | None:
    """Growth rates: tell how fast each cell multiplies, and the numbers of cells that follow.

    ``log(descendants at the next time) / (t1 - t0)``, divisions minus deaths per unit of time, as
    the couplings have it: the posterior of what was expected. The numbers are those of trajectories
    of the model that was coupled by, which start from the first snapshot and gather mass on their
    way, or without a model those of the couplings.

    Parameters
    ----------
    adata
        Cells of all times.
    key
        Couplings to read, the ``key_added`` of :func:`celltraj.tl.couplings`.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``obs[key_added]`` (per unit of time;
    relative to the mean of the population where only proportions are known; at the last time what a
    bridge learned of such states, else NaN; minus infinity for a cell without descendants) and
    ``uns["celltraj"][key_added]`` (params, version, seed, and ``numbers``, one row per time: time,
    cells, observed, predicted).

    Warns
    -----
    DataWarning
        Some cells have no descendants; says how many.

    Raises
    ------
    KeyError
        There are no couplings of that name.
    ValueError
        The cells are not those that were coupled.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> ct.tl.couplings(adata, counts="population", progress=False)
    >>> ct.tl.growth(adata)
    >>> numbers = adata.uns["celltraj"]["ct_growth"]["numbers"]
    >>> numbers["predicted"].round().tolist() == numbers["observed"].tolist()
    True
    """
    GROWTH.claim(adata, key_added)
    tied = read_lineage(adata, key)
    lineage = tied.lineage
    rates = {k: lineage.growth(k) for k in range(len(lineage.couplings))}
    learned = expected_growth(adata, tied)
    if learned is not None:
        rates[len(rates)] = learned
    numbers = _numbers(tied)
    params = {"couplings": tied.name, "time_key": tied.time_key}
    record = sample_record(params, tied.seed) | {"numbers": numbers}
    _warn_of_none(tied, rates)
    adata = annotated(adata, copy)
    columns = {key_added: tied.column(adata.n_obs, rates, None)}
    GROWTH.write(adata, key_added, record, columns, source=tied.source)
    return adata if copy else None


def _warn_of_none(tied: Tied, rates: dict[int, Tensor]) -> None:
    """Warn of cells without descendants, by time."""
    counts = {tied.lineage.times[k]: int(torch.isneginf(rate).sum()) for k, rate in rates.items()}
    found = ", ".join(f"{n} at time {time:g}" for time, n in counts.items() if n)
    if found:
        warn(
            f"cells without descendants ({found}): their growth is minus infinity. Their couplings "
            "find nothing near them; raise epsilon (or sigma), or leave these cells out",
            DataWarning,
        )


def _numbers(tied: Tied) -> pd.DataFrame:
    """Return numbers of cells, in units of the first snapshot's: sampled, declared, predicted."""
    cells = np.array([len(rows) for rows in tied.rows])
    predicted = tied.lineage.numbers if tied.predicted is None else tied.predicted
    table = {
        "time": tied.lineage.times,
        "cells": cells,
        "observed": cells[0] * np.asarray(tied.lineage.numbers),
        "predicted": cells[0] * np.asarray(predicted),
    }
    return pd.DataFrame(table).rename(index=str)
