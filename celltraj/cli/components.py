"""From genes to components and back: ``celltraj pca | decode``."""

from __future__ import annotations

import argparse
from pathlib import Path

import anndata as ad

import celltraj as ct
from celltraj._anndata.results import PCA
from celltraj.cli.files import check_column, read_h5ad
from celltraj.cli.lock import Lock
from celltraj.cli.result_file import writing_file
from celltraj.cli.summary import say
from celltraj.cli.swap import staged


def pca(arguments: argparse.Namespace) -> None:
    """Learn principal components, or place cells in those of others."""
    others: Path | None = arguments.loadings
    with writing_file(arguments.out, data=_read(arguments)) as lock:
        adata = read_h5ad(arguments.data)
        if others is not None:
            ct.pp.project(adata, loadings=read_h5ad(others))
        else:
            if arguments.fit_on is not None:
                check_column(adata, arguments.data, arguments.fit_on, "--fit-on")
            ct.pp.pca_model(
                adata,
                n_comps=arguments.n_comps,
                layer=arguments.layer,
                fit_on=arguments.fit_on,
                seed=arguments.seed,
            )
        _write(lock, adata)
    use_rep = str(PCA.peek(adata)["params"]["use_rep"])
    n_comps = adata.obsm[use_rep].shape[1]
    counts = {"n_comps": n_comps, "n_cells": adata.n_obs, "n_genes": adata.n_vars}
    text = f"{adata.n_obs} cells in {n_comps} components of {adata.n_vars} genes"
    say(arguments, {"files": [str(arguments.out)], "use_rep": use_rep, **counts}, text)


def decode(arguments: argparse.Namespace) -> None:
    """Lead cells from principal components back to genes."""
    others: Path | None = arguments.loadings
    with writing_file(arguments.out, data=_read(arguments)) as lock:
        adata = read_h5ad(arguments.data)
        loadings = None if others is None else read_h5ad(others)
        genes = ct.tl.decode(adata, loadings=loadings, use_rep=arguments.use_rep)
        _write(lock, genes)
    facts = {"files": [str(arguments.out)], "n_cells": genes.n_obs, "n_genes": genes.n_vars}
    say(arguments, facts, f"{genes.n_obs} cells with {genes.n_vars} genes")


def _read(arguments: argparse.Namespace) -> list[Path]:
    """Return the files that a command reads."""
    return [arguments.data, *([] if arguments.loadings is None else [arguments.loadings])]


def _write(lock: Lock, adata: ad.AnnData) -> None:
    with staged(lock, ()) as folder:
        adata.write_h5ad(folder / lock.place.name)
