"""Couple the cells of an AnnData by a model, and write couplings of whatever origin."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData, ImplicitModificationWarning
from scipy.sparse import csr_array, csr_matrix
from torch import Tensor

from celltraj._anndata.known_times import time_key_of_model
from celltraj._anndata.lineage import COLUMNS, growth_column, rows_of, weight_column
from celltraj._anndata.read import read_snapshots, read_space
from celltraj._anndata.results import COUPLINGS
from celltraj._anndata.results.fits import DRAWN
from celltraj._anndata.source import Source
from celltraj._anndata.write import sample_record
from celltraj._typing import Counts
from celltraj.models import Bridge, Lineage, Process, land
from celltraj.models.coupling import dropped
from celltraj.models.growth.predicted_sizes import predicted_sizes
from celltraj.models.references.packed_law import packed_law
from celltraj.ot import Coupling, StratifiedCoupling, Transport
from celltraj.snapshots import Snapshots

logger = logging.getLogger("celltraj")
_SAME = 1e-4  # of the spread of a snapshot: float32 rounds a cell by less
_PROPORTIONS = "proportions"


@dataclass(frozen=True)
class Coupled:
    """Hold couplings that are to be written.

    Parameters
    ----------
    lineage
        Couplings of the time course.
    time_key, use_rep
        Column of ``obs`` and representation of its cells; None where none was read.
    params
        Arguments as used, besides these two.
    law
        What the cost of potentials follows from, as :func:`packed_law` has it; None where that is
        the squared Euclidean one.
    has_potentials
        Whether potentials are enough to have the couplings again; else plans are kept.
    growth
        ``T`` tensors ``(n_k,)`` of what a model expects of each cell, in 1/[t]; empty without.
    predicted
        ``(T,)`` sizes of the population that a model predicts; empty without a model.
    tables
        What else is to be known of them, one table for each field of the record.
    matrices
        ``(n_obs, w)`` arrays of the cells that belong to the couplings, by their key in ``obsm``;
        ``use_rep`` may name one.
    """

    lineage: Lineage
    time_key: str
    use_rep: str | None
    params: Mapping[str, Any]
    law: Mapping[str, Any] | None = None
    has_potentials: bool = True
    growth: Sequence[Tensor] = ()
    predicted: Sequence[float] = field(default=())
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    matrices: Mapping[str, np.ndarray] = field(default_factory=dict)


def couple_by_model(
    adata: AnnData,
    model: Process,
    *,
    time_key: str | None,
    use_rep: str | None,
    counts: Counts,
    seed: int,
    progress: bool,
) -> Coupled:
    """Return the couplings of a model.

    A bridge has couplings of the cells that it was fitted to; any other law of motion, or a bridge
    of other cells, is simulated from snapshot to snapshot.

    Raises
    ------
    KeyError
        There is no such column or representation.
    ValueError
        The cells do not suit the model, or ``counts`` is to say anew what a bridge knows.
    """
    time_key = time_key or time_key_of_model(adata, model)
    name, _ = read_space(adata, model, use_rep, time_key)
    snapshots, _ = read_snapshots(adata, time_key=time_key, use_rep=name, counts=counts)
    params = {"model": type(model).__name__}
    if isinstance(model, Bridge):
        if _couples(model, snapshots):
            _check_counts(counts)
            own = _own(model, snapshots)
            sizes = _sizes_of(model, own["lineage"], snapshots, seed, progress=progress)
            return Coupled(time_key=time_key, use_rep=name, params=params, predicted=sizes, **own)
        _check_span(model, snapshots)
        logger.info("the bridge was fitted to other cells: these are simulated")
    generator = torch.Generator().manual_seed(seed)
    sizes = snapshots.sizes
    lineage = land(model, snapshots, numbers=sizes, generator=generator, progress=progress)
    params |= {"counts": counts if isinstance(counts, str) else "given"}
    return Coupled(
        lineage,
        time_key,
        name,
        params,
        has_potentials=False,
        predicted=_sizes_of(model, lineage, snapshots, seed, progress=progress),
    )


def _own(bridge: Bridge, snapshots: Snapshots) -> dict[str, Any]:
    """Return the couplings of a bridge, and how they are to be kept."""
    is_exact = all(map(torch.equal, bridge.snapshots.x, snapshots.x))
    has_potentials = all(isinstance(one, Coupling) for one in bridge.couplings)
    law = packed_law(bridge.reference) if is_exact and has_potentials else None
    return {
        "lineage": bridge.lineage,
        "growth": bridge.snapshots.growth,
        "law": law,
        "has_potentials": law is not None,
    }


def _sizes_of(
    model: Process, lineage: Lineage, snapshots: Snapshots, seed: int, *, progress: bool
) -> tuple[float, ...]:
    weighted = Snapshots(snapshots.times, snapshots.x, lineage.weights)
    generator = torch.Generator().manual_seed(seed)
    return predicted_sizes(model, weighted, generator=generator, progress=progress)


def _couples(bridge: Bridge, snapshots: Snapshots) -> bool:
    """Return whether the snapshots are those that the bridge couples."""
    known = bridge.snapshots
    shapes = [[cloud.shape for cloud in one.x] for one in (known, snapshots)]
    if known.times != snapshots.times or shapes[0] != shapes[1]:
        return False
    pairs = zip(known.x, snapshots.x, strict=True)
    return all(bool((a - b).abs().max() <= _SAME * (a.std() + 1e-12)) for a, b in pairs)


def _check_counts(counts: Counts) -> None:
    if not isinstance(counts, str) or counts != _PROPORTIONS:
        raise ValueError(
            "a bridge of these very cells knows what their numbers mean from its fit; leave "
            "counts= out, or pass it to ct.tl.fit_bridge"
        )


def _check_span(bridge: Bridge, snapshots: Snapshots) -> None:
    first, last = bridge.snapshots.times[0], bridge.snapshots.times[-1]
    outside = [t for t in snapshots.times if not first <= t <= last]
    if outside:
        raise ValueError(
            f"adata has cells at times {outside}, the bridge was fitted to times from {first:g} to "
            f"{last:g}; pass the time_key= that it was fitted with, or leave these cells out"
        )


def write_couplings(adata: AnnData, key: str, coupled: Coupled, seed: int) -> None:
    """Write couplings to ``adata``, in a form that files keep."""
    lineage, rows = coupled.lineage, rows_of(adata, coupled.time_key)
    with warnings.catch_warnings():
        # a view becomes an AnnData of its own, as anndata has it for every write
        warnings.simplefilter("ignore", ImplicitModificationWarning)
        for name, values in coupled.matrices.items():  # the source may be one of them
            adata.obsm[name] = values
    source = Source.of(adata, coupled.time_key, coupled.use_rep)
    params = {"time_key": coupled.time_key, "use_rep": coupled.use_rep, **coupled.params}
    columns: dict[str, Any] = {}
    if coupled.has_potentials:
        columns[key] = couplings_columns(lineage, rows, adata.n_obs)
    else:
        plans, drop = _plans_of(lineage.couplings)
        params |= {"drop": drop} if drop else {}
        columns[key] = whole_plan(plans, rows, adata.n_obs)
        if not all(map(_is_uniform, lineage.weights)):
            columns[weight_column(key)] = _column(rows, lineage.weights, adata.n_obs)
    if coupled.growth:
        columns[growth_column(key)] = _column(rows, coupled.growth, adata.n_obs)
    record = sample_record(params, seed) | couplings_record(lineage, rows)
    record |= {"law": dict(coupled.law)} if coupled.law is not None else {}
    record |= {"predicted": np.asarray(coupled.predicted)} if len(coupled.predicted) else {}
    record |= {name: table.rename(index=str) for name, table in coupled.tables.items()}
    columns |= coupled.matrices
    COUPLINGS.write(adata, key, record, columns, source=source)


def _plans_of(couplings: Sequence[Transport]) -> tuple[list[csr_array], float]:
    """Return plans, and which share of each row was dropped for them to be small."""
    n_entries = sum(len(one.row_mass) * len(one.column_mass) for one in couplings)
    is_told = any(isinstance(one, Coupling) for one in couplings)  # all others are sparse already
    drop = dropped(n_entries) if is_told else 0.0
    return [csr_array(one.to_sparse(mass=drop)) for one in couplings], drop


def whole_plan(plans: Sequence[csr_array], rows: Sequence[np.ndarray], n_obs: int) -> csr_matrix:
    """Return the plans of all gaps as one ``(n_obs, n_obs)`` matrix."""
    parts = []
    for plan, (before, after) in zip(plans, pairwise(rows), strict=True):
        entries = plan.tocoo(copy=False)
        i, j = (
            cells.astype(np.int32)[places]
            for cells, places in zip((before, after), entries.coords, strict=True)
        )
        parts.append((entries.data, i, j))
    values, i, j = (np.concatenate(part) for part in zip(*parts, strict=True))
    return csr_matrix((values, (i, j)), shape=(n_obs, n_obs))


def _is_uniform(weights: Tensor) -> bool:
    return bool((weights == 1 / len(weights)).all())


def _column(rows: Sequence[np.ndarray], values: Sequence[Tensor], n_obs: int) -> np.ndarray:
    """Return one float64 number of each cell."""
    found = np.full(n_obs, np.nan)
    for r, value in zip(rows, values, strict=True):
        found[r] = value.numpy()
    return found


def couplings_columns(lineage: Lineage, rows: Sequence[np.ndarray], n_obs: int) -> np.ndarray:
    """Return ``(n_obs, 5)`` potentials and masses of every cell; NaN where there is no gap."""
    table = np.full((n_obs, len(COLUMNS)), np.nan)
    for r, weight in zip(rows, lineage.weights, strict=True):
        table[r, 2] = weight.numpy()
    couplings = [one for one in lineage.couplings if isinstance(one, Coupling)]
    for before, after, one in zip(rows[:-1], rows[1:], couplings, strict=True):
        table[before, 0], table[before, 3] = one.f.numpy(), one.row_mass.numpy()
        table[after, 1], table[after, 4] = one.g.numpy(), one.column_mass.numpy()
    return table


def couplings_record(lineage: Lineage, rows: Sequence[np.ndarray]) -> dict[str, Any]:
    """Return what besides params is to be known of couplings."""
    spans = [
        {"t0": t0, "t1": t1} | _reached(one)
        for t0, t1, one in zip(
            lineage.times[:-1], lineage.times[1:], lineage.couplings, strict=True
        )
    ]
    return {
        "time_points": np.asarray(lineage.times),
        "numbers": np.asarray(lineage.numbers),
        "cells": np.array([len(r) for r in rows]),
        "gaps": pd.DataFrame(spans).rename(index=str),
    }


def _reached(one: Transport) -> dict[str, float | bool | int]:
    """Return what is to be known of the coupling of a gap."""
    mass = {"mass": float(one.row_mass.sum())}
    if not isinstance(one, Coupling):
        return dict(mass)
    return {
        "epsilon": one.epsilon,
        "marginal_error": one.marginal_error,
        "converged": one.converged,
        "n_iters": one.n_iters,
        DRAWN: isinstance(one, StratifiedCoupling),
    } | mass
