"""Read derivatives of a law of motion from their record."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import JACOBIAN
from celltraj._anndata.times import time_of
from celltraj._typing import Time

_SHOWN = 20


def jacobian_rows(
    adata: AnnData, key: str, group: str | None, time: Time | None, field: str = "rows"
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a table of the record, and which of its rows are of a group and a time.

    Raises
    ------
    KeyError
        There is no such record, group or time.
    """
    table = JACOBIAN.table(adata, key, field)
    chosen = np.ones(len(table), dtype=bool)
    moment = None
    if time is not None:
        moment = time_of(adata, str(JACOBIAN.peek(adata, key)["params"]["time_key"]), time)
    for column, wanted in (("group", group), ("time", moment)):
        if wanted is None:
            continue
        known = list(dict.fromkeys(table[column]))
        if wanted not in known:
            raise KeyError(f"no derivatives of the {column} {wanted!r}; found {known[:_SHOWN]}")
        chosen &= (table[column] == wanted).to_numpy()
    if not chosen.any():
        raise KeyError(f"no cells of the group {group!r} at the time {time!r}")
    return table, chosen


def mean_jacobian(
    adata: AnnData,
    key: str,
    genes: Sequence[str],
    *,
    group: str | None = None,
    time: Time | None = None,
) -> pd.DataFrame:
    """Return the mean derivatives between genes: targets in rows, regulators in columns.

    Raises
    ------
    KeyError
        There is no such record, group, time or gene.
    ValueError
        ``genes`` is empty.
    """
    rows, chosen = jacobian_rows(adata, key, group, time)
    record = JACOBIAN.peek(adata, key)
    if not genes:
        raise ValueError("genes is empty; name some, or leave it out")
    places = {str(name): k for k, name in enumerate(record["genes"])}
    if unknown := [name for name in genes if name not in places]:
        raise KeyError(f"no derivatives of {unknown[:_SHOWN]}; found {list(places)[:_SHOWN]}")
    weights = rows["n_cells"].to_numpy(float) * chosen
    mean = np.tensordot(weights / weights.sum(), np.asarray(record["means"]), 1)
    loadings = record.get("loadings")
    numbers = [places[name] for name in genes]
    if loadings is None:
        among = mean[np.ix_(numbers, numbers)]
    else:
        kept = np.asarray(loadings)[numbers]
        among = kept @ mean @ kept.T
    names = {"index": pd.Index(genes, name="target"), "columns": pd.Index(genes, name="regulator")}
    return pd.DataFrame(among, **names)
