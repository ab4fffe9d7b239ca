"""Read the couplings of a time course, whatever they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from scipy.sparse import csr_array
from torch import Tensor
from tqdm.auto import tqdm

from celltraj._anndata.needs import check_lineage
from celltraj._anndata.read import dimension_of, read_representation
from celltraj._anndata.results import COUPLINGS
from celltraj._anndata.results.fits import DRAWN
from celltraj._anndata.source import Source
from celltraj._anndata.times import read_times, times_of
from celltraj._typing import Time
from celltraj.models import Lineage
from celltraj.models.references.packed_law import law_cost, unpacked_law
from celltraj.ot import (
    Coupling,
    SolverStats,
    SparseCoupling,
    SquaredEuclidean,
    StratifiedCoupling,
    Transport,
)
from celltraj.snapshots import Snapshots

COLUMNS = ("f", "g", "weight", "row_mass", "column_mass")
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
        Key of the couplings.
    source
        The cells that it ties together, for what is computed from it.
    seed
        Seed of the couplings.
    predicted
        ``(T,)`` sizes of the population that a model predicts, 1 at the first time; None where no
        model was asked.
    """

    lineage: Lineage
    rows: tuple[np.ndarray, ...]
    time_key: str
    name: str
    source: Source
    seed: int
    predicted: tuple[float, ...] | None = None

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


def read_lineage(adata: AnnData, key: str) -> Tied:
    """Return the couplings ``key``, of all times or of some that follow each other.

    Raises
    ------
    KeyError
        There are no couplings of that name.
    ValueError
        The cells are not those that were coupled.
    """
    record = COUPLINGS.read(adata, key)
    time_key = str(record["params"]["time_key"])
    rows = rows_of(adata, time_key)
    source = Source.from_record(record["source"])
    first = int(np.searchsorted(source.times, read_times(adata, time_key).min()))
    here = slice(first, first + len(rows))
    if len(rows) < 2:
        raise ValueError(
            f"the couplings {key!r} tie the times {source.times.tolist()}, and adata has cells of "
            f"{source.times[here].tolist()} alone; keep two times or more"
        )
    kept = record | {"gaps": record["gaps"].iloc[first : first + len(rows) - 1]}
    is_plan = f"obsp {key}" in set(map(str, record["places"]))
    couplings, weights = (_plans if is_plan else _potentials)(adata, key, kept, rows)
    numbers, predicted = (
        _relative(record[name], here) if name in record else None
        for name in ("numbers", "predicted")
    )
    lineage = Lineage(tuple(source.times[here].tolist()), couplings, weights, numbers or ())
    now = Source.of(adata, time_key, source.use_rep)
    return Tied(lineage, rows, time_key, key, now, int(record["seed"]), predicted)


def _relative(sizes: np.ndarray, here: slice) -> tuple[float, ...]:
    """Return some of the sizes of a population, in units of the first of them."""
    kept = np.asarray(sizes, dtype=float)[here]
    return tuple((kept / kept[0]).tolist())


def expected_growth(adata: AnnData, tied: Tied) -> Tensor | None:
    """Return the growth ``(n,)`` that the model expects of the cells of the last time, in 1/[t].

    None where the couplings are of no model that learned it.
    """
    name = growth_column(tied.name)
    if f"obs {name}" not in set(map(str, COUPLINGS.peek(adata, tied.name)["places"])):
        return None
    return torch.from_numpy(adata.obs[name].to_numpy(dtype=float)[tied.rows[-1]])


def read_coupled(adata: AnnData, key: str) -> tuple[Tied, Snapshots, str]:
    """Return the couplings ``key``, the snapshots that they couple, and their representation.

    Raises
    ------
    KeyError
        There are no couplings of that name, or they come without a representation.
    ValueError
        The cells are not those that were coupled.
    """
    tied = read_lineage(adata, key)
    params = COUPLINGS.peek(adata, key)["params"]
    name, x = read_representation(adata, params.get("use_rep"))
    clouds = tuple(torch.from_numpy(x[rows]) for rows in tied.rows)
    return tied, Snapshots(tied.lineage.times, clouds, tied.lineage.weights), name


def rows_of(adata: AnnData, time_key: str) -> tuple[np.ndarray, ...]:
    """Return the numbers of the rows of each time, in order."""
    times = read_times(adata, time_key)
    return tuple(np.flatnonzero(times == t) for t in np.unique(times))


def weight_column(key: str) -> str:
    """Return the column of ``obs`` with the weights of cells that plans couple."""
    return f"{key}_weight"


def growth_column(key: str) -> str:
    """Return the column of ``obs`` with the growth that a model expects of its cells."""
    return f"{key}_growth"


