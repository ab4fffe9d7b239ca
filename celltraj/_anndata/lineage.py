"""Read and write the couplings of a time course."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy.sparse import csr_array
from torch import Tensor
from tqdm.auto import tqdm

from celltraj._anndata.read import read_representation, read_snapshots, read_space
from celltraj._anndata.results import COUPLINGS
from celltraj._anndata.source import Source
from celltraj._anndata.times import read_times, times_of
from celltraj._typing import Time
from celltraj.models import Bridge, Lineage, Process, land
from celltraj.ot import Coupling, SolverStats, SparseCoupling, SquaredEuclidean, Transport
from celltraj.snapshots import Snapshots

logger = logging.getLogger("celltraj")
_COLUMNS = ("f", "g", "weight", "row_mass", "column_mass")
_SAME = 1e-4  # of the spread of a snapshot: float32 rounds a cell by less
_CHECKED = 16  # cells of each gap whose mass is computed again
_ROUNDED = 1e-2  # of the mass of a cell: states in single precision move it by less


@dataclass(frozen=True)
class Tied:
    """Hold a lineage and which rows of AnnData its cells are.

    Parameters
    ----------
    lineage
        Couplings of the time course.
    rows
        ``T`` arrays ``(n_k,)`` of row numbers.
    time_key
        Column of ``obs`` with the times.
    name
        Where the lineage comes from, for a record.
    source
        The cells that it ties together, for what is computed from it.
    """

    lineage: Lineage
    rows: tuple[np.ndarray, ...]
    time_key: str
    name: str
    source: Source

    def times_of(self, adata: AnnData, *times: Time) -> tuple[float, ...]:
        """Return times that a user typed, as numbers or as labels of ``time_key``."""
        return times_of(adata, self.time_key, times)

    def column(self, n_obs: int, values: Mapping[int, Tensor], width: int | None) -> np.ndarray:
        """Return a float32 column, or a matrix of ``width``; NaN where snapshots have no value."""
        shape = (n_obs,) if width is None else (n_obs, width)
        found = np.full(shape, np.nan, dtype=np.float32)
        for k, value in values.items():
            found[self.rows[k]] = value.numpy()
        return found


def read_lineage(
    adata: AnnData,
    model: Process | None,
    *,
    key: str,
    time_key: str | None,
    use_rep: str | None,
    seed: int,
    progress: bool,
) -> Tied:
    """Return the lineage of a model, or without one that of the couplings ``key``.

    A bridge has couplings of the cells that it was fitted to; any other law of motion, or a bridge
    of other cells, is simulated from snapshot to snapshot.

    Raises
    ------
    KeyError
        There are no couplings of that name.
    ValueError
        The cells are not those that were coupled.
    """
    if model is None:
        return _stored(adata, key)
    time_key = time_key or "time"
    name, _ = read_space(adata, model, use_rep, time_key)
    snapshots, _ = read_snapshots(adata, time_key=time_key, use_rep=name)
    rows, source = _rows(adata, time_key), Source.of(adata, time_key, name)
    if isinstance(model, Bridge):
        if _couples(model, snapshots):
            return Tied(model.lineage, rows, time_key, "Bridge", source)
        _check_span(model, snapshots)
        logger.info("the bridge was fitted to other cells: these are simulated")
    generator = torch.Generator().manual_seed(seed)
    lineage = land(model, snapshots, generator=generator, progress=progress)
    return Tied(lineage, rows, time_key, type(model).__name__, source)


def _couples(bridge: Bridge, snapshots: Snapshots) -> bool:
    """Return whether the snapshots are those that the bridge couples."""
    known = bridge.snapshots
    shapes = [[cloud.shape for cloud in one.x] for one in (known, snapshots)]
    if known.times != snapshots.times or shapes[0] != shapes[1]:
        return False
    pairs = zip(known.x, snapshots.x, strict=True)
    return all(bool((a - b).abs().max() <= _SAME * (a.std() + 1e-12)) for a, b in pairs)


def _check_span(bridge: Bridge, snapshots: Snapshots) -> None:
    first, last = bridge.snapshots.times[0], bridge.snapshots.times[-1]
    outside = [t for t in snapshots.times if not first <= t <= last]
    if outside:
        raise ValueError(
            f"adata has cells at times {outside}, the bridge was fitted to times from {first:g} to "
            f"{last:g}; pass the time_key= that it was fitted with, or leave these cells out"
        )


def read_coupled(adata: AnnData, key: str) -> tuple[Tied, Snapshots, str]:
    """Return the couplings ``key``, the snapshots that they couple, and their representation.

    Raises
    ------
    KeyError
        There are no couplings of that name, or they come without a representation.
    ValueError
        The cells are not those that were coupled.
    """
    tied = _stored(adata, key)
    params = COUPLINGS.peek(adata, key)["params"]
    name, x = read_representation(adata, params.get("use_rep"))
    clouds = tuple(torch.from_numpy(x[rows]) for rows in tied.rows)
    return tied, Snapshots(tied.lineage.times, clouds, tied.lineage.weights), name


def _rows(adata: AnnData, time_key: str) -> tuple[np.ndarray, ...]:
    times = read_times(adata, time_key)
    return tuple(np.flatnonzero(times == t) for t in np.unique(times))


def _stored(adata: AnnData, key: str) -> Tied:
    """Return the couplings ``key``, of all times or of some that follow each other."""
    record = COUPLINGS.read(adata, key)
    time_key = str(record["params"]["time_key"])
    rows = _rows(adata, time_key)
    source = Source.from_record(record["source"])
    first = int(np.searchsorted(source.times, read_times(adata, time_key).min()))
    here = slice(first, first + len(rows))
    if len(rows) < 2:
        raise ValueError(
            f"the couplings {key!r} tie the times {source.times.tolist()}, and adata has cells of "
            f"{source.times[here].tolist()} alone; keep two times or more"
        )
    record = record | {"gaps": record["gaps"].iloc[first : first + len(rows) - 1]}
    sizes = np.asarray(record["numbers"], dtype=float)[here]
    is_plan = f"obsp {key}" in set(map(str, record["places"]))
    couplings, weights = (_plans if is_plan else _potentials)(adata, key, record, rows)
    numbers = tuple((sizes / sizes[0]).tolist())
    lineage = Lineage(tuple(source.times[here].tolist()), couplings, weights, numbers)
    return Tied(lineage, rows, time_key, key, Source.of(adata, time_key, source.use_rep))


def _plans(
    adata: AnnData, key: str, record: Mapping[str, Any], rows: Sequence[np.ndarray]
) -> tuple[tuple[Transport, ...], tuple[Tensor, ...]]:
    whole = csr_array(adata.obsp[key])
    plans = [csr_array(whole[a][:, b]) for a, b in pairwise(rows)]
    weights = tuple(torch.full((len(r),), 1 / len(r), dtype=torch.float64) for r in rows)
    return tuple(SparseCoupling(plan.astype(float)) for plan in plans), weights


def _potentials(
    adata: AnnData, key: str, record: Mapping[str, Any], rows: Sequence[np.ndarray]
) -> tuple[tuple[Transport, ...], tuple[Tensor, ...]]:
    _, x = read_representation(adata, record["params"]["use_rep"])
    values = torch.from_numpy(np.asarray(adata.obsm[key], dtype=float))
    parts = [values[torch.from_numpy(r)].T for r in rows]
    clouds = [torch.from_numpy(x[r]) for r in rows]
    couplings = []
    for k, gap in enumerate(record["gaps"].itertuples()):
        f, _, _, row, _ = parts[k]
        _, g, _, _, column = parts[k + 1]
        cost = SquaredEuclidean(clouds[k], clouds[k + 1])
        reached = float(gap.marginal_error), bool(gap.converged), int(gap.n_iters)
        one = Coupling(
            cost, f, g, row, column, float(gap.epsilon), *reached, row, column, SolverStats()
        )
        _check_masses(one, clouds[k], clouds[k + 1], key)
        couplings.append(one)
    return tuple(couplings), tuple(part[2] for part in parts)


def _check_masses(one: Coupling, before: Tensor, after: Tensor, key: str) -> None:
    """Raise where some cells do not send what they sent when they were coupled.

    Digests know no signs: this tells a variable that was turned round at one time only.
    """
    rows = torch.linspace(0, len(before) - 1, min(_CHECKED, len(before))).long()
    cost = SquaredEuclidean(before[rows], after)
    few = replace(one, cost=cost, f=one.f[rows], a=one.a[rows], row_mass=one.row_mass[rows])
    sent = few.pull(torch.ones(len(after), dtype=torch.float64))
    if not torch.allclose(sent, few.row_mass, rtol=_ROUNDED, atol=0):
        raise ValueError(
            f"the couplings {key!r} are stale: the states of the cells have changed since they "
            "were computed. Run ct.tl.couplings(adata) again"
        )


def couplings_columns(
    lineage: Lineage, rows: Sequence[np.ndarray], couplings: Sequence[Coupling], n_obs: int
) -> np.ndarray:
    """Return ``(n_obs, 5)`` potentials and masses of every cell; NaN where there is no gap."""
    table = np.full((n_obs, len(_COLUMNS)), np.nan)
    for r, weight in zip(rows, lineage.weights, strict=True):
        table[r, 2] = weight.numpy()
    for before, after, one in zip(rows[:-1], rows[1:], couplings, strict=True):
        table[before, 0], table[before, 3] = one.f.numpy(), one.row_mass.numpy()
        table[after, 1], table[after, 4] = one.g.numpy(), one.column_mass.numpy()
    return table


def couplings_record(
    lineage: Lineage, rows: Sequence[np.ndarray], gaps: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what besides params is to be known of couplings."""
    spans = [
        {"t0": t0, "t1": t1} | dict(gap)
        for t0, t1, gap in zip(lineage.times[:-1], lineage.times[1:], gaps, strict=True)
    ]
    return {
        "time_points": np.asarray(lineage.times),
        "numbers": np.asarray(lineage.numbers),
        "cells": np.array([len(r) for r in rows]),
        "gaps": pd.DataFrame(spans).rename(index=str),
    }


