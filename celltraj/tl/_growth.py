"""Tell how fast cells multiply, and how many there should be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import Tensor

from celltraj._anndata import (
    Tied,
    annotated,
    read_lineage,
    read_representation,
    sample_record,
)
from celltraj._anndata.results import GROWTH
from celltraj._checks import checked
from celltraj._errors import DataWarning, warn
from celltraj.models import Process, simulate
from celltraj.models.process import is_growing
from celltraj.ot.sampling import systematic

_PATHS = 2000  # trajectories that predicted numbers are a mean over


@checked
def growth(
    adata: AnnData,
    model: Process | None = None,
    *,
    key: str = "couplings",
    time_key: str | None = None,
    use_rep: str | None = None,
    key_added: str = "ct_growth",
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> AnnData | None:
    """Tell the net rate at which each cell multiplies, and the numbers of cells that follow.

    ``log(descendants at the next time) / (t1 - t0)``, divisions minus deaths per unit of time, as
    the couplings have it: the posterior of what was expected. The numbers are those of trajectories
    that start from the first snapshot and gather mass on their way, or without a model those of the
    couplings.

    Parameters
    ----------
    adata
        Cells of all times.
    model
        A fitted bridge, or a flow or any process, which is simulated from snapshot to snapshot. By
        default the couplings in ``adata``.
    key
        Couplings to use without a model, the ``key_added`` of :func:`celltraj.tl.couplings`.
    time_key, use_rep
        Times and representation that a model was fitted with; couplings know theirs.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of the trajectories.
    progress
        Whether simulations show a progress bar.

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
    tied = read_lineage(
        adata, model, key=key, time_key=time_key, use_rep=use_rep, seed=seed, progress=progress
    )
    lineage = tied.lineage
    rates = {k: lineage.growth(k) for k in range(len(lineage.couplings))}
    learned = getattr(getattr(model, "snapshots", None), "growth", ())
    if learned:
        rates[len(rates)] = learned[-1]
    if model is None:
        predicted = np.asarray(lineage.numbers)
    else:
        _, x = read_representation(adata, use_rep)
        start = torch.from_numpy(x[tied.rows[0]])
        predicted = _simulated(model, start, lineage.weights[0], lineage.times, seed, progress)
    numbers = _numbers(tied, predicted)
    params = {"couplings": tied.name, "time_key": tied.time_key}
    record = sample_record(params, seed) | {"numbers": numbers}
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


def _simulated(
    model: Process,
    start: Tensor,
    weights: Tensor,
    times: Sequence[float],
    seed: int,
    progress: bool,  # noqa: FBT001
) -> np.ndarray:
    """Return the mass at each time of trajectories from the cells of the first."""
    if not is_growing(model):
        return np.ones(len(times))
    generator = torch.Generator().manual_seed(seed)
    rows = systematic(weights, _PATHS, generator)
    path = simulate(model, start[rows], times, n_steps=20, generator=generator, progress=progress)
    return cast("Tensor", path.log_mass).exp().mean(1).numpy()


def _numbers(tied: Tied, predicted: np.ndarray) -> pd.DataFrame:
    """Return numbers of cells, in units of the first snapshot's: sampled, declared, predicted."""
    cells = np.array([len(rows) for rows in tied.rows])
    table = {
        "time": tied.lineage.times,
        "cells": cells,
        "observed": cells[0] * np.asarray(tied.lineage.numbers),
        "predicted": cells[0] * predicted,
    }
    return pd.DataFrame(table).rename(index=str)
