"""Draw cells at a time that was not observed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj._anndata import cells_at, read_representation
from celltraj.models import Bridge


def interpolate(
    adata: AnnData,
    bridge: Bridge,
    *,
    time: float,
    n_cells: int = 1000,
    use_rep: str | None = None,
    seed: int = 0,
) -> AnnData:
    """Draw cells of the bridge's marginal at ``time``, exactly and without simulation.

    A pair of cells from the plan of the gap, then a point of the reference bridge between them.

    Parameters
    ----------
    adata
        The data the bridge was fitted to; gives the result its variable names.
    bridge
        A fitted bridge.
    time
        Between the first and the last snapshot, in the user's unit.
    n_cells
        Cells to draw.
    use_rep
        The representation that ``bridge`` was fitted in.
    seed
        Seed of the draws.

    Returns
    -------
    AnnData of ``n_cells`` cells with ``obs["time"]``.

    Raises
    ------
    ValueError
        ``time`` lies outside the observed times.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, drift=ct.models.PlugInDrift(), seed=0)
    >>> ct.tl.interpolate(adata, bridge, time=1.5, n_cells=20).n_obs
    20
    """
    name, _ = read_representation(adata, use_rep)
    states = bridge.sample(time, n_cells, generator=torch.Generator().manual_seed(seed))
    return cells_at(adata, name, states.numpy(), pd.DataFrame({"time": np.full(n_cells, time)}))
