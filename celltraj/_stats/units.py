"""Draw whole samples, or cells, anew: what a bootstrap of snapshots draws, and from what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

_FEWEST = 3  # samples of a time that intervals can be read from
_SHOWN = 8
_TRIES = 1000


@dataclass(frozen=True, eq=False)
class Drawn:
    """Hold one draw.

    Parameters
    ----------
    rows
        ``(m,)`` numbers of the cells that were drawn, as often as they were.
    copies
        ``(m,)`` how often the unit of a cell was drawn before in this draw: 0 at the first time.
    """

    rows: np.ndarray
    copies: np.ndarray


@dataclass(frozen=True, eq=False)
class Units:
    """Hold what is drawn with replacement, in strata that keep their size.

    Parameters
    ----------
    strata
        Rows of each unit, by stratum.
    times
        ``(n,)`` sampling times.
    n_least
        Units of the time that has the fewest.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj._stats.units import Units
    >>> times = np.repeat([0.0, 1.0], 6)
    >>> donors = Units.of(times, ["a", "a", "b", "b", "c", "c"] * 2)
    >>> [len(stratum) for stratum in donors.strata], donors.n_least
    ([3], 3)
    >>> len(donors.draw(np.random.default_rng(0)).rows)
    12
    """

    strata: tuple[tuple[np.ndarray, ...], ...]
    times: np.ndarray
    n_least: int

    @classmethod
    def of(cls, times: np.ndarray, samples: Sequence[str] | None) -> Units:
        """Return the units of cells: each cell by itself, or the samples.

        Cells, and samples that have one time each, are drawn within their time. Samples that were
        seen at several times are drawn with all their cells: among those of the same times where
        there are three of these at least, else among all.

        Raises
        ------
        ValueError
            A time has fewer than three samples.
        """
        if samples is None:
            parts = [np.flatnonzero(times == t) for t in np.unique(times)]
            strata = tuple(tuple(part[:, None]) for part in parts)
            return cls(strata, times, min(map(len, parts)))
        labels = np.asarray(samples, dtype=object)
        per_time = pd.Series(labels).groupby(times).nunique()
        _check_enough(per_time)
        seen = pd.Series(times).groupby(labels).agg(lambda t: tuple(np.unique(t)))
        sizes = seen.value_counts()
        is_crossed = any(len(pattern) > 1 for pattern in sizes.index)
        if is_crossed and int(sizes.min()) < _FEWEST:
            seen = seen.map(lambda _: ())
        own: dict[tuple[float, ...], list[np.ndarray]] = {}
        for name, pattern in seen.items():
            own.setdefault(pattern, []).append(np.flatnonzero(labels == name))
        return cls(tuple(map(tuple, own.values())), times, int(per_time.min()))

    def draw(self, rng: np.random.Generator) -> Drawn:
        """Return one draw, with cells at every time.

        Where samples of unequal times are drawn among all, one that lacks a time is drawn again.
        """
        n_times = len(np.unique(self.times))
        for _ in range(_TRIES):
            found = self._draw(rng)
            if len(np.unique(self.times[found.rows])) == n_times:
                return found
        raise ValueError(
            f"none of {_TRIES} draws of samples has cells at all {n_times} times: too few samples "
            "were seen at some of them; leave these times out"
        )

    def _draw(self, rng: np.random.Generator) -> Drawn:
        rows, copies = [], []
        for units in self.strata:
            chosen = rng.integers(len(units), size=len(units))
            sizes = [len(units[k]) for k in chosen.tolist()]
            rows += [units[k] for k in chosen.tolist()]
            copies.append(np.repeat(_times_before(chosen), sizes))
        return Drawn(np.concatenate(rows), np.concatenate(copies))


def _times_before(chosen: np.ndarray) -> np.ndarray:
    """Return how often each number stands before its place."""
    order = np.argsort(chosen, kind="stable")
    _, first, counts = np.unique(chosen[order], return_index=True, return_counts=True)
    found = np.empty(len(chosen), dtype=int)
    found[order] = np.arange(len(chosen)) - np.repeat(first, counts)
    return found


def _check_enough(per_time: pd.Series) -> None:
    few = {f"{t:g}": int(n) for t, n in per_time.items() if n < _FEWEST}
    if few:
        shown = dict(list(few.items())[:_SHOWN])
        raise ValueError(
            f"at least {_FEWEST} samples are needed at every time for intervals by sample; found "
            f"at times {shown}. With fewer nothing says how far another sample would lie: leave "
            "these times out, or report the samples one by one"
        )
