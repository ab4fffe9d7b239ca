"""Weighted point clouds observed at several times."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from celltraj._arrays import ArrayLike, ConvertedAll, as_floats
from celltraj._card import card

# logarithm of how many times the descendants of another cell one may have after a gap: a body has
# e^31 cells, and rates of division and death differ by 3 a day at most
_MOST_GROWTH = 50.0
_ROUNDING = 1e-12  # of a sum of weights
_SHORTEST = 1e-4  # of the longest gap, below which one noise and one law cannot serve both


def course_facts(snapshots: Any) -> dict[str, object]:
    """Return what is to be known of snapshots."""
    return {
        "times": snapshots.times,
        "cells": cells_of(snapshots.x),
        "variables": snapshots.dim,
        "population": sizes_of(snapshots.sizes),
        "expected growth": "given" if snapshots.growth else None,
    }


def cells_of(parts: Sequence[Any]) -> str:
    """Return how many cells there are, time by time and together."""
    counts = [len(part) for part in parts]
    each = f"{counts[0]:,} at each time" if len(set(counts)) == 1 else _span(counts, "at a time")
    return f"{each}, {sum(counts):,} in all"


def sizes_of(sizes: Sequence[float]) -> str | None:
    """Return how a population grows; None where it keeps its size, or nothing is known of it."""
    if len(set(sizes)) <= 1:
        return None
    return f"{sizes[0]:.4g} at the first time, {sizes[-1]:.4g} at the last"


def _span(counts: Sequence[int], what: str) -> str:
    return f"{min(counts):,} to {max(counts):,} {what}"


@card(course_facts)
@dataclass(frozen=True)
class Snapshots:
    """Hold T weighted point clouds in time, validated once.

    Parameters
    ----------
    times
        ``(T,)`` strictly increasing times, in the user's own unit.
    x
        ``T`` tensors or arrays ``(n_k, d)``; stored as float64.
    weights
        ``T`` tensors ``(n_k,)``, non-negative, normalised here to sum to one; uniform when omitted.
    growth
        ``T`` tensors ``(n_k,)`` of the net growth that is expected of each cell, in 1/[t]; none
        expected when omitted.
    sizes
        ``(T,)`` sizes of the population in any unit, relative to the first here; all equal when
        omitted.

    Raises
    ------
    TypeError
        Cells, weights or growth that are no real numbers.
    ValueError
        Fewer than two times, times not increasing, unequal dimensions, an empty or non-finite
        cloud, negative weights or weights that sum to zero, growth that is not finite or so unequal
        that it must be per another unit of time, sizes that are not positive.

    Examples
    --------
    >>> import torch
    >>> from celltraj.snapshots import Snapshots
    >>> Snapshots((0.0, 2.0), (torch.zeros(3, 2), torch.ones(4, 2))).gaps
    (2.0,)
    """

    times: tuple[float, ...]
    x: ConvertedAll
    weights: ConvertedAll = ()
    growth: ConvertedAll = ()
    sizes: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        times = tuple(float(t) for t in self.times)
        x = tuple(as_floats(cloud, "a point cloud", is_finite=False) for cloud in self.x)
        _check_clouds(times, x)
        given = self.weights or tuple(torch.ones(len(cloud)) for cloud in x)
        weights = tuple(_normalised(t, w, len(c)) for t, w, c in zip(times, given, x, strict=True))
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "growth", _checked_growth(times, self.growth, x, weights))
        object.__setattr__(self, "sizes", _checked_sizes(times, self.sizes))

    @property
    def dim(self) -> int:
        """Number of state variables d."""
        return self.x[0].shape[1]

    @property
    def n_cells(self) -> int:
        """Number of cells of all snapshots together."""
        return sum(len(x) for x in self.x)

    @property
    def gaps(self) -> tuple[float, ...]:
        """Lengths of the T - 1 intervals, in the user's unit."""
        return tuple(b - a for a, b in zip(self.times[:-1], self.times[1:], strict=True))

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Iterate over neighbouring snapshot indices ``(k, k + 1)``."""
        return zip(range(len(self.times) - 1), range(1, len(self.times)), strict=True)

    def pair(self, k: int) -> Snapshots:
        """Return the two snapshots of gap ``k`` alone: all that its coupling depends on."""
        two = slice(k, k + 2)
        parts = (self.x[two], self.weights[two], self.growth[two], self.sizes[two])
        return Snapshots(self.times[two], *parts)

    def gap_of(self, time: float) -> int:
        """Return the index of the gap that holds ``time`` (right-continuous, clamped at the ends).

        A process extends beyond the first and the last snapshot by its first and last gap.
        """
        k = sum(t <= time for t in self.times) - 1
        return min(max(k, 0), len(self.times) - 2)

    def without(self, times: Sequence[float]) -> Snapshots:
        """Return the snapshots that remain when ``times`` are left out."""
        keep = [k for k, t in enumerate(self.times) if t not in set(times)]
        return Snapshots(
            tuple(self.times[k] for k in keep),
            tuple(self.x[k] for k in keep),
            tuple(self.weights[k] for k in keep),
            tuple(self.growth[k] for k in keep) if self.growth else (),
            tuple(self.sizes[k] for k in keep),
        )

    def thinned(self, n_cells: int, *, generator: torch.Generator) -> Snapshots:
        """Return the snapshots with at most ``n_cells`` cells of each, drawn at random."""
        rows = [torch.randperm(len(x), generator=generator)[:n_cells].sort().values for x in self.x]

        def taken(parts: Sequence[Tensor]) -> tuple[Tensor, ...]:
            return tuple(part[keep] for part, keep in zip(parts, rows, strict=bool(parts)))

        return replace(
            self, x=taken(self.x), weights=taken(self.weights), growth=taken(self.growth)
        )

    def at_most(self, n_cells: int | None, *, seed: int) -> Snapshots:
        """Return the snapshots with at most ``n_cells`` cells of each; themselves if none has more.

        Those that are taken depend on ``seed`` alone. None takes all.
        """
        if n_cells is None or max(map(len, self.x)) <= n_cells:
            return self
        return self.thinned(n_cells, generator=torch.Generator().manual_seed(seed))

    def grown_by(self, rates: Sequence[Tensor]) -> Snapshots:
        """Return the snapshots with rates of growth on top of those that are expected already."""
        first = self.growth or tuple(torch.zeros(len(x), dtype=torch.float64) for x in self.x)
        return replace(self, growth=tuple(g + new for g, new in zip(first, rates, strict=True)))

    def check_gaps(self) -> None:
        """Raise where one gap is so short beside another that no law of motion serves both.

        Raises
        ------
        ValueError
            A gap is shorter than a ten-thousandth of the longest.
        """
        shortest, longest = min(self.gaps), max(self.gaps)
        if shortest >= _SHORTEST * longest:
            return
        k = self.gaps.index(shortest)
        raise ValueError(
            f"times {self.times[k]:g} and {self.times[k + 1]:g} are {shortest:g} apart, and other "
            f"neighbours up to {longest:g}: over so short a gap all that cells scatter would count "
            "as motion. Are all times of one unit? ct.pp.check_times reads units from labels; "
            "snapshots of one time are merged by giving their cells the same time"
        )

    def expected(self, k: int) -> Tensor:
        """Return what share of the descendants over gap ``k`` each cell before it is to send.

        ``a_i`` proportional to ``w_i exp(growth_i gap)``; the weights where no growth is expected.
        """
        if not self.growth:
            return self.weights[k]
        # weights of zero stay zero: log 0 is minus infinity
        return torch.softmax(self.weights[k].log() + self.growth[k] * self.gaps[k], 0)


def _check_clouds(times: tuple[float, ...], x: tuple[Tensor, ...]) -> None:
    if len(times) < 2:
        raise ValueError(f"at least two time points are needed to infer dynamics; found {times}")
    if len(times) != len(x):
        raise ValueError(f"{len(times)} times but {len(x)} point clouds")
    if any(not (b > a) for a, b in itertools.pairwise(times)):
        raise ValueError(f"times must be finite and strictly increasing; found {times}")
    for t, cloud in zip(times, x, strict=True):
        if cloud.ndim != 2 or len(cloud) == 0 or cloud.shape[1] != x[0].shape[1]:
            raise ValueError(
                f"the cells at time {t:g} have shape {tuple(cloud.shape)}; "
                f"expected (n > 0, {x[0].shape[-1]})"
            )
        if not torch.isfinite(cloud).all():
            n_bad = int((~torch.isfinite(cloud)).any(1).sum())
            raise ValueError(f"{n_bad} cells at time {t:g} hold NaN or infinite values")


def _normalised(time: float, weights: ArrayLike, n: int) -> Tensor:
    w = as_floats(weights, f"weights at time {time:g}", is_finite=False)
    if w.shape != (n,):
        raise ValueError(f"weights at time {time:g} have shape {tuple(w.shape)}; expected ({n},)")
    if not torch.isfinite(w).all() or (w < 0).any() or w.sum() <= 0:
        raise ValueError(
            f"weights at time {time:g} must be finite, non-negative and not all zero; "
            f"found minimum {float(w.min()):g}, sum {float(w.sum()):g}"
        )
    total = w.sum()
    # what is normalised already stays as it is to the last bit, in a part of the snapshots as well
    return w if abs(float(total) - 1) < _ROUNDING else w / total


def _checked_growth(
    times: tuple[float, ...],
    growth: Sequence[ArrayLike],
    x: tuple[Tensor, ...],
    weights: tuple[Tensor, ...],
) -> tuple[Tensor, ...]:
    rates = tuple(as_floats(g, "growth", is_finite=False) for g in growth)
    if not rates:
        return ()
    if len(rates) != len(times):
        raise ValueError(f"{len(times)} times but growth of {len(rates)}")
    for t, rate, cloud in zip(times, rates, x, strict=True):
        if rate.shape != (len(cloud),) or not torch.isfinite(rate).all():
            raise ValueError(
                f"growth at time {t:g} has shape {tuple(rate.shape)}; expected {len(cloud)} finite "
                "rates"
            )
    for k, (start, stop) in enumerate(itertools.pairwise(times)):
        there = rates[k][weights[k] > 0]
        _check_spread(float(there.max() - there.min()), start, stop)
    return rates


def _check_spread(spread: float, start: float, stop: float) -> None:
    power = spread * (stop - start)
    if power > _MOST_GROWTH:
        raise ValueError(
            f"growth at time {start:g} differs by {spread:.3g} per unit of time between cells: by "
            f"time {stop:g}, {stop - start:g} units later, one has e^{power:.0f} times the "
            f"descendants of another, and e^{_MOST_GROWTH:g} is more than any tissue has cells. "
            "The rates are probably per another unit of time: ct.pp.score_growth(adata, "
            "days_per_unit=...) computes them in yours (1/24 for hours, 1/1440 for minutes, "
            "1/86400 for seconds); multiply rates of your own by that. If the unit is right, scale "
            f"them by {_MOST_GROWTH / power:.2g}"
        )


def _checked_sizes(times: tuple[float, ...], sizes: tuple[float, ...]) -> tuple[float, ...]:
    values = tuple(float(size) for size in sizes) or (1.0,) * len(times)
    if len(values) != len(times) or not all(0 < size < float("inf") for size in values):
        raise ValueError(
            f"sizes of the population must be a positive number for each of the {len(times)} "
            f"times; found {values}"
        )
    return tuple(size / values[0] for size in values)
