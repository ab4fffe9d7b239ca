"""Read fates as a table."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.tables import ENDS, fates_table
from celltraj._checks import checked


@checked
def fates(adata: AnnData, *, key: str = "ct_fates", end: str = "mean") -> pd.DataFrame:
    """Return the fates of all cells as a table, cells by names of fates.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.fates`, also one that was read from a file.
    key
        The ``key_added`` of :func:`celltraj.tl.fates`.
    end
        ``"mean"``, or ``"lower"`` or ``"upper"`` for an end of the interval over several couplings.

    Returns
    -------
    ``(n_obs, K)`` shares of descendants; NaN for cells after the time of the fates.

    Raises
    ------
    KeyError
        There are no fates of that name, or no intervals.
    ValueError
        Another ``end``.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["arm"] = ["CD4/CD8" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.tl.fates(adata, groupby="arm", at=3.0)
    >>> ct.get.fates(adata).columns.tolist()
    ['CD4/CD8', 'down']
    """
    if end not in ENDS:
        raise ValueError(f"end must be one of {tuple(ENDS)}; found {end!r}")
    return fates_table(adata, key, end)
