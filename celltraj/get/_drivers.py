"""Read the genes that go with fates."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import DRIVERS
from celltraj._checks import checked


@checked
def drivers(
    adata: AnnData, *, fate: str | None = None, n: int | None = None, key: str = "drivers"
) -> pd.DataFrame:
    """Return the correlation of genes with fates, the highest of each fate first.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.drivers`, also one that was read from a file.
    fate
        The only fate to return; all by default.
    n
        Genes of each fate, those of highest correlation; all by default.
    key
        The ``key_added`` of :func:`celltraj.tl.drivers`.

    Returns
    -------
    A new table with one row for each gene and fate: gene, fate, correlation, lower, upper, p, q,
    n_samples (where samples are the units), n_cells; NaN for genes that are the same in all cells.

    Raises
    ------
    KeyError
        There is no such record.
    ValueError
        No such fate in it, or ``n`` below 1.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> ct.tl.drivers(adata, key="time", time="pooled")
    >>> ct.get.drivers(adata)["gene"].tolist()
    ['x', 'y']
    """
    table = DRIVERS.table(adata, key)
    if n is not None and n < 1:
        raise ValueError(f"n must be at least 1; found {n}")
    if fate is not None:
        found = list(dict.fromkeys(table["fate"]))
        if fate not in found:
            raise ValueError(f"no fate {fate!r}; found {found}")
        table = table[table["fate"] == fate]
    if n is not None:
        table = table.groupby("fate", sort=False).head(n)
    return table.reset_index(drop=True)
