"""Read the Hurst index of clones."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import CLONE_MEMORY
from celltraj._checks import checked


@checked
def clone_memory(adata: AnnData, *, key: str = "clone_memory", pairs: bool = False) -> pd.DataFrame:
    """Return the Hurst index of clones, or how far they move from time to time.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.clone_memory`, also one that was read from a file.
    key
        The ``key_added`` of :func:`celltraj.tl.clone_memory`.
    pairs
        Whether to return the variance of moves for each pair of times in place of the index.

    Returns
    -------
    A new table of one row: hurst, lower, upper, n_clones; with ``pairs=True`` one for each pair of
    times: t0, t1, variance ([x]^2), fitted, n_clones.

    Raises
    ------
    KeyError
        There is no such record.

    Examples
    --------
    >>> import anndata as ad
    >>> import celltraj as ct
    >>> import numpy as np
    >>> steps = np.random.default_rng(0).normal(size=(3, 50, 2)).cumsum(0)
    >>> adata = ad.AnnData(steps.reshape(-1, 2))
    >>> adata.obs["time"] = np.repeat([0.0, 1.0, 2.0], 50)
    >>> adata.obs["clone"] = np.tile(np.arange(50), 3).astype(str)
    >>> ct.tl.clone_memory(adata, clone_key="clone", is_ancestor=True)
    >>> ct.get.clone_memory(adata, pairs=True)["t1"].tolist()
    [1.0, 2.0, 2.0]
    """
    return CLONE_MEMORY.table(adata, key, "pairs" if pairs else "hurst")
