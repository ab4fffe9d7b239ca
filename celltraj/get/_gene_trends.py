"""Read the course of genes along trajectories."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import GENE_TRENDS
from celltraj._checks import checked


@checked
def gene_trends(
    adata: AnnData, *, gene: str | None = None, key: str = "gene_trends"
) -> pd.DataFrame:
    """Read the mean of genes along simulated trajectories.

    Parameters
    ----------
    adata
        Data after :func:`celltraj.tl.gene_trends`, also from a file; not changed.
    gene
        The only gene to return; all by default.
    key
        The ``key_added`` of the record.

    Returns
    -------
    A new table with one row per gene, group and time: gene, group (``"all"`` without groups), time
    ([t]), mean, lower and upper (95 %, [x] of the genes).

    Raises
    ------
    KeyError
        There is no such record, or no such gene in it.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    >>> path = ct.tl.simulate(
    ...     adata, bridge, start=0.0, stop=4.0, n_cells=9, n_times=3, progress=False
    ... )
    >>> ct.tl.gene_trends(adata, path, genes=["x", "y"])
    >>> ct.get.gene_trends(adata, gene="x")["time"].tolist()
    [0.0, 2.0, 4.0]
    """
    table = GENE_TRENDS.table(adata, key)
    if gene is None:
        return table
    if gene not in set(table["gene"]):
        raise KeyError(
            f"no trend of {gene!r}, only of {list(dict.fromkeys(table['gene']))}; name it in "
            "genes= of ct.tl.gene_trends"
        )
    return table[table["gene"] == gene].reset_index(drop=True)
