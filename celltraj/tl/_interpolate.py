"""Draw cells at a time that was not observed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj._anndata import (
    cells_at,
    find_space,
    read_coupled,
    read_snapshots,
    read_space,
    sample_record,
    time_key_of_model,
    time_of,
)
from celltraj._anndata.results import INTERPOLATE
from celltraj._anndata.write import with_time_key
from celltraj._checks import checked
from celltraj._typing import Cells, Time
from celltraj.models import Bridge, Process
from celltraj.models.lineage.between import simulated_between
from celltraj.models.lineage.interpolation import displaced
from celltraj.models.process import span_of


@checked
def interpolate(
    adata: AnnData,
    model: Process | None = None,
    *,
    time: Time,
    n_cells: int = 1000,
    key: str = "couplings",
    time_key: str | None = None,
    use_rep: str | None = None,
    seed: int = 0,
) -> AnnData:
    """Interpolation: draw cells of a model, or of couplings, at a time that was not observed.

    Of a bridge or of couplings, a pair of cells from the plan of the gap, drawn by the mass of the
    path between them where cells divide and die; then a point of the reference bridge between them,
    or without a model of the straight line, ``(1 - s) x_i + s y_j``. A flow, or any other law of
    motion, is simulated from the snapshot before ``time``.

    Parameters
    ----------
    adata
        Cells of all times. Of a bridge no cell is read: anything with its variables will do, which
        gives the result its variable names.
    model
        A fitted bridge or flow, or any process; by default the couplings in ``adata``.
    time
        Between the first and the last snapshot, in the user's unit, or a label of ``time_key``.
    n_cells
        Cells to draw.
    key
        Couplings to use without a model, the ``key_added`` of :func:`celltraj.tl.couplings`.
    time_key, use_rep
        Column of ``obs`` with the sampling times, and representation; by default those that the
        model was fitted with. Couplings know theirs.
    seed
        Seed of the draws.

    Returns
    -------
    AnnData of ``n_cells`` cells: ``X`` the states, also in ``obsm[use_rep]`` unless that is
    ``"X"``; ``obs["time"]`` ([t]), the same under the name of the user's column where that
    holds numbers; ``uns["celltraj"]["interpolate"]`` (params, version, seed).

    Raises
    ------
    TypeError
        ``model`` is no law of motion through time, such as a response.
    KeyError
        ``use_rep`` or ``time_key`` does not exist, or there are no couplings.
    ValueError
        ``time`` lies outside the observed times, ``n_cells`` is less than 1, or the model has
        another dimension than ``use_rep``.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    >>> ct.tl.interpolate(adata, bridge, time=1.5, n_cells=20).n_obs
    20
    """
    if n_cells < 1:
        raise ValueError(f"n_cells must be at least 1; found {n_cells}")
    generator = torch.Generator().manual_seed(seed)
    if model is None:
        tied, snapshots, name = read_coupled(adata, key)
        time_key = time_key or tied.time_key
        moment = time_of(adata, time_key, time)
        states = displaced(tied.lineage, snapshots, moment, n_cells, generator=generator)
    else:
        name = find_space(adata, model, use_rep)
        time_key = time_key or time_key_of_model(adata, model)
        moment = time_of(adata, time_key, time)
        if isinstance(model, Bridge):
            states = model.sample(moment, n_cells, generator=generator)
        else:
            states = _simulated(adata, model, moment, n_cells, (time_key, name), generator)
    obs = with_time_key(adata, pd.DataFrame({"time": np.full(n_cells, moment)}), time_key)
    params = {"time": moment, "n_cells": n_cells, "use_rep": name}
    record = ("interpolate", INTERPOLATE.made(sample_record(params, seed), []))
    return cells_at(adata.var_names, name, states.numpy(), obs, record)


def _simulated(
    adata: AnnData,
    model: Process,
    moment: float,
    n: int,
    keys: tuple[str, str],
    generator: torch.Generator,
) -> Cells:
    """Return ``n`` cells of a law of motion, once it is known to have been fitted to that time."""
    time_key, use_rep = keys
    read_space(adata, model, use_rep, time_key)  # warns of cells on another scale
    snapshots, _ = read_snapshots(adata, time_key=time_key, use_rep=use_rep)
    first, last = span_of(model) or (snapshots.times[0], snapshots.times[-1])
    if not first <= moment <= last:
        raise ValueError(
            f"time {moment:g} lies outside [{first:g}, {last:g}], which the "
            f"{type(model).__name__} was fitted to; ct.tl.simulate extrapolates"
        )
    return simulated_between(model, snapshots, moment, n, generator=generator)
