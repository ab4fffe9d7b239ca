"""Trajectories of a fitted model: ``celltraj simulate``."""

from __future__ import annotations

import argparse

import anndata as ad
import pandas as pd

import celltraj as ct
from celltraj.cli.files import check_column, read_h5ad
from celltraj.cli.result_file import write_result, writing_file
from celltraj.cli.saved_model import read_process
from celltraj.cli.summary import rows, say
from celltraj.models import Bridge, FlowMatching


def simulate(arguments: argparse.Namespace) -> None:
    """Simulate trajectories from the cells of a time."""
    with writing_file(arguments.out, data=[arguments.data], model=arguments.model) as lock:
        model = read_process(arguments.model)
        adata = read_h5ad(arguments.data)
        check_column(adata, arguments.data, arguments.time_key, "--time-key")
        path = _simulated(adata, model, arguments)
        table = _by_time(path)
        write_result(lock, path, table)
    record = path.uns["celltraj"]["simulate"]
    facts = {
        "files": [str(arguments.out)],
        "n_trajectories": int(record["params"]["n_cells"]),
        "use_rep": record["params"]["use_rep"],
        "n_evaluations": int(record["n_evaluations"]),
        "times": rows(table),
    }
    say(arguments, facts, table.to_string(index=False))


def _simulated(
    adata: ad.AnnData, model: Bridge | FlowMatching, arguments: argparse.Namespace
) -> ad.AnnData:
    try:
        return ct.tl.simulate(
            adata,
            model,
            start=arguments.start,
            stop=arguments.stop if len(arguments.stop) > 1 else arguments.stop[0],
            n_cells=arguments.n_cells,
            n_times=arguments.n_times,
            time_key=arguments.time_key,
            use_rep=arguments.use_rep,
            noise=arguments.noise,
            seed=arguments.seed,
            progress=not arguments.quiet,
        )
    except TypeError as error:
        # what this kind of model cannot do, which in a shell is a matter of the options
        raise ValueError(str(error)) from error


def _by_time(path: ad.AnnData) -> pd.DataFrame:
    """Return a row for each time: trajectories, whether beyond the fit, and mean mass if any."""
    columns = {"trajectories": ("trajectory", "size"), "extrapolated": ("extrapolated", "first")}
    if "mass" in path.obs:
        columns["mass"] = ("mass", "mean")
    return path.obs.groupby("time", sort=False).agg(**columns).reset_index()
