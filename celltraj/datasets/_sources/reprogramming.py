"""Convert a sample of the reprogramming time course with its couplings."""

from __future__ import annotations

import warnings
from pathlib import Path

import anndata as ad


def reprogramming(path: Path) -> ad.AnnData:
    """Read 1,000 cells and the couplings that Waddington-OT computed between their days."""
    with warnings.catch_warnings():
        # the file is of 2022, and of the form that anndata wrote then
        warnings.simplefilter("ignore", ad.OldFormatWarning)
        read = ad.read_h5ad(path)
    obs = read.obs.rename(columns={"day": "time"})[["time", "cell_type", "batch"]]
    obs["time"] = obs["time"].astype(float)
    adata = ad.AnnData(read.X, obs=obs, var=read.var[[]])
    adata.uns["time_unit"] = "day"
    for gap in ("10_105", "105_11", "10_11"):
        adata.uns[f"wot_tmap_{gap}"] = read.uns[f"tmap_{gap}"]
    return adata
