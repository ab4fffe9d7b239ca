"""Read the tables of results as they were before they went through a file."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import CALIBRATION, FATES, TRANSITIONS
from celltraj._anndata.times import time_of
from celltraj._typing import Time

ENDS = {"mean": "{key}", "lower": "{key}_lower", "upper": "{key}_upper"}  # places of fates


def fates_table(adata: AnnData, key: str, end: str = "mean") -> pd.DataFrame:
    """Return the fates of all cells, ``(n_obs, K)``, or an end of their interval.

    Raises
    ------
    KeyError
        There are none of that name, or no intervals.
    ValueError
        Their source has changed, or there are more names than shares.
    """
    result = FATES if CALIBRATION.find(adata, key) is None else CALIBRATION
    shares = np.asarray(result.values(adata, key, ENDS[end]))
    names = pd.Index([str(name) for name in result.peek(adata, key)["names"]])
    if shares.ndim != 2 or shares.shape[1] != len(names):
        raise ValueError(
            f"obsm[{key!r}] has shape {shares.shape} and {len(names)} names; run {result.call} "
            "again"
        )
    return pd.DataFrame(shares, index=adata.obs_names, columns=names)


def read_transitions(
    adata: AnnData, key: str, source: Time | None, target: Time | None
) -> pd.DataFrame:
    """Return the rows of :func:`celltraj.tl.transitions` between two times.

    Raises
    ------
    KeyError
        There are no transitions of that name.
    ValueError
        None between such times, or several.
    """
    table = TRANSITIONS.table(adata, key)
    spans = table[["t0", "t1"]].drop_duplicates()
    chosen = spans
    params = TRANSITIONS.peek(adata, key)["params"]
    for name, typed in (("t0", source), ("t1", target)):
        if typed is not None:
            time = time_of(adata, str(params.get("time_key", "time")), typed)
            chosen = chosen[np.isclose(chosen[name], time, rtol=1e-9, atol=0)]
    if len(chosen) != 1:
        raise ValueError(
            f"{len(chosen)} transitions from source={source} to target={target}; counted were "
            f"those between {spans.to_numpy().tolist()}. Choose one by source= and target="
        )
    return table.merge(chosen)


def transition_matrix_of(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return one column of transitions between two times as a matrix, groups in their order."""
    order = {name: rows[name].unique() for name in ("source", "target")}
    matrix = rows.pivot(index="source", columns="target", values=column)
    return matrix.loc[order["source"], order["target"]]
