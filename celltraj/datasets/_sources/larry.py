"""Convert the clonal barcodes of mouse haematopoiesis."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from celltraj.datasets._sources.tidy import tidy

_NOTE = (
    "arm = Neutrophil / Monocyte by position on the layout. Fig 5 fate task: correlate a predicted "
    "neutrophil share with obs['truth_neutrophil'] on cells with obs['heldout']==1; published r: "
    "PBA .609, WOT .640, FateID .690"
)


def larry_spring(
    coordinates_x: Path,
    coordinates_y: Path,
    timepoints: Path,
    trajectory: Path,
    truth: Path,
    pba: Path,
    wot: Path,
    fateid: Path,
    heldout: Path,
    fates: Path,
    fate_names: Path,
) -> ad.AnnData:
    """Read the layout, the clones' fates, the truth and three published predictions of it."""
    x = np.column_stack([np.load(coordinates_x), np.load(coordinates_y)])
    days, neu_mono = np.load(timepoints), np.load(trajectory)
    adata = tidy(x, days, unit="day", note=_NOTE)
    adata.obs["neu_mono_trajectory"] = neu_mono
    early = days == days.min()
    known = {"truth_neutrophil": truth, "pba": pba, "wot": wot, "fateid": fateid}
    for column, path in (known | {"heldout": heldout}).items():
        adata.obs[column] = _spread(np.load(path), early & neu_mono)
    adata.obs["arm"] = pd.Categorical(_arm(adata.X, neu_mono))
    adata.obsm["clonal_fate"] = _spread(np.load(fates), early)
    adata.uns["clonal_fate_names"] = np.array(fate_names.read_text().split(), dtype=object)
    return adata


def _spread(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return float32 values at the chosen cells, NaN at the others."""
    spread = np.full((len(chosen), *values.shape[1:]), np.nan, dtype=np.float32)
    spread[chosen] = values
    return spread


def _arm(x: np.ndarray, neu_mono: np.ndarray) -> np.ndarray:
    """Name the arm of the layout that a cell of the trajectory has reached."""
    monocyte = neu_mono & (x[:, 0] > 1500) & (x[:, 1] > -1000)
    neutrophil = neu_mono & (x[:, 0] > 600) & (x[:, 1] < -1200)
    arms: np.ndarray = np.select(
        [monocyte, neutrophil], ["Monocyte", "Neutrophil"], default="undifferentiated"
    )
    return arms
