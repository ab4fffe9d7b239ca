"""Read the comparison of conditions."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import CONDITIONS
from celltraj._checks import checked


@checked
def conditions(adata: AnnData, *, key: str = "conditions", samples: bool = False) -> pd.DataFrame:
    """Return the effect of conditions on quantities, or what was measured of each sample.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.compare_conditions`, also one that was read from a file.
    key
        The ``key_added`` of :func:`celltraj.tl.compare_conditions`.
    samples
        Whether to return the values of the samples in place of the effects.

    Returns
    -------
    A new table, one row for each quantity and condition: quantity, condition, baseline, effect,
    lower, upper, p, q, n, n_baseline, p_min; with ``samples=True`` one row for each sample,
    condition and quantity: sample, condition, quantity, value.

    Raises
    ------
    KeyError
        There is no such record.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["mouse"] = [f"m{k % 8}" for k in range(adata.n_obs)]
    >>> adata.obs["diet"] = ["fat" if k % 8 < 4 else "lean" for k in range(adata.n_obs)]
    >>> ct.tl.compare_conditions(adata, sample_key="mouse", condition_key="diet", of="time")
    >>> ct.get.conditions(adata)["effect"].abs().tolist()[0] < 1
    True
    """
    return CONDITIONS.table(adata, key, "samples" if samples else "table")
