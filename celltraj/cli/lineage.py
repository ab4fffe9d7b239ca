"""What becomes of cells: ``celltraj couplings | fates | transitions | drivers``."""

from __future__ import annotations

import argparse
from typing import Any

import anndata as ad
import pandas as pd

import celltraj as ct
from celltraj._anndata import read_times
from celltraj._anndata.results import DRIVERS, TRANSITIONS
from celltraj.cli.files import check_column, read_h5ad
from celltraj.cli.options.shared import growth_of
from celltraj.cli.result_file import write_result, writing_file
from celltraj.cli.saved_model import read_process
from celltraj.cli.summary import rows, say

_SHOWN = 10  # genes of each fate


def couplings(arguments: argparse.Namespace) -> None:
    """Couple neighbouring snapshots, by a model or by plain transport."""
    if arguments.model is not None and arguments.growth is not None:
        raise ValueError(
            "--growth says how plain transport couples, and a model has growth of its own; leave "
            "one of them out"
        )
    key, folder = arguments.key_added, arguments.model
    with writing_file(arguments.out, data=[arguments.data], model=folder) as lock:
        model = None if folder is None else read_process(folder)
        adata = read_h5ad(arguments.data)
        _check_columns(adata, arguments, "time_key", "growth_key")
        ct.tl.couplings(
            adata,
            model,
            time_key=arguments.time_key,
            use_rep=arguments.use_rep,
            epsilon=arguments.epsilon,
            tau=None if arguments.tau is None else tuple(arguments.tau),
            growth=growth_of(arguments),
            growth_key=arguments.growth_key,
            key_added=key,
            seed=arguments.seed,
            progress=not arguments.quiet,
        )
        gaps = ct.get.convergence(adata, key=key)
        write_result(lock, adata, gaps)
    params = adata.uns["celltraj"][key]["params"]
    facts = _facts(adata, arguments) | {
        "use_rep": params["use_rep"],
        "growth_found": params.get("growth_found"),
        "gaps": rows(gaps),
    }
    say(arguments, facts, gaps.to_string(index=False))


def fates(arguments: argparse.Namespace) -> None:
    """Tell which share of a cell's descendants is in each group."""
    key = arguments.key_added
    with writing_file(arguments.out, data=[arguments.data]) as lock:
        adata = read_h5ad(arguments.data)
        _check_columns(adata, arguments, "groupby")
        ct.tl.fates(
            adata,
            groupby=arguments.groupby,
            at=arguments.at,
            key=arguments.key,
            confidence=arguments.confidence,
            key_added=key,
            progress=not arguments.quiet,
        )
        table = _fates_of_cells(adata, key)
        write_result(lock, adata, table)
    params = adata.uns["celltraj"][key]["params"]
    means = table.groupby(["time", "fate"], sort=False)["share"].mean().dropna().reset_index()
    facts = _facts(adata, arguments) | {"at": params["at"], "means": rows(means)}
    shown = means.pivot_table(index="time", columns="fate", values="share", sort=False)
    say(arguments, facts, shown.rename_axis(columns=None).reset_index().to_string(index=False))


def _fates_of_cells(adata: ad.AnnData, key: str) -> pd.DataFrame:
    """Return a row for each cell and fate, with the interval over several couplings."""
    params = adata.uns["celltraj"][key]["params"]
    times = read_times(adata, params["time_key"])
    ends = {"share": "mean"}
    if params["n_couplings"] > 1:
        ends |= {"lower": "lower", "upper": "upper"}
    columns = {name: ct.get.fates(adata, key=key, end=end) for name, end in ends.items()}
    shares = columns["share"]
    cells = {
        "cell": adata.obs_names.repeat(shares.shape[1]),
        "time": times.repeat(shares.shape[1]),
        "fate": [*shares.columns] * len(shares),
    }
    return pd.DataFrame(cells | {name: table.to_numpy().ravel() for name, table in columns.items()})


def transitions(arguments: argparse.Namespace) -> None:
    """Count how much mass moves between groups of cells."""
    key = arguments.key_added
    with writing_file(arguments.out, data=[arguments.data]) as lock:
        adata = read_h5ad(arguments.data)
        _check_columns(adata, arguments, "groupby")
        ct.tl.transitions(
            adata,
            groupby=arguments.groupby,
            source=arguments.source,
            target=arguments.target,
            key=arguments.key,
            key_added=key,
            progress=not arguments.quiet,
        )
        table = TRANSITIONS.table(adata, key)
        write_result(lock, adata, table.reset_index(drop=True))
    facts = _facts(adata, arguments) | {"transitions": rows(table)}
    say(arguments, facts, table.to_string(index=False))


def drivers(arguments: argparse.Namespace) -> None:
    """Correlate the expression of genes with the fates of cells."""
    key = arguments.key_added
    with writing_file(arguments.out, data=[arguments.data]) as lock:
        adata = read_h5ad(arguments.data)
        _check_columns(adata, arguments, "sample_key")
        ct.tl.drivers(
            adata,
            key=arguments.key,
            layer=arguments.layer,
            sample_key=arguments.sample_key,
            time=_one_or_all(arguments.time),
            genes=arguments.gene_column or arguments.genes,
            n_permutations=arguments.n_permutations,
            confidence=arguments.confidence,
            key_added=key,
            seed=arguments.seed,
            progress=not arguments.quiet,
        )
        write_result(lock, adata, DRIVERS.table(adata, key).reset_index(drop=True))
    shown = ct.get.drivers(adata, n=_SHOWN, key=key)
    facts = _facts(adata, arguments) | {
        "n_genes": int(DRIVERS.table(adata, key)["gene"].nunique()),
        "units": adata.uns["celltraj"][key]["params"]["units"],
        "highest": rows(shown),
    }
    say(arguments, facts, shown.to_string(index=False))


def _one_or_all(times: list[float | str] | None) -> float | str | list[float | str] | None:
    """Return a single time as such, which may be the word for all of them."""
    return times[0] if times is not None and len(times) == 1 else times


def _check_columns(adata: ad.AnnData, arguments: argparse.Namespace, *names: str) -> None:
    for name in names:
        if (column := getattr(arguments, name)) is not None:
            check_column(adata, arguments.data, column, f"--{name.replace('_', '-')}")


def _facts(adata: ad.AnnData, arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "files": [str(arguments.out)],
        "n_cells": adata.n_obs,
        "key": arguments.key_added,
    }
