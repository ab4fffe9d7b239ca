"""Read how well clones foretold the numbers of others."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import CLONE_GROWTH
from celltraj._checks import checked


@checked
def clone_growth(adata: AnnData, *, key: str = "clone_growth") -> pd.DataFrame:
    """Return how far clones tell the growth of each gap.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.clone_growth`, also one that was read from a file.
    key
        The ``key_added`` of :func:`celltraj.tl.clone_growth`.

    Returns
    -------
    A new table, one row for each gap: t0, t1; n_clones, of its earlier time; strength, 0 where
    growth is taken as equal; gain of clones left out over equal growth at the best strength, in
    nats a clone, and its standard error over clones; z, its slope at strength 0 over the error of
    that, which is above 1.64 where a strength is taken; n_neighbors, clonal cells that a state is
    told by; words.

    Raises
    ------
    KeyError
        There is no such record.

    Examples
    --------
    Forty clones of three cells, of which those on the right leave four kin and the others one:

    >>> import anndata as ad
    >>> import celltraj as ct
    >>> import numpy as np
    >>> clone = np.repeat(np.arange(40), 3)
    >>> kin = np.repeat(np.arange(40), np.where(np.arange(40) < 20, 1, 4))
    >>> place = np.where(np.concatenate([clone, kin]) < 20, -5.0, 5.0)
    >>> noise = np.random.default_rng(0).normal(size=(len(place), 2))
    >>> adata = ad.AnnData(noise + np.column_stack([place, 0 * place]))
    >>> adata.obs["time"] = np.repeat([0.0, 2.0], [len(clone), len(kin)])
    >>> adata.obs["clone"] = np.concatenate([clone, kin]).astype(str)
    >>> ct.tl.clone_growth(adata, clone_key="clone", progress=False)
    >>> ct.get.clone_growth(adata)["strength"].tolist()
    [1.0]
    """
    return CLONE_GROWTH.table(adata, key)
