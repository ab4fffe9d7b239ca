"""Cells that were drawn anew, as an AnnData of their own."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import ROOT, records_of
from celltraj._anndata.studies import read_samples_of_all
from celltraj._anndata.times import read_times
from celltraj._stats.units import Drawn, Units

_OF_EACH_CELL = {"growth prior", "projection"}  # what does not depend on which others there are


def read_units(adata: AnnData, *, time_key: str, sample_key: str | None) -> Units:
    """Return what is drawn: the samples, or each cell by itself.

    Raises
    ------
    KeyError
        There is no such column.
    ValueError
        A cell has no sample, or a time has fewer than three.
    """
    times = read_times(adata, time_key)
    samples = None if sample_key is None else read_samples_of_all(adata, sample_key).tolist()
    return Units.of(times, samples)


def without_results(adata: AnnData) -> AnnData:
    """Return the cells without results that depend on which cells there are, nor graphs of cells.

    Growth from genes and the way from genes to components stay.
    """
    kept, gone = {}, set()
    for key, record in records_of(adata).items():
        if str(record.get("kind")) in _OF_EACH_CELL or key == "projection":
            # digests of names are of no use to cells that are drawn twice
            kept[key] = {name: value for name, value in record.items() if name != "source"}
        else:
            gone |= {tuple(str(place).split(" ", 1)) for place in record.get("places", ())}
    names = {slot: {name for where, name in gone if where == slot} for slot in ("obs", "obsm")}
    obs = adata.obs.drop(columns=[one for one in adata.obs if one in names["obs"]])
    slim = AnnData(
        adata.X,
        obs=obs.copy(),
        var=adata.var.copy(),
        obsm={k: v for k, v in adata.obsm.items() if k not in names["obsm"]},
        varm=dict(adata.varm),
        layers=dict(adata.layers),
        uns={k: v for k, v in adata.uns.items() if k != ROOT},
    )
    if kept:
        slim.uns[ROOT] = kept
    return slim


def redrawn(adata: AnnData, drawn: Drawn, sample_key: str | None) -> AnnData:
    """Return the drawn cells; a sample that was drawn twice is two samples, ``m1`` and ``m1#2``."""
    names = [str(k) for k in range(len(drawn.rows))]
    cells = adata[drawn.rows]
    obs = cells.obs.set_axis(names)
    if sample_key is not None and sample_key in obs:
        labels = obs[sample_key].astype(str).to_numpy(dtype=object)
        ends = ["" if k == 0 else f"#{k + 1}" for k in drawn.copies.tolist()]
        obs[sample_key] = pd.Categorical([a + b for a, b in zip(labels, ends, strict=True)])
    return AnnData(
        None if adata.X is None else adata.X[drawn.rows],
        obs=obs,
        var=adata.var,
        obsm={name: values[drawn.rows] for name, values in adata.obsm.items()},
        varm=dict(adata.varm),
        layers={name: values[drawn.rows] for name, values in adata.layers.items()},
        uns=dict(adata.uns),
    )
