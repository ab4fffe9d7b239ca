"""Read which genes change the velocity of which."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from anndata import AnnData

from celltraj._anndata.jacobian import jacobian_rows, mean_jacobian
from celltraj._checks import checked
from celltraj._typing import Time


@checked
def jacobian(
    adata: AnnData,
    *,
    genes: Sequence[str] | None = None,
    group: str | None = None,
    time: Time | None = None,
    key: str = "jacobian",
) -> pd.DataFrame:
    """Return pairs of genes that move each other, or the mean derivatives between named genes.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.jacobian`, also one that was read from a file.
    genes
        Genes to return the mean derivatives of, by each other; by default the table of pairs.
    group
        Group of the cells; by default all groups.
    time
        Time of the cells, as a number or its label; by default all times.
    key
        The ``key_added`` of :func:`celltraj.tl.jacobian`.

    Returns
    -------
    A new table, one row for each group, time and pair: group, time, regulator, target, mean, std
    (over cells, in 1/[t]), agreement (share of cells of the sign of the mean), n_cells; with
    ``genes`` the mean over cells, a row for each target and a column for each regulator, in 1/[t].

    Raises
    ------
    KeyError
        There is no such record, group, time or gene.
    ValueError
        ``genes`` is empty.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    >>> ct.tl.jacobian(adata, bridge, groupby="arm", progress=False)
    >>> ct.get.jacobian(adata, genes=["x", "y"], group="upper", time=2.0).shape
    (2, 2)
    """
    if genes is not None:
        return mean_jacobian(adata, key, list(genes), group=group, time=time)
    table, chosen = jacobian_rows(adata, key, group, time, "table")
    return table[chosen].reset_index(drop=True)
