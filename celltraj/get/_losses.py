"""Read the losses of a training."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import losses_of
from celltraj._checks import checked


@checked
def losses(adata: AnnData, *, key: str = "bridge") -> pd.DataFrame:
    """Read the training loss of a bridge, flow or response, step by step.

    It tells of the training and is read whatever became of the cells since.

    Parameters
    ----------
    adata
        Data after :func:`celltraj.tl.fit_bridge`, :func:`celltraj.tl.fit_flow` or
        :func:`celltraj.tl.fit_response`, also from a file; not changed.
    key
        The ``key_added`` of the fit.

    Returns
    -------
    A new table with one row per step: step, loss (in the units of what is fitted, so that losses of
    different models do not compare).

    Raises
    ------
    KeyError
        There is no such fit.
    ValueError
        Nothing was trained: the drift of the bridge is computed.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> drift = ct.models.Training(max_steps=5, width=8)
    >>> bridge = ct.tl.fit_bridge(adata, training=drift, progress=False)
    >>> ct.get.losses(adata)["step"].tolist()
    [0, 1, 2, 3, 4]
    """
    return losses_of(adata, key)
