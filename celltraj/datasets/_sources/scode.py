"""Convert the time course of transcription factors that the package holds."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np

from celltraj.datasets._sources.tidy import tidy


def hesc_tf(expression: Path, genes: Path, times: Path) -> ad.AnnData:
    """Read 100 transcription factors; the first column of the times is in hours."""
    x = np.loadtxt(expression, delimiter="\t").T
    hours = np.loadtxt(times, delimiter="\t")[:, 0]
    return tidy(x, hours, unit="hour", var_names=genes.read_text().split())
