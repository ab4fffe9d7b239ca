"""What was fitted on what, and with which parameters and versions."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj import __version__
from celltraj._anndata import dimension_of, read_times
from celltraj._anndata.results import BRIDGE, COUPLINGS, FLOW, RESPONSE, params_of
from celltraj.pl._cells import time_label
from celltraj.pl._report.markup import number

TOLD = (BRIDGE, FLOW, RESPONSE, COUPLINGS)  # what a report is on, in this order
_PACKAGES = ("anndata", "scanpy", "numpy", "scipy", "pandas", "torch", "matplotlib")


def source_of(record: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the column of times and the representation that a result was computed in."""
    told = dict(record.get("source", {})) | dict(record.get("params", {}))
    time_key, use_rep = told.get("time_key"), told.get("use_rep")
    return (
        None if time_key is None else str(time_key),
        None if use_rep is None else str(use_rep),
    )


def cells_in_words(adata: AnnData, record: Mapping[str, Any]) -> str:
    """Say on which cells a result was computed."""
    time_key, use_rep = source_of(record)
    words = f"{adata.n_obs:,} cells"
    if "time_points" in record:
        times = np.asarray(record["time_points"], dtype=float)
        label = "time" if time_key is None else time_label(adata, time_key)
        words += f" at {len(times)} times, {label} {times[0]:g} to {times[-1]:g}"
    if use_rep is not None and (use_rep == "X" or use_rep in adata.obsm):
        words += f", in {use_rep} of {dimension_of(adata, use_rep):,} variables"
    return words


def fit_in_words(adata: AnnData, key: str, record: Mapping[str, Any]) -> str:
    """Say what was fitted, on what, and how."""
    params = dict(record["params"])
    kind = str(record["kind"])
    parts = [f"{kind.capitalize()} “{key}”: {cells_in_words(adata, record)}"]
    parts += _law_in_words(params)
    if "populations" in record:
        parts.append(f"{len(record['populations'])} populations with treated cells")
    if "growth" in params:
        found = params.get("growth_found")
        parts.append(f"growth {_plain(params['growth'])}" + (f" ({found})" if found else ""))
    if "history" in record:
        n = len(record["history"])
        parts.append(f"a network trained for {n:,} steps" if n else "computed, not trained")
    return f"{'; '.join(parts)}. Seed {record.get('seed', 'unknown')}."


def _law_in_words(params: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is known of the law of motion."""
    if "model" in params:
        yield f"of the model {_plain(params['model'])}"
    for name in ("reference", "interpolant"):
        if name in params:
            yield f"{name} {_plain(params[name])}"
    if "sigma" in params:
        yield f"sigma {number(params['sigma'])} ({params.get('sigma_source', 'given')})"
    if "law" in params:
        yield str(params["law"])


def _plain(value: object) -> str:
    """Return a param in a few words: options by their name."""
    return str(value["name"]) if isinstance(value, Mapping) and "name" in value else str(value)


def snapshots_table(adata: AnnData, time_key: str) -> pd.DataFrame:
    """Return how many cells there are at each time."""
    times, counts = np.unique(read_times(adata, time_key), return_counts=True)
    return pd.DataFrame({time_label(adata, time_key): times, "cells": counts})


def params_table(adata: AnnData, keys: list[str]) -> pd.DataFrame:
    """Return the parameters of results, one in a row."""
    rows = [
        (key, name, value) for key in keys for name, value in _flat(dict(params_of(adata, key)))
    ]
    return pd.DataFrame(rows, columns=["result", "parameter", "value"], dtype=object)


def _flat(params: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in params.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            shown = list(value) if isinstance(value, np.ndarray) else value
            yield f"{before}{name}", str(shown)


def versions_table() -> pd.DataFrame:
    """Return what drew the report."""
    rows = [("Python", platform.python_version()), ("celltraj", __version__)]
    rows += [(name, version(name)) for name in _PACKAGES]
    return pd.DataFrame(rows, columns=["package", "version"])
