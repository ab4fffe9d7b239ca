"""Tell what becomes of each cell by a known time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
from celltraj.models import Process
from celltraj.models.lineage.lineage import band_of


@checked
def fates(
    adata: AnnData,
    model: Process | Sequence[Process] | None = None,
    *,
    groupby: str,
    at: Time | None = None,
    key: str | Sequence[str] = "couplings",
    time_key: str | None = None,
    use_rep: str | None = None,
    confidence: float = 0.95,
    key_added: str = "ct_fates",
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> AnnData | None:
    """Tell which share of each cell's descendants is in each group at a known time.

    ``F = T_k ... T_{K-1} L``, rows scaled to sum 1, with ``T_ij`` the descendants of cell ``i``
    that are like cell ``j`` and ``L`` the groups: one backward pass over the couplings, exact for
    them. Time is known, so that no terminal states need to be found.

    Parameters
    ----------
    adata
        Cells of all times.
    model
        A fitted bridge, whose couplings are used; or a flow, a bridge of other cells or any
        process, which is simulated from snapshot to snapshot. Several of them, fitted to resampled
        cells or samples or flows of other seeds, give an interval of the fit, not of the truth:
        how far fits differ, and not how far they all may be off. By default the couplings in
        ``adata``.
    groupby
        Column of ``obs`` with the groups that count as fates; cells without one are left out.
    at
        Sampling time at which fates are read, as a number or its label; the last one by default.
    key
        Couplings to use without a model, the ``key_added`` of :func:`celltraj.tl.couplings`, or
        several of them.
    time_key, use_rep
        Times and representation that a model was fitted with; couplings know theirs.
    confidence
        Share of the models that the interval covers, in the middle.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of a simulation.
    progress
        Whether to show progress bars.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``obsm[key_added]`` (``(n_obs, K)``
    shares, the mean over models; NaN for cells after ``at``, or without descendants in a group),
    with several models also ``obsm[f"{key_added}_lower"]`` and ``_upper``, and
    ``uns["celltraj"][key_added]`` (params, version, seed, names).
    :func:`celltraj.get.fates` makes a table of it.

    Raises
    ------
    KeyError
        There are no couplings, or no such column.
    ValueError
        No cells at ``at``, or none of them in a group; ``at`` is the first time; a ``confidence``
        outside (0, 1); several models with the same fates; couplings of other cells than these.

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
    models = list(model) if isinstance(model, Sequence) else [model]
    keys = [key] if isinstance(key, str) else list(key)
    if not models or not keys:
        raise ValueError(
            "a list of no models and no couplings has no fates; pass one, or leave it out"
        )
    asked = [(None, one) for one in keys] if model is None else [(one, "") for one in models]
    lineages = [
        read_lineage(
            adata, one, key=name, time_key=time_key, use_rep=use_rep, seed=seed, progress=progress
        )
        for one, name in asked
    ]
    tied = lineages[0]
    at = tied.lineage.times[-1] if at is None else tied.times_of(adata, at)[0]
    members = _labels(tied, groups, at)
    names = groups.cat.categories.to_numpy(dtype=object)[members.any(0).numpy()]
    members = members[:, members.any(0)]
    shares = [one.lineage.fates(members, at, progress=progress) for one in lineages]
    _check_spread(shares)
    params = {
        "groupby": groupby,
        "at": at,
        "couplings": tied.name,
        "time_key": tied.time_key,
        "n_models": len(lineages),
        "confidence": confidence,
    }
    adata = annotated(adata, copy)
    _write(adata, tied, shares, sample_record(params, seed) | {"names": names}, key_added)
    return adata if copy else None


def _check_spread(shares: Sequence[tuple[Tensor, ...]]) -> None:
    """Raise where several models are one and the same, so that an interval would have no width.

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
            f"the {len(shares)} models have the same fates to the last digit, and an interval over "
            "them no width: no seed touches the couplings of a bridge. Fit models to resampled "
            "cells or samples, or flows of several seeds, or pass one model for fates without "
            "an interval"
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
    """Write the mean over models, and intervals where there are several."""
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
