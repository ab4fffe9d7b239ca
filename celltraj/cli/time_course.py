"""The commands for a course of snapshots: ``celltraj demo | fit | evaluate``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

import celltraj as ct
from celltraj._anndata import read_representation
from celltraj.cli.files import (
    CHECKPOINT,
    EVALUATED,
    TRAJECTORIES,
    check_column,
    check_training,
    check_writable,
    earlier_results,
    read_h5ad,
)
from celltraj.cli.lock import Lock
from celltraj.cli.options.shared import growth_of
from celltraj.cli.summary import rows, say, staged_files
from celltraj.cli.swap import finish_swaps, staged, writing
from celltraj.models import Bridge, FlowMatching, TrainerOptions, Training, remove_checkpoint


def demo(arguments: argparse.Namespace) -> None:
    """Fit a model to a simulated population."""
    arguments.time_key, arguments.use_rep = "time", "X"
    check_training(arguments.out, reads=())
    with writing(arguments.out) as lock:
        _fit_and_draw(ct.datasets.branching(seed=arguments.seed), arguments, lock)


def fit(arguments: argparse.Namespace) -> None:
    """Fit a model to a file, draw and score it."""
    check_training(arguments.out, reads=[arguments.data])
    finish_swaps(arguments.data.parent)
    with writing(arguments.out) as lock:
        _fit_and_draw(_read(arguments), arguments, lock)


def evaluate(arguments: argparse.Namespace) -> None:
    """Score held-out snapshots."""
    check_writable(arguments.out, EVALUATED, reads=[arguments.data])
    finish_swaps(arguments.data.parent)
    with writing(arguments.out) as lock:
        adata = _read(arguments)
        with staged(lock, EVALUATED) as folder:
            means = _score(adata, arguments.hold_out, arguments, folder)
            files = staged_files(folder, arguments.out)
    facts = {"files": files, "n_cells": adata.n_obs, "scores": _rows_of(means)}
    say(arguments, facts, means.to_string())


def _read(arguments: argparse.Namespace) -> ad.AnnData:
    adata = read_h5ad(arguments.data)
    check_column(adata, arguments.data, arguments.time_key, "--time-key")
    return adata


def _fitter(arguments: argparse.Namespace, trainer: TrainerOptions) -> partial[Any]:
    progress = not arguments.quiet
    training = Training(max_steps=arguments.max_steps, trainer=trainer)
    fit = ct.tl.fit_flow if arguments.model == "flow" else ct.tl.fit_bridge
    growth = growth_of(arguments)
    return partial(fit, training=training, growth=growth, progress=progress)


def _trainer(adata: ad.AnnData, arguments: argparse.Namespace) -> TrainerOptions:
    """Return the options of a training that can be resumed."""
    name, x = read_representation(adata, arguments.use_rep)
    names = adata.var_names if name == "X" else [f"{name}_{k}" for k in range(x.shape[1])]
    return TrainerOptions(
        checkpoint=arguments.out / CHECKPOINT,
        checkpoint_every=arguments.checkpoint_every or TrainerOptions.checkpoint_every,
        resume=arguments.resume,
        variables=tuple(map(str, names)),
    )


def _fit_and_draw(adata: ad.AnnData, arguments: argparse.Namespace, lock: Lock) -> None:
    time_key, seed = arguments.time_key, arguments.seed
    fit = _fitter(arguments, _trainer(adata, arguments))
    means: pd.DataFrame | None = None
    with staged(lock, earlier_results(arguments.out)) as folder:
        model = fit(adata, time_key=time_key, use_rep=arguments.use_rep, seed=seed)
        model.save(folder / "model")
        adata.write_h5ad(folder / "fitted.h5ad")
        _draw(adata, model, arguments, folder)
        if interior := model.breakpoints[1:-1]:
            means = _score(adata, [(time,) for time in interior], arguments, folder)
        facts = _facts(adata, model, arguments, means)
        facts = {"files": staged_files(folder, arguments.out)} | facts
    remove_checkpoint(arguments.out / CHECKPOINT)
    if arguments.json or means is not None:
        say(arguments, facts, "" if means is None else means.to_string())


def _facts(
    adata: ad.AnnData,
    model: Bridge | FlowMatching,
    arguments: argparse.Namespace,
    means: pd.DataFrame | None,
) -> dict[str, Any]:
    """Return the main numbers of a fit."""
    key = arguments.model
    params = adata.uns["celltraj"][key]["params"]
    return {
        "n_cells": adata.n_obs,
        "times": list(model.breakpoints),
        "use_rep": params["use_rep"],
        "steps": len(model.losses),
        "growth_found": params.get("growth_found"),
        "convergence": rows(ct.get.convergence(adata, key=key)),
        "scores": [] if means is None else _rows_of(means),
    }


def _rows_of(means: pd.DataFrame) -> list[dict[str, Any]]:
    return rows(means.rename_axis(index="method").reset_index())


def _draw(
    adata: ad.AnnData, model: Bridge | FlowMatching, arguments: argparse.Namespace, folder: Path
) -> None:
    use_rep = adata.uns["celltraj"][arguments.model]["params"]["use_rep"]
    time_key, times = arguments.time_key, model.breakpoints
    # a grid that holds every observed time, so that marginals can be compared there
    grid = np.unique([np.linspace(a, b, 11) for a, b in pairwise(times)]).tolist()
    path = ct.tl.simulate(
        adata,
        model,
        start=grid[0],
        stop=grid[1:],
        time_key=time_key,
        use_rep=use_rep,
        seed=arguments.seed,
        progress=not arguments.quiet,
    )
    path.write_h5ad(folder / TRAJECTORIES)
    view = {"time_key": time_key, "show": False}
    ct.pl.snapshots(adata, basis=use_rep, save=folder / "snapshots.png", **view)
    ct.pl.trajectories(adata, path, basis=use_rep, save=folder / "trajectories.png", **view)
    ct.pl.marginals(adata, path, use_rep=use_rep, save=folder / "marginals.png", **view)
    ct.pl.history(adata, key=arguments.model, show=False, save=folder / "history.png")


def _score(
    adata: ad.AnnData,
    hold_out: Sequence[tuple[Any, ...]],
    arguments: argparse.Namespace,
    folder: Path,
) -> pd.DataFrame:
    """Write scores and their picture, and return the mean of each method, the best first."""
    scores = ct.tl.cross_validate(
        adata,
        time_key=arguments.time_key,
        use_rep=arguments.use_rep,
        # each fold is another training, too short to resume
        fit={arguments.model: _fitter(arguments, TrainerOptions())},
        hold_out=hold_out,
        seed=arguments.seed,
        progress=not arguments.quiet,
    )
    scores.to_csv(folder / "scores.csv", index=False)
    ct.pl.scores(scores, show=False, save=folder / "scores.png")
    means = scores.pivot_table(index="method", columns="metric", values="value", sort=False)
    table: pd.DataFrame = means.sort_values("W1").rename_axis(index=None, columns=None)
    return table
