r"""Sums over the plan of two potentials, in tiles that stay in the cache.

``log P_ij = f_i + g_j - C_ij / epsilon`` with potentials in units of epsilon. A cost that is a
product of features, ``C_ij = l_i . r_j + u_i + v_j``, leaves ``(f_i - u_i / epsilon) + (g_j - v_j /
epsilon) - D_ij`` with ``D_ij = l_i . r_j / epsilon``: one product of a few hundred rows with a
thousand columns at a time, while both and their result are near. Any other cost comes in its own
blocks of rows. Sums are float64 and added in the order of the rows, whichever thread found them.

In single precision, unit roundoff ``w = 2^-24``, the exponent is off by at most ``w ((p + 3)
|l_i| |r_j| / epsilon + 3 |f_i| + 3 |g_j|)`` to first order: ``p`` products and their operands are
rounded, potentials, their sum and its difference to ``D`` (Higham, *Accuracy and stability of
numerical algorithms*, 2002, section 3.1). The exponential adds ``2 w``. Summed with the weights
``P_ij``, whose marginals are known, and by Cauchy and Schwarz, that bounds the mass that rounding
moves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from celltraj._kernels import (
    fill_plan,
    fill_single,
    log_of_columns,
    log_of_rows,
    sum_entropies,
    sum_rows,
    sum_single,
)
from celltraj._typing import Earlier, Later
from celltraj.ot._cost import Cost, ProductCost, product_blocks

TILE = 512, 512  # rows and columns: 1 MB in float32, so that a tile stays in the second cache
_TILED_FROM = 300_000  # entries above which tiles pay; below, all terms of a cost are one product
_PARALLEL = 300_000  # entries above which bands of rows are shared among threads
_SINGLE_FROM = 10_000_000  # entries above which single precision is worth its rounding
SINGLE_SHARE = 0.2  # of a tolerance, that rounding may take
_UNIT = 2.0**-24
_LEAST = 1e-25  # sums below may have lost entries to the range of single precision
_NOTHING = 1e-200  # share of a weight below which sums consist of clamped entries

Tiles = Iterator[tuple[slice, np.ndarray]]
Found = TypeVar("Found")


@dataclass(frozen=True)
class TiledPlan:
    """Hold the plan of two potentials so that its entries are computed tile by tile.

    Parameters
    ----------
    cost
        ``(n, m)`` ground cost.
    f, g
        ``(n,)`` and ``(m,)`` potentials in units of epsilon, less what cells add to the cost by
        themselves; ``-inf`` where a weight is zero.
    inverse
        What the entries of a tile are times: ``1 / epsilon``, 1 where features hold it.
    features
        ``(n, p)`` and ``(m, p)`` factors of ``D``, in the precision that tiles have; None for a
        cost in blocks.
    """

    cost: Cost
    f: np.ndarray
    g: np.ndarray
    inverse: float
    features: tuple[Tensor, Tensor] | None

    @classmethod
    def of(cls, cost: Cost, f: Earlier, g: Later, epsilon: float) -> TiledPlan:
        """Return the plan of ``f`` and ``g``, in units of epsilon, in double precision."""
        n_pairs = cost.shape[0] * cost.shape[1]
        if n_pairs < _TILED_FROM or not isinstance(cost, ProductCost):
            return cls(cost, f.numpy(), g.numpy(), 1 / epsilon, None)
        parts = cost.factors()
        left, right = parts.left / epsilon, parts.right
        added = parts.u / epsilon, parts.v / epsilon
        return cls(cost, (f - added[0]).numpy(), (g - added[1]).numpy(), 1.0, (left, right))

    @property
    def is_single(self) -> bool:
        """Return whether tiles are float32."""
        return self.features is not None and self.features[0].dtype == torch.float32

    def moved(self, row: np.ndarray, column: np.ndarray) -> float:
        """Return a bound of the mass that single precision moves in a plan of these marginals."""
        if self.features is None:
            return math.inf
        left, right = (part.double().square().sum(1).numpy() for part in self.features)
        size = math.sqrt(float(row @ left) * float(column @ right))
        potentials = _weighed(self.f, row) + _weighed(self.g, column)
        n_terms = self.features[0].shape[1] + 3
        return _UNIT * (n_terms * size + 3 * potentials + 2 * float(row.sum()))

    def rounded(self, row: np.ndarray, column: np.ndarray, tol: float) -> TiledPlan:
        """Return the plan in single precision where that moves both marginals within ``tol``.

        ``row`` and ``column`` are the marginals of the plan. A plan of few entries stays as it is,
        and so does one that leaves less than 1e-25 to a cell.
        """
        is_large = self.cost.shape[0] * self.cost.shape[1] >= _SINGLE_FROM
        if self.features is None or not is_large or _least(row, column) < _LEAST:
            return self
        if not 2 * self.moved(row, column) <= tol:
            return self
        left, right = (part.float() for part in self.features)
        f, g = self.f.astype(np.float32), self.g.astype(np.float32)
        return replace(self, f=f, g=g, features=(left, right))

    def over_bands(self, work: Callable[[slice, Tiles], Found]) -> Iterator[tuple[slice, Found]]:
        """Yield ``(rows, work(rows, tiles))`` of one band of rows after the other.

        Tiles are ``(columns, D[rows, columns])``, each valid until the next; bands of a product are
        shared among torch's threads.
        """
        n, m = self.cost.shape
        if self.features is None:
            for rows, block in self.cost.blocks():
                yield rows, work(rows, iter([(slice(0, m), block.numpy())]))
            return
        features, n_threads = self.features, torch.get_num_threads()
        bands = _slices(n, TILE[0])
        if n_threads == 1 or n * m < _PARALLEL:
            for rows in bands:
                yield rows, work(rows, self._tiles(rows, features))
            return
        with _threads(n_threads) as pool:
            for k in range(0, len(bands), n_threads):  # so many results wait at most
                some = bands[k : k + n_threads]
                found = pool.map(lambda rows: work(rows, self._tiles(rows, features)), some)
                yield from zip(some, found, strict=True)

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield ``(rows, D[rows])`` for those who need whole rows, each valid until the next."""
        found = self.cost.blocks() if self.features is None else product_blocks(*self.features)
        return ((rows, block.numpy()) for rows, block in found)

    def _tiles(self, rows: slice, features: tuple[Tensor, Tensor]) -> Tiles:
        part, right = features[0][rows], features[1]
        room = part.new_empty((len(part), min(TILE[1], len(right))))
        for columns in _slices(len(right), TILE[1]):
            tile = room[:, : columns.stop - columns.start]
            yield columns, torch.mm(part, right[columns].T, out=tile).numpy()

    def _entries(self, rows: slice, tiles: Tiles) -> Iterator[tuple[slice, Tensor]]:
        """Yield ``(columns, P[rows, columns])``, float64, each valid until the next."""
        room: np.ndarray | None = None  # fresh memory costs more than the exponentials
        for columns, tile in tiles:
            room = np.empty(tile.shape) if room is None else room
            out = room[:, : tile.shape[1]]
            if self.is_single:
                fill_single(tile, self.f[rows], self.g[columns], out)
            else:
                fill_plan(tile, self.f[rows], self.g[columns], self.inverse, out)
            yield columns, torch.from_numpy(out)

    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the row and column sums of the plan."""
        row, column = np.zeros(len(self.f)), np.zeros(len(self.g))

        def work(rows: slice, tiles: Tiles) -> tuple[np.ndarray, np.ndarray]:
            f = self.f[rows]
            sums, below = np.zeros(len(f)), np.zeros(len(self.g))
            for columns, tile in tiles:
                inout = sums, below[columns]
                if self.is_single:
                    sum_single(tile, f, self.g[columns], *inout)
                else:
                    sum_rows(tile, f, self.g[columns], self.inverse, *inout)
            return sums, below

        for rows, (sums, below) in self.over_bands(work):
            row[rows] = sums
            column += below
        return row, column

    def push(self, v: Tensor) -> Tensor:
        """Return ``P' v`` for ``v`` of shape ``(n,)`` or ``(n, k)``."""
        total = torch.zeros((len(self.g), *v.shape[1:]), dtype=v.dtype)

        def work(rows: slice, tiles: Tiles) -> Tensor:
            found = torch.empty_like(total)
            for columns, entries in self._entries(rows, tiles):
                found[columns] = entries.T @ v[rows]
            return found

        for _, found in self.over_bands(work):
            total += found
        return total

    def pull(self, v: Tensor) -> Tensor:
        """Return ``P v`` for ``v`` of shape ``(m,)`` or ``(m, k)``."""

        def work(rows: slice, tiles: Tiles) -> Tensor:
            found = torch.zeros((rows.stop - rows.start, *v.shape[1:]), dtype=v.dtype)
            for columns, entries in self._entries(rows, tiles):
                found += entries @ v[columns]
            return found

        return torch.cat([found for _, found in self.over_bands(work)])

    def entropies(self) -> Earlier:
        """Return ``(n,)`` sums ``sum_j P_ij log P_ij``."""

        def work(rows: slice, tiles: Tiles) -> Tensor:
            found = np.zeros(rows.stop - rows.start)
            for columns, tile in tiles:
                sum_entropies(tile, self.f[rows], self.g[columns], self.inverse, found)
            return torch.from_numpy(found)

        return torch.cat([found for _, found in self.over_bands(work)])

    def log_rows(self) -> Earlier:
        """Return ``(n,)`` logarithms of the row sums, however large or small they are."""

        def work(rows: slice, tiles: Tiles) -> Tensor:
            top, total = np.full(rows.stop - rows.start, -np.inf), np.zeros(rows.stop - rows.start)
            for columns, tile in tiles:
                log_of_rows(tile, self.g[columns], self.inverse, top, total)
            return torch.from_numpy(top) + torch.from_numpy(total).log()

        found = torch.cat([found for _, found in self.over_bands(work)])
        return found + torch.from_numpy(self.f)

    def log_columns(self) -> Later:
        """Return ``(m,)`` logarithms of the column sums, however large or small they are."""
        result = torch.full((len(self.g),), -torch.inf, dtype=torch.float64)

        def work(rows: slice, tiles: Tiles) -> Tensor:
            top, total = np.full(len(self.g), -np.inf), np.zeros(len(self.g))
            for columns, tile in tiles:
                log_of_columns(tile, self.f[rows], self.inverse, top[columns], total[columns])
            return torch.from_numpy(top) + torch.from_numpy(total).log()

        for _, found in self.over_bands(work):
            result = torch.logaddexp(result, found)
        return result + torch.from_numpy(self.g)


