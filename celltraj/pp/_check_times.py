"""Show how celltraj reads the sampling times."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata import labels_of, read_times
from celltraj._checks import checked


@checked
def check_times(adata: AnnData, *, time_key: str = "time") -> pd.DataFrame:
    """Time points: count the cells at each, in order, and show the labels that they are read from.

    A text holds one number. Words beside it may name a unit in any spelling (``6h``, ``24 hours``)
    and what time is counted from (``E8.5``, ``3dpf``); where they differ, times are refused and not
    sorted. A hyphen is a minus sign where other labels have the same word without one (``D-1``,
    ``D0``); where all labels have one, it parts word and number (``day-3``, ``day-7``).

    Parameters
    ----------
    adata
        Annotated data.
    time_key
        Column of ``obs``: numbers, categories, or text with one number (``"day 3"``).

    Returns
    -------
    Columns ``time`` (user's unit), ``n_cells`` and ``label`` (as ``time_key`` holds it; several
    spellings of one time stand together).

    Raises
    ------
    TypeError
        ``adata`` is not an AnnData.
    KeyError
        The column does not exist.
    ValueError
        A time is missing, cannot be read as one number, contradicts the order of its category, or
        is nearly every cell's own; labels mix units or origins, differ and read as one time, or
        have hyphens that may be signs.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.pp.check_times(ct.datasets.branching(seed=0))["time"].tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0]
    """
    time, n_cells = np.unique(read_times(adata, time_key), return_counts=True)
    labels: dict[float, list[str]] = {}
    for text, one in labels_of(adata, time_key).items():
        labels.setdefault(one, []).append(text)
    texts = [", ".join(labels[t]) for t in time.tolist()]
    return pd.DataFrame({"time": time, "n_cells": n_cells, "label": texts})
