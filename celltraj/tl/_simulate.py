"""Simulate cells under a fitted model."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj import models
from celltraj._anndata import (
    cells_at,
    options_record,
    read_space,
    read_times,
    sample_record,
    time_of,
    times_of,
)
from celltraj._anndata.results import SIMULATE
from celltraj._anndata.write import with_time_key
from celltraj._checks import checked
from celltraj._typing import Time
from celltraj.models import Bridge, FlowMatching, Process, SdeSolver, Trajectories
from celltraj.models.process import span_of

logger = logging.getLogger("celltraj")
_FEW = 0.1  # effective share of trajectories below which their mass deserves a warning


@checked
def simulate(
    adata: AnnData,
    model: Process,
    *,
    start: Time,
    stop: Time | Sequence[Time],
    n_cells: int | None = None,
    n_times: int = 21,
    time_key: str | None = "time",
    use_rep: str | None = None,
    noise: float | None = None,
    ode_solver: SdeSolver | None = None,
    seed: int = 0,
    progress: bool = True,
) -> AnnData:
    """Trajectories: simulate them from the cells observed at ``start``, forwards or backwards.

    ``dX = b(t, X) dt + sigma dW``; backwards the reversed SDE; ``noise=0`` the probability flow.
    Beyond the snapshots of a bridge its reference goes on: forwards after the last one a forecast,
    backwards before the first a hindcast, under which all earlier states are equally likely a
    priori. A flow is extrapolated there, which is logged as a warning.

    Parameters
    ----------
    adata
        Cells to start from: the data of the fit, or any others in the same space.
    model
        A fitted bridge or flow, or any process.
    start
        First time, in the user's unit, or its label in ``time_key``.
    stop
        Last time, before ``start`` to run backwards; or all times of the result after ``start``, in
        order, in place of ``n_times`` equally spaced ones. Numbers or labels.
    n_cells
        Trajectories, drawn without replacement where there are enough cells; all cells by default.
    n_times
        Equally spaced times in the result, both ends included.
    time_key
        Column of ``obs`` that selects the cells at ``start``; ``None`` starts from all
        of ``adata``.
    use_rep
        ``"X"`` or a key of ``obsm``; by default the one that ``model`` was fitted in.
    noise
        Diffusion, in [x]/sqrt([t]), by default that of ``model``. 0 follows the deterministic
        probability flow, of the same marginals; any other value, for flows alone, an SDE of these.
    ode_solver
        How the equation of motion is integrated; by default ``ct.models.Midpoint()`` with 50 steps
        between neighbouring snapshots, or over the whole span of a process without snapshots, and
        ``ct.models.ExponentialMidpoint`` where the pull of an affine process or reference asks for
        it; the others are listed at :func:`celltraj.models.simulate`. The times of the result are
        stepped onto.
    seed
        Seed of the choice of cells and of the noise.
    progress
        Whether to show progress bars.

    Returns
    -------
    AnnData with a row per (trajectory, time), ordered by time: ``X`` the states, also in
    ``obsm[use_rep]`` unless that is ``"X"``; ``obs["trajectory"]`` (int), ``obs["time"]`` ([t]),
    the same as ``obs[time_key]`` where that column holds numbers,
    ``obs["source"]`` (obs name of the cell that the trajectory starts from),
    ``obs["extrapolated"]`` (bool: the time lies outside those that ``model`` was fitted to),
    ``obs["mass"]`` (1 at ``start``, only where ``model`` has growth);
    ``uns["celltraj"]["simulate"]`` (params, version, seed, n_evaluations).

    Raises
    ------
    KeyError
        A named column or representation does not exist.
    TypeError
        A backward simulation, or one without noise, of a model without a score; other ``noise``
        for one that is not a flow; a solver that is a class and not an instance.
    ValueError
        No cell was observed at ``start``, ``start == stop``, several stops that are not in order,
        ``n_cells`` or ``n_times`` too small, negative ``noise``, a model of another dimension
        than ``use_rep``, an equation that does not suit the solver, or states that leave the data
        where shorter steps do not.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    >>> path = ct.tl.simulate(
    ...     adata, bridge, start=0.0, stop=4.0, n_cells=10, n_times=5, progress=False
    ... )
    >>> path.n_obs
    50
    """
    start = time_of(adata, time_key, start)
    grid = _time_grid(
        start, times_of(adata, time_key, stop), n_times, is_list=np.asarray(stop).ndim > 0
    )
    if n_cells is not None and n_cells < 1:
        raise ValueError(f"n_cells must be at least 1; found {n_cells}")
    name, x = read_space(adata, model, use_rep, time_key)
    candidates = cells_at_start(adata, start, time_key)
    rng = np.random.default_rng(seed)
    n = len(candidates) if n_cells is None else n_cells
    rows = rng.choice(candidates, n, replace=n > len(candidates))
    is_ode = noise == 0 and not isinstance(model, FlowMatching)
    if noise is not None and not is_ode:
        model = with_noise(model, noise)
    path = models.simulate(
        model,
        torch.from_numpy(x[rows]),
        grid,
        solver=ode_solver,
        ode=is_ode,
        generator=torch.Generator().manual_seed(seed),
        progress=progress,
    )
    _warn_of_few(path)
    sources = adata.obs_names[rows].to_numpy()
    obs = _observations(path, sources, outside_of(model, path.times))
    obs = with_time_key(adata, obs, time_key)
    params = {
        "model": type(model).__name__,
        "start": start,
        "stop": grid[-1],
        "n_cells": n,
        "n_times": len(grid),
        "time_key": time_key,
        "use_rep": name,
        "noise": noise,
        "ode_solver": options_record(path.solver),
    }
    record = sample_record(params, seed) | {"n_evaluations": path.n_evaluations}
    states = path.x.reshape(-1, x.shape[1]).numpy()
    return cells_at(adata.var_names, name, states, obs, ("simulate", SIMULATE.made(record, [])))


def _observations(
    path: Trajectories, sources: np.ndarray, extrapolated: np.ndarray
) -> pd.DataFrame:
    """Return a row for each (time, trajectory), as the states are ordered."""
    n, n_times = len(sources), len(path.times)
    obs = pd.DataFrame(
        {
            "trajectory": np.tile(np.arange(n), n_times),
            "time": np.repeat(path.times, n),
            "source": np.tile(sources.astype(str).astype(object), n_times),
            "extrapolated": np.repeat(extrapolated, n),
        }
    )
    if path.log_mass is not None:
        obs["mass"] = path.log_mass.exp().reshape(-1).numpy()
    return obs


def _warn_of_few(path: Trajectories) -> None:
    """Say where most of the mass has come to sit on few trajectories."""
    if path.log_mass is None:
        return
    shares = torch.softmax(path.log_mass[-1], 0)
    n, effective = len(shares), float(1 / shares.square().sum())
    if effective < _FEW * n:
        logger.warning(
            "at time %g the mass of %d trajectories is that of %.0f equal ones, and what is read "
            "off them is as uncertain; start nearer to it, fit with growth=None, which keeps the "
            "mass of every cell, or, of composed laws, take powers nearer to 0",
            path.times[-1],
            n,
            effective,
        )


def outside_of(model: Process, times: Sequence[float]) -> np.ndarray:
    """Return which times lie outside those that ``model`` was fitted to, and warn of a flow."""
    span = span_of(model)
    if span is None:
        return np.zeros(len(times), dtype=bool)
    first, last = span
    outside: np.ndarray = (np.asarray(times) < first) | (np.asarray(times) > last)
    # beyond its snapshots a bridge is its reference, which was fitted to describe any time
    if outside.any() and not isinstance(model, Bridge):
        logger.warning(
            "%d of %d times lie outside [%g, %g], which the %s was fitted to: it is extrapolated "
            "there; see obs['extrapolated']",
            outside.sum(),
            len(times),
            first,
            last,
            type(model).__name__,
        )
    return outside


def with_noise(model: Process, noise: float) -> FlowMatching:
    if not isinstance(model, FlowMatching):
        raise TypeError(
            f"noise is chosen after the fit for a flow only; {type(model).__name__} has its own. "
            "Fit one with ct.tl.fit_flow, or pass noise=0 for the probability flow"
        )
    return model.with_noise(noise)


def _time_grid(start: float, stops: Sequence[float], n_times: int, *, is_list: bool) -> list[float]:
    """Return the times of the result: those that were listed, or equally spaced to the one."""
    if not len(stops) or start in stops:
        found = list(stops) if is_list else stops[0]
        raise ValueError(f"start is {start:g}, stop is {found}; choose another stop=")
    if n_times < 2:
        raise ValueError(f"n_times must be at least 2; found {n_times}")
    return [start, *stops] if is_list else np.linspace(start, stops[0], n_times).tolist()


def cells_at_start(adata: AnnData, start: float, time_key: str | None) -> np.ndarray:
    """Return the rows of the cells that trajectories may start from."""
    if time_key is None:
        if adata.n_obs == 0:
            raise ValueError("adata has no cells to start from (n_obs is 0)")
        return np.arange(adata.n_obs)
    times = read_times(adata, time_key)
    rows = np.flatnonzero(times == start)
    if not len(rows):
        raise ValueError(
            f"no cells at start={start:g}; observed times are {np.unique(times).tolist()}. "
            "Start from one of them, or pass other cells with time_key=None"
        )
    return rows
