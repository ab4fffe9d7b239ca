"""Read growth as a table."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata import read_times
from celltraj._anndata.results import GROWTH
from celltraj._checks import checked


@checked
def growth(adata: AnnData, *, key: str = "ct_growth", cells: bool = False) -> pd.DataFrame:
    """Read the growth of a population from time to time, or the rates of its cells.

    Parameters
    ----------
    adata
        Data after :func:`celltraj.tl.growth`, also from a file; not changed.
    key
        The ``key_added`` of :func:`celltraj.tl.growth`.
    cells
        Whether to return the rates of the cells in place of the sizes of the population.

    Returns
    -------
    A new table, one row per time: time ([t]), cells (sampled), observed (declared size) and
    predicted, both in cells of the first snapshot; with ``cells=True`` one row per cell, named
    after it: time, growth (1/[t]; minus infinity without descendants, NaN where none is known).

    Raises
    ------
    KeyError
        There is no such record.
    ValueError
        The cells are others than it was computed from.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> ct.tl.couplings(adata, counts="population", progress=False)
    >>> ct.tl.growth(adata)
    >>> ct.get.growth(adata)["cells"].tolist()
    [50, 50, 67, 120, 162]
    >>> ct.get.growth(adata, cells=True).columns.tolist()
    ['time', 'growth']
    """
    if not cells:
        return GROWTH.table(adata, key, "numbers")
    rates = GROWTH.values(adata, key).to_numpy()
    time_key = str(GROWTH.peek(adata, key)["params"]["time_key"])
    table = {"time": read_times(adata, time_key), "growth": rates}
    return pd.DataFrame(table, index=adata.obs_names)
