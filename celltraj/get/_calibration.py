"""Read how good calibrated fates are."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import CALIBRATION
from celltraj._checks import checked


@checked
def calibration(
    adata: AnnData, *, key: str = "ct_fates_calibrated", curve: bool = False
) -> pd.DataFrame:
    """Return how often intervals of fates held units kept aside, and how far fates were off.

    The calibrated fates themselves are read by :func:`celltraj.get.fates` with the same ``key``.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.calibrate`, also one that was read from a file.
    key
        The ``key_added`` of :func:`celltraj.tl.calibrate`.
    curve
        Whether to return the reliability curve instead.

    Returns
    -------
    A new table, one row for each fate: fate, n_units, n_cells, coverage_before (NaN where fates had
    no interval), coverage, error_before, error and error_constant (mean squared), width,
    beats_constant. With ``curve=True`` one row for each fate and fifth of what was predicted: fate,
    before, after (mean shares), observed, lower, upper (band of the mean over units), coverage,
    n_units.

    Raises
    ------
    KeyError
        There is no such record.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=60, seed=0)
    >>> adata.obs["side"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> adata.obs["clone"] = [f"{i % 60} {s}" for i, s in enumerate(adata.obs["side"])]
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.tl.fates(adata, groupby="side")
    >>> ct.tl.calibrate(adata, unit_key="clone", confidence=0.9)
    >>> bool(ct.get.calibration(adata)["beats_constant"].all())
    True
    """
    return CALIBRATION.table(adata, key, "curve" if curve else "scores")
