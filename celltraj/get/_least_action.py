"""Read the actions of paths of least action."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import LEAST_ACTION
from celltraj._checks import checked


@checked
def least_action(adata: AnnData) -> pd.DataFrame:
    """Return the action of each path of least action, and how well it is known.

    Parameters
    ----------
    adata
        Result of :func:`celltraj.tl.least_action`, also one that was read from a file.

    Returns
    -------
    A new table, one row for each path: source, target, action and error (without unit), duration
    ([t]), converged, agreeing_starts.

    Raises
    ------
    KeyError
        There is no such record.

    Examples
    --------
    >>> import torch
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> pull = ct.models.OrnsteinUhlenbeck(matrix=-torch.eye(2), shift=torch.zeros(2), sigma=0.5)
    >>> path = ct.tl.least_action(
    ...     adata, pull, source="progenitor", target=["upper", "lower"], groupby="arm",
    ...     progress=False,
    ... )
    >>> ct.get.least_action(path)["target"].tolist()
    ['upper', 'lower']
    """
    return LEAST_ACTION.table(adata, "least_action")
