"""Read how well clones foretold each other."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import COUPLINGS
from celltraj._checks import checked


@checked
def clone_strength(adata: AnnData, *, key: str = "couplings") -> pd.DataFrame:
    """Return how well clones that were left out were foretold at each strength.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.couple_clones`, also one that was read from a file.
    key
        The ``key_added`` of :func:`celltraj.tl.couple_clones`.

    Returns
    -------
    A new table, one row for each gap, strength and scale: t0, t1; strength; scale, times how much
    epsilon was of what it is without clones; score (nats a cell, over chance), the log likelihood
    of the later cells of clones that were left out; gain over strength 0 at the same scale and its
    standard error over clones; n_clones; is_chosen.

    Raises
    ------
    KeyError
        There is no such record, or its strength was given and not chosen.

    Examples
    --------
    Twenty clones of five cells that change sides:

    >>> import anndata as ad
    >>> import celltraj as ct
    >>> import numpy as np
    >>> side = np.repeat(np.linspace(-1, 1, 20), 5)
    >>> place = np.column_stack([np.repeat([0.0, 2.0], 100), np.concatenate([side, -side])])
    >>> adata = ad.AnnData(place + 0.1 * np.random.default_rng(0).normal(size=place.shape))
    >>> adata.obs["time"] = np.repeat([0.0, 1.0], 100)
    >>> adata.obs["clone"] = np.tile(np.repeat(np.arange(20), 5), 2).astype(str)
    >>> ct.tl.couple_clones(adata, clone_key="clone", progress=False)
    >>> ct.get.clone_strength(adata)["strength"].unique().tolist()
    [0.0, 0.5, 1.0]
    """
    if "strengths" not in COUPLINGS.read(adata, key):
        raise KeyError(
            f"the couplings {key!r} chose no strength; run ct.tl.couple_clones(adata, "
            "clone_key=...) without strength="
        )
    return COUPLINGS.table(adata, key, "strengths")
