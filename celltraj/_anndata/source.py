"""What a result was computed from, so that it is refused once that has changed."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from anndata import AnnData

from celltraj._anndata.read import find_representation
from celltraj._anndata.states import States
from celltraj._anndata.times import read_times

_ANY = 0.0  # the time of all cells where times play no part
_SPAN = 2**32  # of a digest


@dataclass(frozen=True, eq=False)
class Source:
    """Hold digests of the cells that a result was computed from.

    Sorted by time, so that the order of cells plays no part. A state counts in single precision and
    without the signs of its variables: neither a change of dtype nor the arbitrary sign of a
    principal component moves a result.

    Parameters
    ----------
    time_key
        Column of ``obs`` with the times; None where they played no part.
    use_rep
        Representation; None where none was read.
    times, cells
        ``(T,)`` sampling times, and how many cells each has.
    names, states
        ``(n,)`` digests of the names of the cells and of their states, uint32.
    """

    time_key: str | None
    use_rep: str | None
    times: np.ndarray
    cells: np.ndarray
    names: np.ndarray
    states: np.ndarray

    @classmethod
    def of(cls, adata: AnnData, time_key: str | None, use_rep: str | None) -> Source:
        """Return the source that ``adata`` is now."""
        times = _times(adata, time_key)
        order = np.argsort(times, kind="stable")
        unique, counts = np.unique(times, return_counts=True)
        names = _digests((str(name).encode() for name in adata.obs_names), adata.n_obs)
        return cls(time_key, use_rep, unique, counts, names[order], _states(adata, use_rep)[order])

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Source:
        """Return the source that a record holds."""
        arrays = (np.asarray(record[name]) for name in ("times", "cells", "names", "states"))
        return cls(record.get("time_key"), record.get("use_rep"), *arrays)

    def record(self) -> dict[str, Any]:
        """Return what a record keeps; None is left out."""
        return {name: value for name, value in vars(self).items() if value is not None}

    @property
    def of_cells(self) -> np.ndarray:
        """The time of each cell, ``(n,)``, in the order of the digests."""
        return np.repeat(self.times, self.cells)

    def change(self, adata: AnnData, *, whole: bool) -> str | None:
        """Return what of ``adata`` is no more what it was, None where nothing is.

        Parameters
        ----------
        adata
            The cells, or with ``whole=False`` some of them, in any order.
        whole
            Whether all cells of each time must be there, as what ties cells to others asks.
        """
        if self.use_rep not in (None, "X") and self.use_rep not in adata.obsm:
            if whole:
                return f"adata.obsm[{self.use_rep!r}] is gone"
            return self._change(Source.of(adata, self.time_key, None), whole=False)
        return self._change(Source.of(adata, self.time_key, self.use_rep), whole=whole)

    def _change(self, now: Source, *, whole: bool) -> str | None:
        reads_states = now.use_rep is not None
        mine, theirs = (s.states if reads_states else s.names for s in (self, now))
        known = np.isin(self._joined(now, theirs), self._joined(self, mine))
        if not known.all():
            return self._reason(now, ~known)
        return self._gaps_in(now, mine, theirs) if whole else None

    def _joined(self, one: Source, digests: np.ndarray) -> np.ndarray:
        """Return one number for the time and the digest of each cell, ``(n,)``."""
        place = np.searchsorted(self.times, one.times)
        is_known = np.isin(one.times, self.times)
        place = np.where(is_known, place, len(self.times))  # a time of its own, where none is known
        marks: np.ndarray = np.repeat(place, one.cells) * _SPAN + digests
        return marks

    def _reason(self, now: Source, changed: np.ndarray) -> str:
        """Say what makes some cells others than they were."""
        n, n_cells = int(changed.sum()), len(changed)
        column = f"adata.obs[{self.time_key!r}]"
        mine, theirs = (s.states if now.use_rep else s.names for s in (self, now))
        if self.time_key is not None and np.isin(theirs[changed], mine).all():
            return f"the times of {n} of {n_cells} cells in {column} are others"
        if now.use_rep is not None and np.isin(now.names[changed], self.names).all():
            place = "adata.X" if self.use_rep == "X" else f"adata.obsm[{self.use_rep!r}]"
            return f"the states of {n} of {n_cells} cells in {place} are others"
        return f"{n} of {n_cells} cells are not among the {len(self.names)} that it was computed of"

    def _gaps_in(self, now: Source, mine: np.ndarray, theirs: np.ndarray) -> str | None:
        """Say which cells are missing or there twice, at times that are there."""
        last = np.searchsorted(self.times, now.times[-1])
        first = np.searchsorted(self.times, now.times[0])
        if not np.array_equal(self.times[first : last + 1], now.times):
            inner = self.times[first : last + 1]
            return f"all cells of the times {np.setdiff1d(inner, now.times).tolist()} are missing"
        for time in now.times:
            before, after = mine[self.of_cells == time], theirs[now.of_cells == time]
            if not np.array_equal(np.sort(before), np.sort(after)):
                return f"{len(after)} cells stand where {len(before)} were at time {time:g}"
        return None


def _times(adata: AnnData, time_key: str | None) -> np.ndarray:
    return np.full(adata.n_obs, _ANY) if time_key is None else read_times(adata, time_key)


def _states(adata: AnnData, use_rep: str | None) -> np.ndarray:
    if use_rep is None:
        return np.zeros(adata.n_obs, dtype=np.uint32)
    found = np.empty(adata.n_obs, dtype=np.uint32)
    for rows, block in States.of(adata, find_representation(adata, use_rep)).blocks():
        # by way of double precision, so that whole numbers are rounded once more as they ever were
        states = np.abs(block.astype(np.float64).astype(np.float32))
        found[rows] = _digests(np.ascontiguousarray(states), len(states))
    return found


def _digests(values: Iterable[Any], n: int) -> np.ndarray:
    return np.fromiter(map(zlib.crc32, values), dtype=np.uint32, count=n)
