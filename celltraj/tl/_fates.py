"""Tell what becomes of each cell by a known time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import Tensor

from celltraj._anndata import (
    Tied,
    annotated,
    memberships,
    read_groups,
    read_lineage,
    sample_record,
)
from celltraj._anndata.results import FATES
from celltraj._checks import checked
from celltraj._typing import Time
from celltraj.models.lineage.lineage import band_of


@checked
def fates(
    adata: AnnData,
    *,
    groupby: str,
    at: Time | None = None,
    key: str | Sequence[str] = "couplings",
    confidence: float = 0.95,
    key_added: str = "ct_fates",
    copy: bool = False,
    progress: bool = True,
) -> AnnData | None:
    """Fate probabilities: tell which share of a cell's descendants is in each group at a time.

    ``F = T_k ... T_{K-1} L``, rows scaled to sum 1, with ``T_ij`` the descendants of cell ``i``
    that are like cell ``j`` and ``L`` the groups: one backward pass over the couplings, exact for
    them. Time is known, so that no terminal states need to be found.

    Parameters
    ----------
    adata
        Cells of all times.
    groupby
        Column of ``obs`` with the groups that count as fates; cells without one are left out.
    at
        Sampling time at which fates are read, as a number or its label; the last one by default.
    key
        Couplings to read, the ``key_added`` of :func:`celltraj.tl.couplings`. Several of them, by
        models of resampled cells or samples or by flows of other seeds, give an interval of the
        fit, not of the truth: how far fits differ, and not how far they all may be off, which
        :func:`celltraj.tl.calibrate` tells from clones.
    confidence
        Share of several couplings that the interval covers, in the middle.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    progress
        Whether to show progress bars.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``obsm[key_added]`` (``(n_obs, K)``
    shares, the mean over couplings; NaN for cells after ``at``, or without descendants in a group),
    with several of them also ``obsm[f"{key_added}_lower"]`` and ``_upper``, and
    ``uns["celltraj"][key_added]`` (params, version, seed, names).
    :func:`celltraj.get.fates` makes a table of it.

    Raises
    ------
    KeyError
        There are no couplings, or no such column.
    ValueError
        No cells at ``at``, or none of them in a group; ``at`` is the first time; a ``confidence``
        outside (0, 1); several couplings with the same fates or of other times; couplings of
        other cells than these.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["arm"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.tl.fates(adata, groupby="arm")
    >>> ct.get.fates(adata).columns.tolist()
    ['down', 'up']
    """
    FATES.claim(adata, key_added)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1); found {confidence}")
    groups = read_groups(adata, groupby)
    keys = [key] if isinstance(key, str) else list(dict.fromkeys(key))
    if not keys:
        raise ValueError("key= names no couplings; leave it out for 'couplings'")
    several = [read_lineage(adata, one) for one in keys]
    tied = several[0]
    _check_times(several)
    at = tied.lineage.times[-1] if at is None else tied.times_of(adata, at)[0]
    members = _labels(tied, groups, at)
    names = groups.cat.categories.to_numpy(dtype=object)[members.any(0).numpy()]
    members = members[:, members.any(0)]
    shares = [one.lineage.fates(members, at, progress=progress) for one in several]
    _check_spread(shares, keys)
    params = {
        "groupby": groupby,
        "at": at,
        "couplings": tied.name if len(keys) == 1 else np.array(keys, dtype=object),
        "time_key": tied.time_key,
        "n_couplings": len(several),
        "confidence": confidence,
    }
    adata = annotated(adata, copy)
    _write(adata, tied, shares, sample_record(params, tied.seed) | {"names": names}, key_added)
    return adata if copy else None


def _check_times(several: Sequence[Tied]) -> None:
    """Raise where couplings tie the cells of other times."""
    first, *others = several
    for one in others:
        if one.time_key != first.time_key or one.lineage.times != first.lineage.times:
            raise ValueError(
                f"the couplings {first.name!r} tie the times {list(first.lineage.times)} of "
                f"adata.obs[{first.time_key!r}], {one.name!r} {list(one.lineage.times)} of "
                f"adata.obs[{one.time_key!r}]; fates over several need the same"
            )


def _check_spread(shares: Sequence[tuple[Tensor, ...]], keys: Sequence[str]) -> None:
    """Raise where several couplings are one and the same, so that an interval would be a point.

    Raises
    ------
    ValueError
        All have the same fates, to the last digit.
    """
    first, *others = shares
    same = [
        all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(first, one, strict=True))
        for one in others
    ]
    if others and all(same):
        raise ValueError(
            f"the {len(shares)} couplings {list(keys)} have the same fates to the last digit, and "
            "an interval over them no width: no seed touches the couplings of a bridge. Couple by "
            "models of resampled cells or samples, or by flows of several seeds, or pass one key= "
            "for fates without an interval"
        )


def _labels(tied: Tied, groups: pd.Series, at: float) -> Tensor:
    """Return the ``(n, K)`` groups of the cells at ``at``.

    Raises
    ------
    ValueError
        It is the first time, or no cell has a group.
    """
    k = tied.lineage.index(at)
    if k == 0:
        raise ValueError(
            f"at={at:g} is the first time: no cells were observed before; choose a later one of "
            f"{list(tied.lineage.times)}"
        )
    members = memberships(groups, tied.rows[k])
    if not bool(members.any()):
        raise ValueError(
            f"no cell at time {at:g} has a group in adata.obs[{groups.name!r}]; choose another "
            "at= or groupby="
        )
    return members


def _write(
    adata: AnnData,
    tied: Tied,
    shares: Sequence[tuple[Tensor, ...]],
    record: dict[str, Any],
    key: str,
) -> None:
    """Write the mean over couplings, and intervals where there are several."""
    n_times, width = len(shares[0]), len(record["names"])
    by_time = [[one[k] for one in shares] for k in range(n_times)]
    mean = {k: torch.stack(parts).nanmean(0) for k, parts in enumerate(by_time)}
    columns = {key: tied.column(adata.n_obs, mean, width)}
    if len(shares) > 1:
        bands = [band_of(parts, record["params"]["confidence"]) for parts in by_time]
        for end, name in enumerate((f"{key}_lower", f"{key}_upper")):
            values = {k: band[end] for k, band in enumerate(bands)}
            columns[name] = tied.column(adata.n_obs, values, width)
    FATES.write(adata, key, record, columns, source=tied.source)