def _plans(
    adata: AnnData, key: str, record: Mapping[str, Any], rows: Sequence[np.ndarray]
) -> tuple[tuple[Transport, ...], tuple[Tensor, ...]]:
    whole = csr_array(adata.obsp[key])
    plans = [csr_array(whole[a][:, b]) for a, b in pairwise(rows)]
    name = weight_column(key)
    if f"obs {name}" in set(map(str, record["places"])):
        values = adata.obs[name].to_numpy(dtype=float)
        weights = tuple(torch.from_numpy(values[r]) for r in rows)
    else:
        weights = tuple(torch.full((len(r),), 1 / len(r), dtype=torch.float64) for r in rows)
    return tuple(SparseCoupling(plan.astype(float)) for plan in plans), weights


def _potentials(
    adata: AnnData, key: str, record: Mapping[str, Any], rows: Sequence[np.ndarray]
) -> tuple[tuple[Transport, ...], tuple[Tensor, ...]]:
    use_rep = record["params"]["use_rep"]
    check_lineage(adata.n_obs, dimension_of(adata, use_rep))
    _, x = read_representation(adata, use_rep)
    values = torch.from_numpy(np.asarray(adata.obsm[key], dtype=float))
    parts = [values[torch.from_numpy(r)].T for r in rows]
    clouds = [torch.from_numpy(x[r]) for r in rows]
    law = unpacked_law(record["law"], dim=x.shape[1]) if "law" in record else None
    couplings = []
    for k, gap in enumerate(record["gaps"].itertuples()):
        f, _, _, row, _ = parts[k]
        _, g, _, _, column = parts[k + 1]
        x0, x1 = clouds[k : k + 2]
        span = float(gap.t0), float(gap.t1)
        cost = SquaredEuclidean(x0, x1) if law is None else law_cost(law, x0, x1, span)
        reached = float(gap.marginal_error), bool(gap.converged), int(gap.n_iters)
        one = Coupling(
            cost, f, g, row, column, float(gap.epsilon), *reached, row, column, SolverStats()
        )
        _check_masses(one, key)
        is_drawn = getattr(gap, DRAWN, False)
        couplings.append(StratifiedCoupling.of_coupling(one) if is_drawn else one)
    return tuple(couplings), tuple(part[2] for part in parts)


def _check_masses(one: Coupling, key: str) -> None:
    """Raise where some cells do not send what they sent when they were coupled.

    Digests know no signs: this tells a variable that was turned round at one time only.
    """
    n, m = one.cost.shape
    rows = torch.linspace(0, n - 1, min(_CHECKED, n)).long()
    cost = one.cost.take(rows, torch.arange(m))
    few = replace(one, cost=cost, f=one.f[rows], a=one.a[rows], row_mass=one.row_mass[rows])
    sent = few.pull(torch.ones(m, dtype=torch.float64))
    missed = (sent - few.row_mass).abs().sum() / few.row_mass.sum()
    # potentials that hold to a few per cent send a few per cent more or less
    if not missed <= _ROUNDED + 2 * one.marginal_error:
        raise ValueError(
            f"the couplings {key!r} are stale: the states of the cells have changed since they "
            "were computed. Run ct.tl.couplings(adata) again"
        )


def transition_matrix(tied: Tied, n_obs: int, *, drop: float, progress: bool) -> csr_array:
    """Return the ``(n_obs, n_obs)`` matrix that takes each cell to its descendants.

    Rows sum to one; a cell of the last snapshot, or one without descendants, stays where it is.
    ``drop`` of the mass of each row, its smallest entries, is left out.
    """
    n_passes = 2 * len(tied.lineage.couplings)
    with tqdm(total=n_passes, desc="transitions", unit="pass", disable=not progress) as bar:
        counts = np.zeros(n_obs, dtype=np.int64)
        for cells, _, plan in _sparse_rows(tied, drop, bar):
            counts[cells] = np.diff(plan.indptr)
        stays = counts == 0
        first = np.concatenate([[0], np.cumsum(np.where(stays, 1, counts))])
        columns, shares = np.empty(first[-1], dtype=np.int32), np.empty(first[-1], dtype=np.float32)
        columns[first[:-1][stays]], shares[first[:-1][stays]] = np.flatnonzero(stays), 1
        # a second time over the plan: rows kept from the first would take as much as the matrix
        for cells, later, plan in _sparse_rows(tied, drop, bar):
            lengths = np.diff(plan.indptr)
            places = np.repeat(first[cells] - plan.indptr[:-1], lengths) + np.arange(plan.nnz)
            columns[places] = later[plan.indices]
            shares[places] = plan.data / np.repeat(plan.sum(1), lengths)
    # scipy would widen the columns to the type of the row pointer, half as much again in memory
    index = np.int32 if first[-1] <= np.iinfo(np.int32).max else np.int64
    return csr_array((shares, columns, first.astype(index)), shape=(n_obs, n_obs))


def _sparse_rows(
    tied: Tied, drop: float, bar: tqdm
) -> Iterator[tuple[np.ndarray, np.ndarray, csr_array]]:
    """Yield some cells, all cells of the time after, and the positive part of the plan between."""
    for k, one in enumerate(tied.lineage.couplings):
        for start, rows in one.sparse_rows(mass=drop):
            rows.eliminate_zeros()
            yield tied.rows[k][start : start + rows.shape[0]], tied.rows[k + 1], rows
        bar.update()
