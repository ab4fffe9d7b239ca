"""Read the tables of results as they were before they went through a file."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.record import read_result


def read_drivers(adata: AnnData, key: str) -> pd.DataFrame:
    """Return the table of :func:`celltraj.tl.drivers`.

    Raises
    ------
    KeyError
        There is none of that name.
    """
    return _table(adata, key, "table", "ct.tl.drivers(adata)", ("gene", "fate"))


def read_conditions(adata: AnnData, key: str, *, samples: bool) -> pd.DataFrame:
    """Return the effects, or the samples, of :func:`celltraj.tl.compare_conditions`.

    Raises
    ------
    KeyError
        There is none of that name.
    """
    call = "ct.tl.compare_conditions(adata, sample_key=..., condition_key=...)"
    labels = ("quantity", "condition", "sample" if samples else "reference")
    return _table(adata, key, "samples" if samples else "table", call, labels)


def _table(
    adata: AnnData, key: str, field: str, call: str, labels: tuple[str, ...]
) -> pd.DataFrame:
    table = read_result(adata, key, field, call)
    if missing := [name for name in labels if name not in table]:
        raise KeyError(
            f"adata.uns['celltraj'][{key!r}] is another result, without {missing}; run {call}, or "
            "pass key= with its key_added"
        )
    # a file gives texts back in other forms
    return table.astype(dict.fromkeys(labels, object)).reset_index(drop=True)
