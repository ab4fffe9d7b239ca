"""Convert files that hold one array for each time."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anndata as ad
import numpy as np

from celltraj.datasets._sources.array_files import read_snapshots
from celltraj.datasets._sources.tidy import tidy


def from_npy(path: Path, *, times: tuple[float, ...], unit: str, note: str = "") -> ad.AnnData:
    """Stack the snapshots of an ``.npy`` file, one for each of ``times`` (in ``unit``)."""
    blocks = read_snapshots(path)
    time = np.repeat(np.asarray(times), [len(block) for block in blocks])
    return tidy(np.concatenate(blocks), time, unit=unit, note=note)


def from_npz(path: Path, *, unit: str) -> ad.AnnData:
    """Stack the snapshots ``Xs`` of an ``.npz`` file, at 0, 1, 2, ... (in ``unit``)."""
    with np.load(path) as arrays:
        x = arrays["Xs"]
    time = np.repeat(np.arange(float(len(x))), x.shape[1])
    return tidy(x.reshape(-1, x.shape[2]), time, unit=unit)


def lotka_volterra_200(path: Path) -> ad.AnnData:
    """Stack 11 simulated snapshots of 200."""
    adata = from_npz(path, unit="1")
    adata.obs_names = [f"c{i}" for i in range(adata.n_obs)]
    adata.var_names = ["0", "1"]
    del adata.uns["note"]
    return adata


_EVEN = "train on even indices"
_HOURS = (0.0, 24.0, 36.0, 48.0, 60.0, 72.0, 96.0, 120.0)

eb_pca5 = partial(from_npy, times=(0.0, 1.0, 2.0, 3.0, 4.0), unit="window of 6 days")
gulf_vortex = partial(from_npy, times=tuple(np.arange(9.0)), unit="1", note=_EVEN)
hesc_pca5 = partial(from_npy, times=(0.0, 12.0, 24.0, 36.0, 72.0), unit="hour")
ipsc_latent4 = partial(from_npy, times=_HOURS, unit="hour")
lotka_volterra = partial(
    from_npy, times=tuple(np.arange(9.0)), unit="1", note="train on even times"
)
pbmc_programs = partial(from_npz, unit="hour")
repressilator = partial(from_npy, times=tuple(0.75 * np.arange(11)), unit="1", note=_EVEN)
