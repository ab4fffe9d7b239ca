"""Read knock-outs as a table."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import KNOCKOUT
from celltraj._checks import checked


@checked
def knockout(adata: AnnData, *, fate: str | None = None, key: str = "knockout") -> pd.DataFrame:
    """Return how knock-outs shift fates.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.knockout` or :func:`celltraj.tl.knockout_screen`, also one that was
        read from a file.
    fate
        One fate; all by default.
    key
        The ``key_added`` of the tool.

    Returns
    -------
    A row per knock-out and fate: genes, fate, control, knockout and shift (shares of descendants),
    p, q; of one fate the largest shift first.

    Raises
    ------
    KeyError
        There are no knock-outs of that name.
    ValueError
        No such fate.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["arm"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    >>> silent = {"n_null": 0, "progress": False}
    >>> ct.tl.knockout(adata, bridge, genes=["y"], start=1.0, groupby="arm", **silent)
    >>> ct.get.knockout(adata, fate="up").shape
    (1, 7)
    """
    table = KNOCKOUT.table(adata, key)
    if fate is None:
        return table
    rows = table[table["fate"] == fate]
    if not len(rows):
        raise ValueError(f"no fate {fate!r}; found {table['fate'].unique().tolist()}")
    order = rows["shift"].abs().sort_values(ascending=False, kind="stable").index
    return rows.loc[order].reset_index(drop=True)
