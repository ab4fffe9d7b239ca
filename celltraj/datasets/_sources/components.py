"""Convert measurements of genes into a few principal components."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from celltraj.datasets._sources.tidy import tidy

_NOT_DETECTED = 28.0  # cycles of the qPCR


def guo_embryo(path: Path) -> ad.AnnData:
    """Read cycle thresholds of mouse embryos, 4-cell to 64-cell stage, in 5 components."""
    table = pd.read_csv(path, sep="\t", index_col=0)
    stage = table.iloc[0].to_numpy(dtype=float)
    chosen = stage >= 3
    thresholds = table.iloc[1:].to_numpy(dtype=float).T[chosen]
    x = _components(_NOT_DETECTED - np.minimum(thresholds, _NOT_DETECTED), signs=(-1, 1, 1, 1, 1))
    return _tidy(x, stage[chosen] - 1, unit="division")


def shalek_lps(expression: Path, cells: Path) -> ad.AnnData:
    """Read the expression of dendritic cells after LPS, in 5 components."""
    x = pd.read_csv(expression, index_col=0).to_numpy(dtype=float).T
    hours = pd.read_csv(cells)["obstime"].to_numpy(dtype=float)
    return _tidy(_components(x, signs=(-1, -1, 1, 1, 1)), hours, unit="hour")


def _tidy(x: np.ndarray, time: np.ndarray, *, unit: str) -> ad.AnnData:
    names = [str(j) for j in range(x.shape[1])]
    return tidy(x, time, unit=unit, prefix="c", var_names=names, note=None)


def _components(x: np.ndarray, *, signs: tuple[int, ...]) -> np.ndarray:
    """Return the first principal components of ``(n, genes)``, with the first cell's signs given.

    A singular vector has no sign of its own, and libraries differ in the one they give.
    """
    left, values, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    scores = (left * values)[:, : len(signs)]
    turned: np.ndarray = scores * np.sign(scores[0]) * signs
    return turned
