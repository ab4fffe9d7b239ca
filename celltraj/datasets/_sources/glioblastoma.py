"""Convert a sample of glioblastoma slices stored by R."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import pandas as pd

from celltraj.datasets._sources.r_data import RObject, read_r_data
from celltraj.datasets._sources.sparse_r import cells_by_genes


def glioblastoma(path: Path) -> ad.AnnData:
    """Read counts and their logarithms of cells of 5 patients, control and treated."""
    (stored,) = read_r_data(path).values()
    genes = stored["rowRanges"]
    obs = _table(stored["colData"])
    obs.index = pd.Index([f"{name}_{i}" for i, name in enumerate(obs.index)])
    var = _table(genes["elementMetadata"])[["symbol"]]
    var.index = pd.Index(genes["partitioning"]["NAMES"].value)
    layers = stored["assays"]["data"]["listData"]
    adata = ad.AnnData(cells_by_genes(layers["counts"]), obs=obs, var=var)
    adata.layers["logcounts"] = cells_by_genes(layers["logcounts"])
    return adata


def _table(frame: RObject) -> pd.DataFrame:
    """Return a data frame of R; text that repeats itself becomes categories."""
    columns = frame["listData"]
    table = pd.DataFrame({name: columns[name].value for name in columns.attributes["names"].value})
    rows = frame["rownames"]
    if isinstance(rows, RObject):
        table.index = pd.Index(rows.value)
    for name, column in table.items():
        if pd.api.types.is_string_dtype(column) and column.nunique() < len(column):
            table[name] = column.astype("category")
    return table
