"""Data sets and folds of the held-out protocol."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

import celltraj as ct

LOADERS = {
    loader.__name__: loader
    for loader in (
        ct.datasets.eb_pca5,
        ct.datasets.lotka_volterra,
        ct.datasets.repressilator,
        ct.datasets.gulf_vortex,
        ct.datasets.hesc_pca5,
        ct.datasets.ipsc_latent4,
        ct.datasets.emt_a549,
        ct.datasets.hematopoiesis_2d,
        ct.datasets.eb_phate2d,
        ct.datasets.pbmc_programs,
        ct.datasets.guo_embryo,
        ct.datasets.shalek_lps,
        ct.datasets.lotka_volterra_200,
    )
}

# every entry is a fold; times in one tuple are left out together
FOLDS: dict[str, list[tuple[float, ...]]] = {
    "eb_pca5": [(1.0,), (2.0,), (3.0,)],
    "lotka_volterra": [(1.0, 3.0, 5.0, 7.0)],
    "repressilator": [(0.75, 2.25, 3.75, 5.25, 6.75)],
    "gulf_vortex": [(1.0, 3.0, 5.0, 7.0)],
    "hesc_pca5": [(12.0, 36.0)],
    "ipsc_latent4": [(24.0, 48.0, 72.0)],
    "emt_a549": [(1.0,), (2.0,)],
    "hematopoiesis_2d": [(1.0,)],
    "eb_phate2d": [(1.0,), (2.0,), (3.0,)],
    "pbmc_programs": [tuple(float(hour) for hour in range(1, 20, 2))],
    "guo_embryo": [(3.0,), (4.0,), (5.0,)],
    "shalek_lps": [(1.0,), (2.0,), (4.0,)],
    "lotka_volterra_200": [(1.0, 3.0, 5.0, 7.0, 9.0)],
}


def load_present(names: list[str]) -> dict[str, AnnData]:
    """Load the named data sets; say which ones are not on this machine."""
    present = {}
    for name in names:
        try:
            present[name] = LOADERS[name]()
        except FileNotFoundError as error:
            print(f"left out: {error}", flush=True)
    if not present:
        raise SystemExit("no data set at hand; set CELLTRAJ_DATA_DIR")
    return present


def thin(adata: AnnData, n_cells: int, *, seed: int = 0) -> AnnData:
    """Return at most ``n_cells`` cells of each time, drawn at random, in their order."""
    rng = np.random.default_rng(seed)
    times = adata.obs["time"].to_numpy()
    keep = [rng.permutation(np.flatnonzero(times == t))[:n_cells] for t in np.unique(times)]
    return adata[np.sort(np.concatenate(keep))].copy()
