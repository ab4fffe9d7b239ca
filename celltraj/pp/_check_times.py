"""Show how celltraj reads the sampling times."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata import read_times


def check_times(adata: AnnData, *, time_key: str = "time") -> pd.DataFrame:
    """Count the cells at each time, in order of time.

    Parameters
    ----------
    adata
        Annotated data.
    time_key
        Column of ``obs``: numbers, categories, or text with one number (``"day 3"``).

    Returns
    -------
    Columns ``time`` (user's unit) and ``n_cells``.

    Raises
    ------
    TypeError
        ``adata`` is not an AnnData.
    KeyError
        The column does not exist.
    ValueError
        A time is missing, cannot be read as one number, contradicts the order of its category, or
        is nearly every cell's own.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.pp.check_times(ct.datasets.branching(seed=0))["time"].tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0]
    """
    time, n_cells = np.unique(read_times(adata, time_key), return_counts=True)
    return pd.DataFrame({"time": time, "n_cells": n_cells})
