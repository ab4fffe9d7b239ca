"""Cells of a time course whose states are read when they are needed, and no more of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from celltraj._anndata.copies import row_hashes
from celltraj._anndata.states import States
from celltraj._errors import DataWarning, warn
from celltraj.models import Bridge, FlowMatching, Representation
from celltraj.snapshots import Snapshots

logger = logging.getLogger("celltraj")

_FEW_CELLS = 10


@dataclass(frozen=True, eq=False)
class Observed:
    """Hold the cells of a time course, their states where they lie.

    Parameters
    ----------
    states
        States of all cells.
    times
        ``(n,)`` sampling times, in [t].
    rows
        Snapshots whose one variable is the row of a cell, with the weights, the growth and the
        sizes of the population.
    """

    states: States
    times: np.ndarray
    rows: Snapshots

    def snapshots(self) -> Snapshots:
        """Return all cells, with a warning of what in them deserves a look."""
        found = self._read(self.rows)
        self._warn(x.numpy() for x in found.x)
        return found

    def drawn(self, most: int | None, seed: int) -> Snapshots:
        """Return at most so many cells of each snapshot, and say where that is not all of them."""
        few = self.rows.at_most(most, seed=seed)
        if few is not self.rows:
            logger.info(
                "fitted to %s cells of each snapshot at most, drawn at random, %s of %s; max_cells "
                "of options= takes more",
                f"{most:,}",
                f"{few.n_cells:,}",
                f"{self.rows.n_cells:,}",
            )
        return self._read(few)

    def survey(self, variables: Sequence[str]) -> Representation:
        """Return what all cells tell of their representation, and warn of what deserves a look."""
        found: dict[float, _Moments] = {}
        self._warn(self._measured(found))
        centres, scales = (
            tuple(tuple(part.tolist()) for part in parts)
            for parts in zip(*(found[t].parts for t in self.rows.times), strict=True)
        )
        return Representation(
            self.states.name, tuple(map(str, variables)), self.rows.times, centres, scales
        )

    def velocity(self, model: Bridge | FlowMatching) -> np.ndarray:
        """Return the mean velocity ``(n, d)`` of every cell at its time, float32, in [x]/[t]."""
        velocity = np.empty((len(self.times), self.states.dim), dtype=np.float32)
        for rows, t, here, x in self._by_time():
            velocity[rows][here] = model.velocity(t, x).numpy()
        return velocity

    def _by_time(self) -> Iterator[tuple[slice, float, np.ndarray, Tensor]]:
        """Yield the cells of one time in one block after the other, float64."""
        for rows, block in self.states.blocks():
            times = self.times[rows]
            for t in np.unique(times):
                here = times == t
                yield rows, float(t), here, torch.from_numpy(block[here].astype(np.float64))

    def _read(self, chosen: Snapshots) -> Snapshots:
        rows = [one[:, 0].long().numpy() for one in chosen.x]
        return replace(chosen, x=tuple(map(torch.from_numpy, self.states.taken(rows))))

    def _measured(self, found: dict[float, _Moments]) -> Iterator[np.ndarray]:
        """Yield cells, and add to the moments of each time on the way."""
        for _, t, _, x in self._by_time():
            own = _Moments.of(x)
            found[t] = found[t].joined(own) if t in found else own
            yield x.numpy()

    def _warn(self, blocks: Iterable[np.ndarray]) -> None:
        for message in _doubts(self.rows, self.states.name, blocks):
            warn(message, DataWarning)


@dataclass(frozen=True)
class _Moments:
    """Number, mean and variance ``(d,)`` of cells, which those of parts of them add up to."""

    n: int
    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, x: Tensor) -> _Moments:
        return cls(len(x), x.mean(0), x.var(0, correction=0))

    def joined(self, other: _Moments) -> _Moments:
        n = self.n + other.n
        a, b, apart = self.n / n, other.n / n, other.mean - self.mean
        variance = a * self.variance + b * other.variance + a * b * apart.square()
        return _Moments(n, self.mean + b * apart, variance)

    @property
    def parts(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation."""
        return self.mean, self.variance.sqrt()


def _doubts(rows: Snapshots, name: str, blocks: Iterable[np.ndarray]) -> list[str]:
    """Return what in the data can be fitted but deserves a look."""
    constant, n_copies = _constants_and_copies(blocks)
    found = []
    clouds = zip(rows.times, rows.x, strict=True)
    few = {f"{t:g}": len(x) for t, x in clouds if len(x) < _FEW_CELLS}
    if few:
        found.append(
            f"fewer than {_FEW_CELLS} cells at times {few}: bridges through them are mostly "
            "noise; merge or drop these times"
        )
    if constant:
        found.append(
            f"variables {constant} of {name} are constant over all cells; the bridge only adds "
            "noise to them, drop them"
        )
    if n_copies:
        found.append(
            f"{n_copies} cells are exact copies of others in {name}; if that is not meant, "
            "drop duplicates"
        )
    return found


def _constants_and_copies(blocks: Iterable[np.ndarray]) -> tuple[list[int], int]:
    """Return which variables are the same in all cells, and how many cells are there already."""
    first: np.ndarray | None = None
    is_constant, marks = np.ones(0, dtype=bool), []
    for x in blocks:
        if first is None:
            first, is_constant = x[0].copy(), np.ones(x.shape[1], dtype=bool)
        is_constant &= (x == first).all(0)
        marks.append(row_hashes(x))
    every = np.concatenate(marks)
    return np.flatnonzero(is_constant).tolist(), len(every) - len(np.unique(every))
