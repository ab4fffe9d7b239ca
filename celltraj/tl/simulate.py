"""Simulate cells under a fitted process."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj import models
from celltraj._anndata import cells_at, read_representation, read_times
from celltraj.models import Process


def simulate(
    adata: AnnData,
    process: Process,
    *,
    start: float,
    stop: float,
    n_cells: int | None = None,
    n_times: int = 21,
    time_key: str | None = "time",
    use_rep: str | None = None,
    ode: bool = False,
    n_steps: int = 50,
    seed: int = 0,
) -> AnnData:
    """Simulate trajectories from the cells observed at ``start``, forwards or backwards in time.

    ``dX = b(t, X) dt + sigma dW``; backwards the reversed SDE; ``ode=True`` the probability flow.

    Parameters
    ----------
    adata
        Cells to start from.
    process
        A fitted bridge, or any process.
    start, stop
        First and last time, in the user's unit; ``stop < start`` runs backwards.
    n_cells
        Trajectories, drawn without replacement where there are enough cells; all cells by default.
    n_times
        Equally spaced times in the result.
    time_key
        Column of ``obs`` that selects the cells at ``start``; ``None`` starts from all
        of ``adata``.
    use_rep
        The representation that ``process`` was fitted in.
    ode
        Whether to follow the deterministic probability flow.
    n_steps
        Solver steps between neighbouring times.
    seed
        Seed of the choice of cells and of the noise.

    Returns
    -------
    AnnData with a row per (trajectory, time): ``X`` the states, ``obs["trajectory"]`` and
    ``obs["time"]``.

    Raises
    ------
    KeyError
        A named column or representation does not exist.
    ValueError
        No cell was observed at ``start``, or ``start == stop``.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, drift=ct.models.PlugInDrift(), seed=0)
    >>> ct.tl.simulate(adata, bridge, start=0.0, stop=4.0, n_cells=10, n_times=5).n_obs
    50
    """
    name, x = read_representation(adata, use_rep)
    if time_key is not None:
        times = read_times(adata, time_key)
        if not (times == start).any():
            raise ValueError(
                f"no cells at start={start:g}; observed times are {np.unique(times).tolist()}. "
                "Start from one of them, or pass other cells with time_key=None"
            )
        x = x[times == start]
    rng = np.random.default_rng(seed)
    n = len(x) if n_cells is None else n_cells
    rows = rng.choice(len(x), n, replace=n > len(x))
    path = models.simulate(
        process, torch.from_numpy(x[rows]), np.linspace(start, stop, n_times).tolist(),
        n_steps=n_steps, ode=ode, generator=torch.Generator().manual_seed(seed),
    )
    obs = pd.DataFrame(
        {"trajectory": np.tile(np.arange(n), n_times), "time": np.repeat(path.times, n)}
    )
    return cells_at(adata, name, path.x.reshape(-1, x.shape[1]).numpy(), obs)
