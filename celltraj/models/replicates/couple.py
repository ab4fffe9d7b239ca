"""Couple cells of each sample with cells of the same sample, gap after gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from scipy.sparse import coo_array, csr_array

from celltraj._parallel import mapped
from celltraj.models.coupling import PLAIN_EPSILON, couple_gap, dropped
from celltraj.models.lineage import lineage as lineages
from celltraj.ot import SparseCoupling, SquaredEuclidean, solve
from celltraj.snapshots import Snapshots

COLUMNS = (
    *("t0", "t1", "sample", "n_source", "n_target", "mass"),
    *("epsilon", "marginal_error", "converged", "n_iters"),
)


@dataclass(frozen=True, eq=False)
class Owned:
    """Hold snapshots and the sample of each of their cells.

    Parameters
    ----------
    snapshots
        Cells of each time, with the growth that is expected.
    owners
        ``T`` arrays ``(n_k,)`` of names of samples.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from celltraj.models.replicates.couple import Owned
    >>> from celltraj.snapshots import Snapshots
    >>> x = torch.tensor([[0.0], [1.0], [2.0]])
    >>> names = np.array(["a", "a", "b"], dtype=object)
    >>> Owned(Snapshots((0.0, 1.0), (x, x)), (names, names)).equal().snapshots.weights[0]
    tensor([0.2500, 0.2500, 0.5000], dtype=torch.float64)
    """

    snapshots: Snapshots
    owners: tuple[np.ndarray, ...]

    def equal(self) -> Owned:
        """Return the same with equal weight of all samples of a time, however many cells they have.

        Cells of a sample share its weight as they did.
        """
        weights = []
        for given, own in zip(self.snapshots.weights, self.owners, strict=True):
            names, codes = np.unique(own.astype(str), return_inverse=True)
            mass = np.bincount(codes, weights=given.numpy())
            if (mass == 0).any():
                raise ValueError(
                    f"all cells of the sample {names[mass == 0][0]!r} have no weight at a time"
                )
            weights.append(given / torch.from_numpy(mass[codes] * len(names)))
        old = self.snapshots
        return Owned(Snapshots(old.times, old.x, tuple(weights), old.growth), self.owners)

    def shared(self, k: int) -> list[str]:
        """Return the samples with cells on both sides of gap ``k``, in order."""
        return sorted(set(self.owners[k]) & set(self.owners[k + 1]))

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """Return the numbers of cells on both sides, of each sample in each gap."""
        counts = [
            dict(zip(*np.unique(o.astype(str), return_counts=True), strict=True))
            for o in self.owners
        ]
        return [
            (int(counts[k][name]), int(counts[k + 1][name]))
            for k in range(len(counts) - 1)
            for name in self.shared(k)
        ]

    @property
    def drop(self) -> float:
        """Return which share of each row is dropped so that plans stay small, 0 where they are."""
        return dropped(sum(n * m for n, m in self.blocks))


@dataclass(frozen=True, eq=False)
class CoupledWithin:
    """Hold couplings within samples.

    Parameters
    ----------
    lineage
        Plans of all gaps. The sizes are such that a cell has one descendant on average wherever its
        sample is there at both times.
    table
        One row for each gap and sample of either side, see :data:`COLUMNS`; ``mass`` is zero where
        a sample is missing on one side and its cells take no part.
    """

    lineage: lineages.Lineage
    table: pd.DataFrame

    @property
    def left_out(self) -> dict[tuple[float, float], list[str]]:
        """Return the samples that take no part in a gap, where there are some."""
        gone = self.table[self.table["mass"] == 0]
        return {span: own["sample"].tolist() for span, own in gone.groupby(["t0", "t1"])}


def couple_within(owned: Owned, *, epsilon: float | None, progress: bool) -> CoupledWithin:
    r"""Couple the cells of each sample by entropic transport, with those of the same sample.

    Of each gap and each sample ``s`` on both sides, the plan ``P_s`` of least ``<C, P> + epsilon
    KL(P | w b')`` between its own cells, times the weight of ``s`` among the earlier cells; ``C =
    |x - y|^2 / 2``. One epsilon for all samples of a gap, so that none is blurred more than
    another.

    Parameters
    ----------
    owned
        Cells with their samples.
    epsilon
        Regularisation in units of the cost; by default a twentieth of the mean cost within samples,
        gap by gap.
    progress
        Whether to show a bar over the gaps.

    Raises
    ------
    ValueError
        No sample stands on both sides of a gap.
    """
    snapshots, spans = owned.snapshots, list(pairwise(owned.snapshots.times))
    for k, (t0, t1) in enumerate(spans):
        if not owned.shared(k):
            raise ValueError(
                f"no sample has cells both at time {t0:g} and at {t1:g}: nothing couples them "
                "within samples. ct.tl.couplings(adata) couples cells across samples"
            )
    task = partial(_gap, epsilon=epsilon, drop=owned.drop)
    tasks = ((snapshots.pair(k), owned.owners[k : k + 2]) for k in range(len(spans)))
    found = list(
        mapped(task, tasks, n_tasks=len(spans), what=("coupling", "gap"), progress=progress)
    )
    plans = tuple(SparseCoupling(plan) for plan, _ in found)
    sizes = np.cumprod([1.0, *(float(plan.row_mass.sum()) for plan in plans)])
    lineage = lineages.Lineage(snapshots.times, plans, snapshots.weights, tuple(sizes.tolist()))
    table = pd.DataFrame([row for _, rows in found for row in rows], columns=list(COLUMNS))
    return CoupledWithin(lineage, table)


def _gap(
    pair: Snapshots, owners: tuple[np.ndarray, np.ndarray], *, epsilon: float | None, drop: float
) -> tuple[csr_array, list[tuple[object, ...]]]:
    """Return the plan of a gap, and a row for each sample on either side."""
    before, after = (_rows_by_name(own) for own in owners)
    both = sorted(set(before) & set(after))
    parts = {name: _part(pair, before[name], after[name]) for name in both}
    mass = {name: float(pair.weights[0][before[name]].sum()) for name in both}
    if epsilon is None:
        costs = [SquaredEuclidean(*parts[name].x).mean() for name in both]
        epsilon = PLAIN_EPSILON * float(np.average(costs, weights=[mass[name] for name in both]))
    blocks, rows = [], []
    for name in sorted(set(before) | set(after)):
        span = (*pair.times, name, len(before.get(name, ())), len(after.get(name, ())))
        if name not in both:
            rows.append((*span, 0.0, np.nan, np.nan, True, 0))
            continue
        part = parts[name]
        one = couple_gap(part, 0, solve, SquaredEuclidean(*part.x), epsilon=epsilon)
        blocks.append((before[name], after[name], mass[name] * one.to_sparse(mass=drop)))
        rows.append((*span, mass[name], epsilon, one.marginal_error, one.converged, one.n_iters))
    return _joined(blocks, tuple(map(len, pair.x))), rows


def _part(pair: Snapshots, before: np.ndarray, after: np.ndarray) -> Snapshots:
    """Return the cells of one sample on both sides of a gap."""
    rows = [torch.from_numpy(one) for one in (before, after)]
    x, weights, growth = (
        tuple(part[keep] for part, keep in zip(parts, rows, strict=bool(parts)))
        for parts in (pair.x, pair.weights, pair.growth)
    )
    return Snapshots(pair.times, x, weights, growth)


def _rows_by_name(owners: np.ndarray) -> dict[str, np.ndarray]:
    return {str(name): np.flatnonzero(owners == name) for name in pd.unique(owners)}


def _joined(
    blocks: Sequence[tuple[np.ndarray, np.ndarray, csr_array]], shape: tuple[int, ...]
) -> csr_array:
    """Return one plan whose blocks are those of the samples."""
    values, i, j = [], [], []
    for before, after, plan in blocks:
        entries = coo_array(plan)
        values.append(entries.data)
        i.append(before[entries.coords[0]])
        j.append(after[entries.coords[1]])
    parts = (np.concatenate(one) for one in (values, i, j))
    data, rows, columns = parts
    return csr_array((data, (rows, columns)), shape=shape)