def marginals_of(
    cost: Cost, potentials: tuple[Earlier, Later], weights: tuple[Earlier, Later], epsilon: float
) -> tuple[Earlier, Later]:
    """Return the row and column sums of the plan of two potentials, in units of the cost."""
    f, g = (v / epsilon for v in potentials)
    sums = TiledPlan.of(cost, f, g, epsilon).sums()
    row, column = (torch.from_numpy(v) for v in sums)
    # the kernel clamps exponents: what is next to nothing is none
    for mass, weight, potential in zip((row, column), weights, (f, g), strict=True):
        mass[(mass < _NOTHING * weight) | torch.isneginf(potential)] = 0
    return row, column


def _weighed(potential: np.ndarray, mass: np.ndarray) -> float:
    """Return the sum of sizes of potentials, by the mass of the cells that have one."""
    return float(np.abs(np.where(mass > 0, potential, 0.0)) @ mass)


def _least(*masses: np.ndarray) -> float:
    """Return the least mass of a cell that has any."""
    return min(float(mass.min(where=mass > 0, initial=np.inf)) for mass in masses)


def _slices(n: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


@contextmanager
def _threads(n: int) -> Iterator[ThreadPoolExecutor]:
    """Give a pool whose threads each take their products alone.

    A product on several threads may sum in another order, so that its bits would depend on ``n``.
    """
    try:
        with ThreadPoolExecutor(n, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(n)  # the last call also holds for threads that begin later
