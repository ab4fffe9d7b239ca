"""Read what was found of populations whose cells influence each other."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import MEAN_FIELD
from celltraj._checks import checked


@checked
def mean_field(
    adata: AnnData, *, key: str = "mean_field", candidates: bool = False
) -> pd.DataFrame:
    """Return how well a mean-field law foretells populations, or what was chosen among.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.fit_mean_field`, also one that was read from a file.
    key
        The ``key_added`` of :func:`celltraj.tl.fit_mean_field`.
    candidates
        Whether to return the values of ``own`` that were tried in place of the populations.

    Returns
    -------
    A new table, one row for each population and time: population, time, cells, unexplained (share
    of the squared velocities of the population that the law of all others leaves), growth; with
    ``candidates=True`` one row for each value: own (0 for nothing around a cell), unexplained.

    Raises
    ------
    KeyError
        There is no such record.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=60, seed=0)
    >>> adata.obs["dish"] = [f"dish {k % 3}" for k in range(adata.n_obs)]
    >>> fitted = ct.tl.fit_mean_field(
    ...     adata, population_key="dish", growth=None, training=None, progress=False
    ... )
    >>> ct.get.mean_field(adata, candidates=True)["own"].tolist()[:4]
    [0.0, 0.01, 0.03, 0.1]
    """
    return MEAN_FIELD.table(adata, key, "candidates" if candidates else "table")
