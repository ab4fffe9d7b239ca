"""Convert tables of comma-separated values."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anndata as ad
import pandas as pd

from celltraj.datasets._sources.tidy import tidy


def from_csv(path: Path, *, unit: str) -> ad.AnnData:
    """Read a table whose column ``samples`` is the time (in ``unit``), the others the state."""
    table = pd.read_csv(path)
    time = table.pop("samples").to_numpy()
    return tidy(table.to_numpy(), time, unit=unit)


emt_a549 = partial(from_csv, unit="stage (0d, 8h, 1d, 3d+7d)")
gene_circuit_growth = partial(from_csv, unit="1")
growing_gaussians_10d = partial(from_csv, unit="1")
hematopoiesis_2d = partial(from_csv, unit="index (days 2, 4, 6)")