def transition_matrix(tied: Tied, n_obs: int, *, mass: float, progress: bool) -> csr_array:
    """Return the ``(n_obs, n_obs)`` matrix that takes each cell to its descendants.

    Rows sum to one; a cell of the last snapshot, or one without descendants, stays where it is.
    ``mass`` of each row, its smallest entries, is left out.
    """
    n_passes = 2 * len(tied.lineage.couplings)
    with tqdm(total=n_passes, desc="transitions", unit="pass", disable=not progress) as bar:
        counts = np.zeros(n_obs, dtype=np.int64)
        for cells, _, plan in _sparse_rows(tied, mass, bar):
            counts[cells] = np.diff(plan.indptr)
        stays = counts == 0
        first = np.concatenate([[0], np.cumsum(np.where(stays, 1, counts))])
        columns, shares = np.empty(first[-1], dtype=np.int32), np.empty(first[-1], dtype=np.float32)
        columns[first[:-1][stays]], shares[first[:-1][stays]] = np.flatnonzero(stays), 1
        # a second time over the plan: rows kept from the first would take as much as the matrix
        for cells, later, plan in _sparse_rows(tied, mass, bar):
            lengths = np.diff(plan.indptr)
            places = np.repeat(first[cells] - plan.indptr[:-1], lengths) + np.arange(plan.nnz)
            columns[places] = later[plan.indices]
            shares[places] = plan.data / np.repeat(plan.sum(1), lengths)
    # scipy would widen the columns to the type of the row pointer, half as much again in memory
    index = np.int32 if first[-1] <= np.iinfo(np.int32).max else np.int64
    return csr_array((shares, columns, first.astype(index)), shape=(n_obs, n_obs))


def _sparse_rows(
    tied: Tied, mass: float, bar: tqdm
) -> Iterator[tuple[np.ndarray, np.ndarray, csr_array]]:
    """Yield some cells, all cells of the time after, and the positive part of the plan between."""
    for k, one in enumerate(tied.lineage.couplings):
        for start, rows in one.sparse_rows(mass=mass):
            rows.eliminate_zeros()
            yield tied.rows[k][start : start + rows.shape[0]], tied.rows[k + 1], rows
        bar.update()
