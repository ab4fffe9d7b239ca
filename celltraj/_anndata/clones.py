"""Read the clones that were seen at two times that follow each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj._anndata.clone_names import clone_names
from celltraj._anndata.times import read_times
from celltraj.models.clonal.growth import KinCounts
from celltraj.models.clonal.martingale import ClonePair


def read_clones(
    adata: AnnData,
    x: np.ndarray,
    *,
    clone_key: str | Sequence[str],
    time_key: str,
    is_ancestor: bool,
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
    clones = clone_names(adata, clone_key)
    known = pd.notna(clones)
    times = read_times(adata, time_key)
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


def read_kin(
    adata: AnnData,
    x: np.ndarray,
    *,
    clone_key: str | Sequence[str],
    time_key: str,
    is_ancestor: bool,
) -> Iterator[KinCounts]:
    """Yield for each gap the clonal cells of its first time, and how many kin its second has.

    Raises
    ------
    KeyError
        There is no such column.
    ValueError
        No cell has a clone, all cells are of one time, or clones of a gap are too few.
    """
    clones = clone_names(adata, clone_key)
    known = pd.notna(clones)
    times = read_times(adata, time_key)
    unique = np.unique(times)
    if len(unique) < 2:
        raise ValueError(
            f"growth of clones is told by two times or more; adata.obs[{time_key!r}] holds "
            f"{unique.tolist()} alone"
        )
    for t0, t1 in pairwise(unique):
        rows = np.flatnonzero(known & (times == t0))
        names, codes = np.unique(clones[rows].astype(str), return_inverse=True)
        place = pd.Index(names).get_indexer(pd.Index(clones[known & (times == t1)].astype(str)))
        later = np.bincount(place[place >= 0], minlength=len(names)).astype(float)
        counts = KinCounts(
            (float(t0), float(t1)),
            torch.from_numpy(x[rows].astype(float)),
            torch.from_numpy(codes.astype(np.int64)),
            torch.from_numpy(later),
            is_ancestor,
        )
        counts.check()
        yield counts
