"""How well responses are predicted: ``celltraj cross-validate-response``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import anndata as ad
import pandas as pd

import celltraj as ct
from celltraj.cli.files import EVALUATED, check_writable
from celltraj.cli.response import options_of, read_cohort
from celltraj.cli.summary import rows, say, staged_files
from celltraj.cli.swap import finish_swaps, staged, writing
from celltraj.models import Training

_SHOWN = ["method", "metric", "mean", "low", "high", "skill", "verdict"]


def cross_validate_response(arguments: argparse.Namespace) -> None:
    """Leave out what a response predicts, and judge it by trivial answers."""
    check_writable(arguments.out, EVALUATED, reads=[arguments.data])
    finish_swaps(arguments.data.parent)
    if arguments.n_comps is not None and arguments.use_rep is not None:
        raise ValueError("--n-comps and --use-rep are two representations; leave one of them out")
    with writing(arguments.out) as lock:
        adata = read_cohort(arguments)
        with staged(lock, EVALUATED) as folder:
            scores = _scores(adata, arguments)
            scores.to_csv(folder / "scores.csv", index=False)
            ct.pl.scores(scores, show=False, save=folder / "scores.png")
            files = staged_files(folder, arguments.out)
    summary = ct.get.score_summary(scores)
    facts = {
        "files": files,
        "n_cells": adata.n_obs,
        "hold_out": arguments.hold_out,
        "held_out": list(map(str, scores["held_out"].unique())),
        "scores": rows(summary),
    }
    say(arguments, facts, summary[_SHOWN].to_string(index=False))


def _scores(adata: ad.AnnData, arguments: argparse.Namespace) -> pd.DataFrame:
    fit = partial(
        ct.tl.fit_response,
        options=options_of(arguments),
        training=Training(max_steps=arguments.max_steps),
        progress=not arguments.quiet,
    )
    table: pd.DataFrame = ct.tl.cross_validate_response(
        adata,
        population_key=arguments.population,
        condition_key=arguments.condition,
        control=arguments.control,
        hold_out=arguments.hold_out,
        cell_type_key=arguments.cell_type,
        dose_key=arguments.dose,
        fit=fit,
        seed=arguments.seed,
        progress=not arguments.quiet,
        **_representation(arguments),
    )
    return table


def _representation(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the representation that there is, or what learns one in each fold."""
    if arguments.n_comps is None:
        return {"use_rep": arguments.use_rep}
    prepare: Callable[..., None] = partial(ct.pp.pca_model, n_comps=arguments.n_comps)
    return {"use_rep": "X_pca", "prepare": prepare}
