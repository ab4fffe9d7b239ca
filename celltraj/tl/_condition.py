"""Condition the paths of a fitted model on what becomes of its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj import models
from celltraj._anndata import (
    cells_at,
    chosen_cells,
    read_space,
    read_times,
    sample_record,
    time_of,
)
from celltraj._anndata.results import CONDITION
from celltraj._anndata.write import with_time_key
from celltraj._checks import checked
from celltraj._errors import DataWarning, warn
from celltraj._typing import Time
from celltraj.models import Conditioned, Process, Reward
from celltraj.models.conditioning.group_reward import GroupReward
from celltraj.tl._simulate import cells_at_start, outside_of, with_noise

Toward = Mapping[str, str | Sequence[str]] | Reward
_FAR = 0.1  # share of the states outside the data of the model that deserves a warning
_FEW = 10  # cells that all paths come from, or equal paths that they are worth: too few to trust


@checked
def condition(
    adata: AnnData,
    model: Process,
    *,
    start: Time,
    stop: Time,
    toward: Toward | None,
    n_particles: int = 2000,
    n_times: int = 21,
    time_key: str | None = "time",
    use_rep: str | None = None,
    noise: float | None = None,
    seed: int = 0,
    progress: bool = True,
) -> AnnData:
    """Conditioned paths: which cells become a group or reach a state, by which path, how likely.

    ``e^{r(X_stop)} dP / Z``, the paths of the model weighed by what becomes of them. Particles
    follow ``dX = (b + sigma^2 grad log h) dt + sigma dW`` towards it, with ``h`` an estimate of
    ``E[e^r | X_t]``, and carry weights that make up for the steering, whatever the estimate;
    where few carry all of the weight they are resampled. An event that one of a million paths
    meets is so met by most of 2,000.

    Parameters
    ----------
    adata
        Cells to start from, and for a group those that were observed at ``stop``.
    model
        A fitted bridge or flow, or any process, with noise.
    start
        First time, in the user's unit, or its label in ``time_key``.
    stop
        Last time, after ``start``, or its label.
    toward
        What becomes of the cells: columns of ``obs`` with the values of a group observed at
        ``stop``, such as ``{"cell_type": "Neutrophil"}``, where ``e^r`` is the share of a state's
        ten nearest cells that are of it; or a reward, ``ct.models.LinearReward(direction)``,
        ``ct.models.QuadraticReward(target, width)`` or a :class:`celltraj.models.Reward` of your
        own; None conditions on nothing, and resamples cells by their growth.
    n_particles
        Paths; each cell starts about as many.
    n_times
        Equally spaced times in the result, both ends included.
    time_key
        Column of ``obs`` with the sampling times, which select the cells at ``start`` and the group
        at ``stop``; ``None`` starts from all of ``adata``, for a reward alone.
    use_rep
        ``"X"`` or a key of ``obsm``; by default the one that ``model`` was fitted in.
    noise
        Diffusion of a flow, in [x]/sqrt([t]), by default that of ``model``. All have the same
        marginals, and paths that differ.
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
    ``obs["mass"]`` (weight of the trajectory, the same at all its times, mean 1 over trajectories;
    0 throughout where none meets the condition); ``uns["celltraj"]["condition"]`` (params, version,
    seed, summary, ancestors), which :func:`celltraj.get.condition` reads. What draws trajectories
    draws these, as heavy as their weights.

    Raises
    ------
    KeyError
        A named column or representation does not exist.
    TypeError
        ``toward`` is neither a group nor a reward; ``noise`` for a model that is not a flow.
    ValueError
        No cell was observed at ``start``, ``stop`` is not after it, no such group at ``stop``, a
        model without noise, ``n_particles`` or ``n_times`` too small, a reward or a model of
        another dimension than ``use_rep``, or paths that leave the finite numbers.

    Warns
    -----
    DataWarning
        No path meets the condition, so that its probability is a bound; the weight has come to sit
        on few paths or few cells; or more than a tenth of it lies outside the data of the model.

    Notes
    -----
    The law is that of the model's paths. Through the snapshots of a bridge, cells that are observed
    are tied by couplings exactly, and :func:`celltraj.tl.pull` and :func:`celltraj.tl.fates` read
    these. Growth counts: a path is as heavy as the mass that it leaves, and the probability is the
    share of the descendants at ``stop``.

    References
    ----------
    Doob, *Conditional Brownian motion and the boundary limits of harmonic functions* (1957); Del
    Moral, *Feynman-Kac formulae* (2004); Guarniero, Johansen & Lee, *The iterated auxiliary
    particle filter* (2017).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["arm"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> law = ct.models.Brownian(0.5)
    >>> path = ct.tl.condition(
    ...     adata, law, start=0.0, stop=4.0, toward={"arm": "up"}, n_particles=100, n_times=5,
    ...     progress=False,
    ... )
    >>> path.n_obs
    500
    """
    start, stop = time_of(adata, time_key, start), time_of(adata, time_key, stop)
    _check(start, stop, n_particles, n_times)
    name, x = read_space(adata, model, use_rep, time_key)
    if noise is not None:
        model = with_noise(model, noise)
    reward = _reward(adata, toward, x, stop, time_key)
    candidates = cells_at_start(adata, start, time_key)
    order = np.random.default_rng(seed).permutation(candidates)
    rows = np.resize(order, n_particles)  # each cell as often as every other, or one time more
    found = models.condition(
        model,
        torch.from_numpy(x[rows]),
        np.linspace(start, stop, n_times).tolist(),
        reward=reward,
        generator=torch.Generator().manual_seed(seed),
        progress=progress,
    )
    _warn_of_little(found)
    sources = adata.obs_names[rows].astype(str).to_numpy(dtype=object)
    params = {
        "model": type(model).__name__,
        "start": start,
        "stop": stop,
        "toward": _phrase(toward),
        "n_particles": n_particles,
        "n_times": n_times,
        "time_key": time_key,
        "use_rep": name,
        "noise": noise,
    }
    record = sample_record(params, seed) | {
        "summary": pd.DataFrame([found.row()]).rename(index=str),
        "ancestors": _ancestors(found, sources),
    }
    obs = _observations(found, sources, outside_of(model, found.paths.times))
    obs = with_time_key(adata, obs, time_key)
    states = found.paths.x.reshape(-1, x.shape[1]).numpy()
    made = CONDITION.made(record, [])
    return cells_at(adata.var_names, name, states, obs, ("condition", made))


def _check(start: float, stop: float, n_particles: int, n_times: int) -> None:
    if not start < stop:
        raise ValueError(
            f"stop must lie after start; found start={start:g}, stop={stop:g}. Where cells came "
            "from is told by starting before them: the result's ancestors"
        )
    if n_particles < 2 or n_times < 2:
        raise ValueError(
            f"n_particles and n_times must be at least 2; found {n_particles} and {n_times}"
        )


def _reward(
    adata: AnnData, toward: Toward | None, x: np.ndarray, stop: float, time_key: str | None
) -> Reward | None:
    """Return what paths are conditioned on."""
    if toward is None or isinstance(toward, Reward):
        return toward
    if time_key is None:
        raise ValueError(
            "a group is one of cells observed at stop, and time_key=None says that all were "
            "observed at start; pass time_key= with the column of times, or a reward as toward="
        )
    times = read_times(adata, time_key)
    rows = np.flatnonzero(times == stop)
    if not len(rows):
        raise ValueError(
            f"no cells at stop={stop:g}, among which the group would be found; observed times are "
            f"{np.unique(times).tolist()}. Stop at one of them, or pass a reward as toward="
        )
    members = chosen_cells(adata, toward, rows, stop)
    return GroupReward(torch.from_numpy(x[rows]), torch.from_numpy(members))


def _phrase(toward: Toward | None) -> str | None:
    """Return what was asked, as text."""
    if toward is None or isinstance(toward, Reward):
        return None if toward is None else type(toward).__name__
    values = {key: [one] if isinstance(one, str) else list(one) for key, one in toward.items()}
    return ", ".join(f"{key}: {' or '.join(map(str, one))}" for key, one in values.items())


def _ancestors(found: Conditioned, sources: np.ndarray) -> pd.DataFrame:
    """Return a row for each cell that paths with weight start from, the heaviest first."""
    weights, start = found.paths.weights.numpy(), found.paths.start.numpy()
    table = pd.DataFrame({"source": sources[start], "share": weights})
    table = table[table["share"] > 0].groupby("source", sort=True)["share"].agg(["sum", "size"])
    table = table.sort_values("sum", ascending=False, kind="stable").reset_index()
    names = {"sum": "share", "size": "n_paths"}
    return table.rename(columns=names).astype({"source": object}).rename(index=str)


def _observations(
    found: Conditioned, sources: np.ndarray, extrapolated: np.ndarray
) -> pd.DataFrame:
    """Return a row for each (time, trajectory), as the states are ordered."""
    paths, n_times = found.paths, len(found.paths.times)
    n = len(paths.weights)
    return pd.DataFrame(
        {
            "trajectory": np.tile(np.arange(n), n_times),
            "time": np.repeat(paths.times, n),
            "source": np.tile(sources[paths.start.numpy()], n_times),
            "extrapolated": np.repeat(extrapolated, n),
            "mass": np.tile(n * paths.weights.numpy(), n_times),
        }
    )


def _warn_of_little(found: Conditioned) -> None:
    """Say where no path, or the weight of few, tells what was asked."""
    paths = found.paths
    if not found.is_reached:
        warn(
            f"no path of {len(paths.weights)} that were steered, and {found.n_reached:.3g} of "
            f"{found.n_pilot} that were not, ends as asked: its probability is at most "
            f"{np.exp(found.log_probability):.2g}, and the mass of all trajectories is 0. Start "
            "later, or ask for a state near it with ct.models.QuadraticReward",
            DataWarning,
        )
    elif min(paths.n_ancestors, paths.effective) < _FEW:
        warn(
            f"the weight has come to sit on {paths.effective:.0f} equal paths from "
            f"{paths.n_ancestors} particles at the start, and what is read off them is as "
            "uncertain, more so than its standard error; pass more n_particles=, or start later",
            DataWarning,
        )
    if found.outside > _FAR:
        warn(
            f"{found.outside:.0%} of the weight of the states lies outside the data of the model, "
            "which sees them as if they were at the edge: drift, growth and score are extrapolated "
            "there, and the weights with them",
            DataWarning,
        )
