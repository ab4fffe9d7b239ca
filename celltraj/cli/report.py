"""One page about a run: ``celltraj report``."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

import celltraj as ct
from celltraj.cli.files import FITTED, REPORT, SCORES, TRAJECTORIES, check_complete, read_h5ad
from celltraj.cli.result_file import writing_file
from celltraj.cli.summary import say
from celltraj.cli.swap import finish_swaps, staged


def report(arguments: argparse.Namespace) -> None:
    """Write one HTML page about a run that has ended."""
    run: Path = arguments.folder
    out: Path = arguments.out or run / REPORT
    cells: Path = arguments.cells or run / FITTED
    finish_swaps(run)
    check_complete(run)
    moving: Path | None = arguments.trajectories or _found(run / TRAJECTORIES)
    reads = [cells, run / SCORES, *([] if moving is None else [moving])]
    with writing_file(out, data=reads) as lock:
        adata = read_h5ad(cells)
        scores = _read_scores(run / SCORES)
        motion = {} if moving is None else {"trajectories": read_h5ad(moving)}
        with staged(lock, ()) as folder:
            page = ct.pl.report(
                adata,
                folder / out.name,
                key=arguments.key,
                scores=scores,
                basis=arguments.basis,
                title=arguments.title,
                progress=not arguments.quiet,
                **motion,
            )
            n_bytes = page.stat().st_size
    facts = {
        "files": [str(out)],
        "n_cells": adata.n_obs,
        "n_bytes": n_bytes,
        "results": ct.get.results(adata)["key"].tolist(),
        "has_scores": scores is not None,
    }
    say(arguments, facts, str(out))


def _found(path: Path) -> Path | None:
    """Return the file, if it is there: runs of before have none."""
    return path if path.is_file() else None


def _read_scores(path: Path) -> pd.DataFrame | None:
    """Read held-out scores; None of a run without, as one of two snapshots is.

    Raises
    ------
    ValueError
        The file is no table.
    """
    if not path.is_file():
        return None
    try:
        return pd.read_csv(path)
    except ValueError as error:  # pandas' own errors of parsing are of this kind
        raise ValueError(f"cannot read {path} as a table of scores ({error})") from error
