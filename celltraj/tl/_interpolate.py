"""Draw cells at a time that was not observed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj._anndata import (
    cells_at,
    check_bridge,
    find_space,
    read_coupled,
    sample_record,
    time_of,
)
from celltraj._anndata.results import INTERPOLATE
from celltraj._checks import checked
from celltraj._typing import Time
from celltraj.models import Bridge
from celltraj.models.lineage.interpolation import displaced


@checked
def interpolate(
    adata: AnnData,
    bridge: Bridge | None = None,
    *,
    time: Time,
    n_cells: int = 1000,
    key: str = "couplings",
    time_key: str | None = None,
    use_rep: str | None = None,
    seed: int = 0,
) -> AnnData:
    """Draw cells of a bridge's marginal, or of a coupling's, at a time that was not observed.

    A pair of cells from the plan of the gap, drawn by the mass of the path between them where cells
    divide and die; then a point of the reference bridge between them, or without a bridge of the
    straight line, ``(1 - s) x_i + s y_j``.

    Parameters
    ----------
    adata
        Anything with the variables of the bridge, as the data of its fit: gives the result its
        variable names. No cell of it is read, but for couplings, which are those of its cells.
    bridge
        A fitted bridge; by default the couplings in ``adata``.
    time
        Between the first and the last snapshot, in the user's unit, or a label of ``time_key``.
    n_cells
        Cells to draw.
    key
        Couplings to use without a bridge, the ``key_added`` of :func:`celltraj.tl.couplings`.
    time_key
        Column of ``obs`` in which a label is looked up; by default that of the couplings, or
        ``"time"``. Not read for a number.
    use_rep
        The representation that ``bridge`` was fitted in.
    seed
        Seed of the draws.

    Returns
    -------
    AnnData of ``n_cells`` cells: ``X`` the states, also in ``obsm[use_rep]`` unless that is
    ``"X"``; ``obs["time"]`` ([t]); ``uns["celltraj"]["interpolate"]`` (params, version, seed).

    Raises
    ------
    TypeError
        ``bridge`` is something else, such as a flow: simulate it.
    KeyError
        ``use_rep`` does not exist, or there are no couplings.
    ValueError
        ``time`` lies outside the observed times, ``n_cells`` is less than 1, or the bridge has
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
    if bridge is None:
        tied, snapshots, name = read_coupled(adata, key)
        moment = time_of(adata, time_key or tied.time_key, time)
        states = displaced(tied.lineage, snapshots, moment, n_cells, generator=generator)
    else:
        check_bridge(bridge)
        name = find_space(adata, bridge, use_rep)
        moment = time_of(adata, time_key or "time", time)
        states = bridge.sample(moment, n_cells, generator=generator)
    obs = pd.DataFrame({"time": np.full(n_cells, moment)})
    params = {"time": moment, "n_cells": n_cells, "use_rep": name}
    record = ("interpolate", INTERPOLATE.made(sample_record(params, seed), []))
    return cells_at(adata.var_names, name, states.numpy(), obs, record)
