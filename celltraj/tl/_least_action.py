"""Paths of least action between states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import Tensor
from tqdm.auto import tqdm

from celltraj import models
from celltraj._anndata import (
    cells_at,
    options_record,
    read_groups,
    read_space,
    sample_record,
    sigma_source_of,
    time_of,
)
from celltraj._anndata.results import LEAST_ACTION
from celltraj._checks import checked
from celltraj._errors import DataWarning, FitWarning, warn
from celltraj._typing import Time
from celltraj.models import ActionPath, LeastAction, Process
from celltraj.models.process import span_of

_SHOWN = 20


@checked
def least_action(
    adata: AnnData,
    model: Process,
    *,
    source: str,
    target: str | Sequence[str],
    groupby: str | None = None,
    start: Time | None = None,
    stop: Time | None = None,
    time_key: str = "time",
    use_rep: str | None = None,
    options: LeastAction | None = None,
    seed: int = 0,
    progress: bool = True,
) -> AnnData:
    r"""Least action path: find how noise most easily leads cells from one state to another.

    ``S = 1/2 int sum_i ((x_i' - b_i(t, x)) / sigma_i)^2 dt``, Freidlin and Wentzell's action, is
    least along the path: ``exp(-S)`` says how rare the transition is in little noise, and the path
    how it then happens. With ``stop`` it takes that long; without, the duration is the best one,
    for laws that do not change with time: ``2 (U_pass - U_source) / sigma^2`` for
    ``b = -grad U``. The action is in units of the noise: half the sigma makes it four times as
    large, so that it means as much as sigma does.

    Parameters
    ----------
    adata
        Cells that hold the states.
    model
        A process with noise: a bridge, its ``reference`` for the law without time, or
        ``flow.with_noise(sigma)``.
    source
        State to start from: a group of ``groupby``, whose mean is taken, or the obs name of a cell.
    target
        State to lead to, likewise, or several.
    groupby
        Column of ``obs`` with the groups that ``source`` and ``target`` name; by default they name
        cells.
    start
        Time at which paths begin, in the user's unit or as a label of ``time_key``; by default the
        first one of the model, else 0.
    stop
        Time at which they end; by default the duration that costs least.
    time_key
        Column of ``obs`` with the sampling times; read for labels alone.
    use_rep
        ``"X"`` or a key of ``obsm``; by default the one that ``model`` was fitted in.
    options
        How paths are looked for; by default ``ct.models.LeastAction()``.
    seed
        Seed of the guesses that the search begins with.
    progress
        Whether to show progress bars.

    Returns
    -------
    AnnData with a row per point of each path: ``X`` the states, also in ``obsm[use_rep]`` unless
    that is ``"X"``; ``obs["trajectory"]`` (int), ``obs["time"]`` ([t]), ``obs["source"]``,
    ``obs["target"]``, ``obs["action"]`` (from the start until there, without unit);
    ``uns["celltraj"]["least_action"]`` (params, with sigma and sigma_source, version, seed; table,
    a row per path: source, target, action, error (of the length of its pieces), duration
    ([t], infinite where the path comes to rest on its way), converged, agreeing_starts, how many
    guesses ended in this action).

    Warns
    -----
    DataWarning
        The sigma of the model is the default of its fit, not one that was measured.
    FitWarning
        A search ended before the action was flat.

    Raises
    ------
    KeyError
        A column, a representation, a group or a cell does not exist.
    ValueError
        The model has no noise on the way, changes with time and no ``stop`` was given, both states
        are one, ``stop`` is not after ``start``, or the model has another dimension.

    References
    ----------
    Freidlin & Wentzell, *Random perturbations of dynamical systems* (2012), chapter 3; Heymann &
    Vanden-Eijnden, *The geometric minimum action method* (2008).

    Examples
    --------
    >>> import torch
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> pull = ct.models.OrnsteinUhlenbeck(matrix=-torch.eye(2), shift=torch.zeros(2), sigma=0.5)
    >>> path = ct.tl.least_action(
    ...     adata, pull, source="progenitor", target="upper", groupby="arm", progress=False
    ... )
    >>> ct.get.least_action(path)[["source", "target", "converged"]].values.tolist()
    [['progenitor', 'upper', True]]
    """
    name, x = read_space(adata, model, use_rep)
    targets = [target] if isinstance(target, str) else list(dict.fromkeys(target))
    if not targets:
        raise ValueError("target= names no state; give it a group or cell")
    span = span_of(model)
    first = (0.0 if span is None else span[0]) if start is None else time_of(adata, time_key, start)
    last = None if stop is None else time_of(adata, time_key, stop)
    options = LeastAction() if options is None else options
    states = {one: _state(adata, x, one, groupby) for one in (source, *targets)}
    generator = torch.Generator().manual_seed(seed)
    paths: dict[str, ActionPath] = {}
    for one in tqdm(targets, desc="least action", unit="path", disable=not progress):
        ends = states[source], states[one]
        paths[one] = models.least_action(model, ends, (first, last), options, generator=generator)
    sigma = _mean_noise(model, paths)
    params = {
        "model": type(model).__name__,
        "source": source,
        "target": np.array(targets, dtype=object),
        "groupby": groupby,
        "start": first,
        "stop": last,
        "time_key": time_key,
        "use_rep": name,
        "options": options_record(options),
        "sigma": sigma,
        "sigma_source": sigma_source_of(adata, sigma),
    }
    _warn(paths, params)
    record = sample_record(params, seed) | {"table": _table(source, paths)}
    points = torch.cat([one.x for one in paths.values()]).numpy()
    made = ("least_action", LEAST_ACTION.made(record, []))
    return cells_at(adata.var_names, name, points, _points(source, paths), made)


def _state(adata: AnnData, x: np.ndarray, name: str, groupby: str | None) -> Tensor:
    """Return the state ``(d,)`` of a cell, or the mean one of a group."""
    if groupby is None:
        if name not in adata.obs_names:
            raise KeyError(
                f"no cell {name!r} in adata.obs_names, which begin with "
                f"{adata.obs_names[:3].tolist()}; for groups of cells pass groupby="
            )
        rows = np.flatnonzero(adata.obs_names == name)[:1]
    else:
        groups = read_groups(adata, groupby)
        rows = np.flatnonzero(groups == name)
        if not len(rows):
            raise KeyError(
                f"no group {name!r} in adata.obs[{groupby!r}]; found "
                f"{list(groups.cat.categories)[:_SHOWN]}"
            )
    return torch.from_numpy(x[rows].mean(0))


def _mean_noise(model: Process, paths: dict[str, ActionPath]) -> float:
    """Return the mean noise on paths, in [x]/sqrt([t])."""
    noise = [model.diffusion(float(one.times[0]), one.x) for one in paths.values()]
    return float(torch.cat(noise).mean())


def _warn(paths: dict[str, ActionPath], params: Mapping[str, object]) -> None:
    if params["sigma_source"] == "default":
        warn(
            f"actions are in units of sigma={params['sigma']:.3g}, the default of the fit and not "
            "a noise that was measured: they tell paths from each other, not how rare a "
            "transition is. Fit with sigma= for that",
            DataWarning,
        )
    if bad := [name for name, one in paths.items() if not one.converged]:
        warn(
            f"the search for the path to {bad[:_SHOWN]} ended before its action was flat; raise "
            "max_iter or n_points in options=ct.models.LeastAction(...)",
            FitWarning,
        )


def _table(source: str, paths: dict[str, ActionPath]) -> pd.DataFrame:
    """Return a row for each path."""
    rows = [
        (source, name, one.action, one.error, one.duration, one.converged, one.n_agreeing)
        for name, one in paths.items()
    ]
    columns = ["source", "target", "action", "error", "duration", "converged", "agreeing_starts"]
    return pd.DataFrame(rows, columns=columns).rename(index=str)


def _points(source: str, paths: dict[str, ActionPath]) -> pd.DataFrame:
    """Return a row for each point of each path."""
    parts = [
        pd.DataFrame(
            {
                "trajectory": k,
                "time": one.times.numpy(),
                "source": source,
                "target": name,
                "action": one.until.numpy(),
            }
        )
        for k, (name, one) in enumerate(paths.items())
    ]
    return pd.concat(parts, ignore_index=True)
