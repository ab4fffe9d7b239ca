"""Read the tables of results as they were before they went through a file."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import CONDITIONS, DRIVERS, TRANSITIONS, Result
from celltraj._anndata.times import time_of
from celltraj._typing import Time

_TEXTS = (
    *("source", "target", "gene", "genes", "group", "fate"),
    *("quantity", "condition", "baseline", "sample"),
)


def read_drivers(adata: AnnData, key: str) -> pd.DataFrame:
    """Return the table of :func:`celltraj.tl.drivers`.

    Raises
    ------
    KeyError
        There is none of that name.
    """
    return read_table(adata, key, DRIVERS)


def read_conditions(adata: AnnData, key: str, *, samples: bool) -> pd.DataFrame:
    """Return the effects, or the samples, of :func:`celltraj.tl.compare_conditions`.

    Raises
    ------
    KeyError
        There is none of that name.
    """
    return read_table(adata, key, CONDITIONS, "samples" if samples else "table")


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
    table = all_transitions(adata, key)
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


def all_transitions(adata: AnnData, key: str) -> pd.DataFrame:
    """Return the table of :func:`celltraj.tl.transitions`.

    Raises
    ------
    KeyError
        There are no transitions of that name.
    """
    return read_table(adata, key, TRANSITIONS)


def read_table(adata: AnnData, key: str, result: Result, field: str = "table") -> pd.DataFrame:
    """Return a table of a result, with its columns of texts as they were.

    Raises
    ------
    KeyError
        There is no such result, or it is one of another kind.
    ValueError
        It has no rows, or its source has changed.
    """
    table = result.read(adata, key)[field]
    if len(table) == 0:
        raise ValueError(f"the result {key!r} of {result.call} has no rows; run it again")
    # a file gives texts back in other forms
    texts = [name for name in table if name in _TEXTS]
    return table.astype(dict.fromkeys(texts, object)).reset_index(drop=True)
