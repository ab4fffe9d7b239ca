"""Read the test of a law of motion on clones."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import MARTINGALE
from celltraj._checks import checked


@checked
def martingale_test(
    adata: AnnData, *, key: str = "martingale_test", moments: bool = False
) -> pd.DataFrame:
    """Return how likely the residuals of clones are under a law of motion, for each gap.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.martingale_test`, also one that was read from a file.
    key
        The ``key_added`` of :func:`celltraj.tl.martingale_test`.
    moments
        Whether to return each moment by itself.

    Returns
    -------
    A new table, one row for each law and gap: model, t0, t1, n_clones, n_told, n_moments,
    statistic, p; with ``moments=True`` one for each function and variable: model, t0, t1, function,
    variable, residual ([x], of the constant), z.

    Raises
    ------
    KeyError
        There is no such record.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=60, seed=0)
    >>> adata.obs["clone"] = [f"clone {i % 30}" for i in range(adata.n_obs)]
    >>> law = ct.models.Brownian(0.1)
    >>> ct.tl.martingale_test(adata, law, clone_key="clone", n_draws=4, progress=False)
    >>> ct.get.martingale_test(adata, moments=True)["function"].unique().tolist()
    ['constant', 'linear', 'local 1']
    """
    return MARTINGALE.table(adata, key, "moments" if moments else "table")
