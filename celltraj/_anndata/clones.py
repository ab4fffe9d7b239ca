"""Read the clones that were seen at two times that follow each other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj._anndata.columns import column_of, texts_of
from celltraj._anndata.times import read_times
from celltraj.models.clonal.martingale import ClonePair


def read_clones(
    adata: AnnData, x: np.ndarray, *, clone_key: str, time_key: str, is_ancestor: bool
) -> Iterator[ClonePair]:
    """Yield for each gap the cells of the clones that were seen at both of its ends.

    Gaps without such a clone are left out.

    Raises
    ------
    KeyError
        There is no such column.
    ValueError
        No cell has a clone, or none was seen at two times that follow each other.
    """
    clones = texts_of(column_of(adata, clone_key, what="clones"))
    times = read_times(adata, time_key)
    known = pd.notna(clones)
    if not known.any():
        raise ValueError(f"no cell has a clone in adata.obs[{clone_key!r}]: all are missing")
    n_found = 0
    for t0, t1 in pairwise(np.unique(times)):
        both = np.intersect1d(*(clones[known & (times == t)].astype(str) for t in (t0, t1)))
        if not len(both):
            continue
        n_found += 1
        place = pd.Index(both).get_indexer(pd.Index(clones))
        rows = [np.flatnonzero((place >= 0) & (times == t)) for t in (t0, t1)]
        x0, x1 = (torch.from_numpy(x[here].astype(float)) for here in rows)
        clone0, clone1 = (torch.from_numpy(place[here].astype(np.int64)) for here in rows)
        yield ClonePair((float(t0), float(t1)), x0, x1, clone0, clone1, is_ancestor)
    if not n_found:
        raise ValueError(
            f"no clone of adata.obs[{clone_key!r}] was seen at two times that follow each other; "
            f"{len(set(clones[known]))} clones were found at {len(np.unique(times))} times"
        )
