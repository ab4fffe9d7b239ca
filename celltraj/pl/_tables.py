"""Read the tables that plots draw, whatever a file made of their texts."""

from __future__ import annotations

from typing import Any

import pandas as pd
from anndata import AnnData

from celltraj._anndata import read_record, read_result

_TEXTS = ("source", "target", "gene", "group")
_TRANSITIONS = ("t0", "t1", "source", "target", "mass", "forward", "backward")
_CALL = "ct.tl.transitions(adata, groupby=...)"


def table_of(
    adata: AnnData, key: str, field: str, call: str, columns: tuple[str, ...]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the table ``uns["celltraj"][key][field]`` and the params of its record.

    Raises
    ------
    KeyError
        There is no such result, or it is one of another kind; ``call`` makes one.
    ValueError
        It has no rows.
    """
    table = read_result(adata, key, field, call)
    if missing := [name for name in columns if name not in table]:
        raise KeyError(
            f"adata.uns['celltraj'][{key!r}] is another result, without {missing}; run {call}, or "
            "pass key= with its key_added"
        )
    if len(table) == 0:
        raise ValueError(f"adata.uns['celltraj'][{key!r}] has no rows to draw; run {call} again")
    texts = {name: object for name in _TEXTS if name in columns}
    params = read_record(adata, key).get("params", {})
    return table.astype(texts).reset_index(drop=True), params


def transitions_of(adata: AnnData, key: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the table of :func:`celltraj.tl.transitions` and its params.

    Raises
    ------
    KeyError
        There is none of that name.
    ValueError
        It has no rows.
    """
    return table_of(adata, key, "table", _CALL, _TRANSITIONS)
