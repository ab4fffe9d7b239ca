"""Read what was found of a study with several conditions."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import ARMS
from celltraj._checks import checked


@checked
def arms(adata: AnnData, *, key: str = "arms", candidates: bool = False) -> pd.DataFrame:
    """Return how well the laws of conditions foretell their gaps, or what was chosen among.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.fit_arms`, also one that was read from a file.
    key
        The ``key_added`` of :func:`celltraj.tl.fit_arms`.
    candidates
        Whether to return what was chosen among in place of the conditions.

    Returns
    -------
    A new table, one row for each condition and time: condition, time, cells, miss (of the gap that
    begins then, by laws that were found without it, over how far its cells go), growth; with
    ``candidates=True`` one row for each that was chosen among: similarity (of conditions: names,
    or covariates by laws that are linear or smooth in them), own, miss (mean over gaps). Records of
    before these were kept have own and miss of the chosen similarity alone.

    Raises
    ------
    KeyError
        There is no such record.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=60, seed=0)
    >>> adata.obs["arm"] = ["even" if k % 2 else "odd" for k in range(adata.n_obs)]
    >>> arms = ct.tl.fit_arms(adata, condition_key="arm", training=None, progress=False)
    >>> ct.get.arms(adata, candidates=True)["own"].tolist()
    [0.0, 0.03, 0.1, 0.3, 1.0, 3.0]
    """
    return ARMS.table(adata, key, "candidates" if candidates else "table")
