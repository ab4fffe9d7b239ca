"""Whether cells remember where they came from, by how their clones spread over times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from celltraj._stats.interval import resampled_counts

_DRAWS = 1000
LEAST_CLONES = 10


@dataclass(frozen=True, eq=False)
class ClonalPlaces:
    """Hold means of the cells of clones at each time.

    Parameters
    ----------
    times
        ``(T,)`` times, at least three.
    means
        ``(n_clones, T, d)`` mean of the cells of a clone; NaN where none was seen.
    counts
        ``(n_clones, T)`` cells of a clone.
    squares
        ``(n_clones, T)`` sum of the squared distances of its cells from their mean, in [x]^2.
    is_ancestor
        Whether a cell is the ancestor itself of those of its clone at later times.
    """

    times: tuple[float, ...]
    means: np.ndarray
    counts: np.ndarray
    squares: np.ndarray
    is_ancestor: bool

    @classmethod
    def of(
        cls,
        x: np.ndarray,
        times: np.ndarray,
        clones: np.ndarray,
        *,
        is_ancestor: bool = False,
    ) -> ClonalPlaces:
        """Return those of cells ``x (n, d)`` at ``times (n,)`` with ``clones (n,)`` from 0."""
        unique, column = np.unique(times, return_inverse=True)
        shape = (int(clones.max()) + 1, len(unique))
        place = clones * len(unique) + column
        counts = np.bincount(place, minlength=shape[0] * shape[1])
        sums = np.zeros((len(counts), x.shape[1]))
        np.add.at(sums, place, x)
        with np.errstate(invalid="ignore"):
            means = sums / counts[:, None]
        apart = ((x - means[place]) ** 2).sum(1)
        squares = np.bincount(place, weights=apart, minlength=len(counts))
        found = means.reshape(*shape, -1), counts.reshape(shape), squares.reshape(shape)
        return cls(tuple(unique.tolist()), *found, is_ancestor)


@dataclass(frozen=True, eq=False)
class ClonalMemory:
    """Hold the Hurst index of clones.

    Parameters
    ----------
    hurst, lower, upper
        Index and the ends of its interval.
    n_clones
        Clones seen at three times or more.
    table
        One row for each pair of times: t0, t1, variance of what clones move by between them in
        [x]^2, fitted, n_clones.
    """

    hurst: float
    lower: float
    upper: float
    n_clones: int
    table: pd.DataFrame


def clonal_memory(
    places: ClonalPlaces, *, confidence: float, rng: np.random.Generator
) -> ClonalMemory:
    r"""Return the Hurst index of the ways of clones, with an interval by drawing clones anew.

    ``V(t, s) = E|D - E D|^2 = a |t - s|^(2 H)`` with ``D`` what a clone moves by from ``s`` to
    ``t``, fitted by least squares of logarithms over all pairs of times, weighted by their clones:
    fractional Brownian motion, whose moves over neighbouring gaps have the covariance ``(V(t, r) -
    V(t, s) - V(s, r)) / 2``. Sisters scatter within a clone, which adds the variance of the means
    of its cells to ``V``; it is measured at each time and taken off.

    Parameters
    ----------
    places
        Cells of clones.
    confidence
        Level of the interval.
    rng
        Source of the draws.

    Raises
    ------
    ValueError
        Fewer than three times, or than ten clones seen at three; sisters at some time that cannot
        be told apart for want of two of a clone; sisters that scatter as far as clones move.

    References
    ----------
    Mandelbrot & Van Ness, *Fractional Brownian motions, fractional noises and applications* (1968).
    """
    _check(places)
    is_long = (places.counts > 0).sum(1) >= 3
    kept = ClonalPlaces(
        places.times,
        places.means[is_long],
        places.counts[is_long],
        places.squares[is_long],
        places.is_ancestor,
    )
    n = int(is_long.sum())
    pairs = list(combinations(range(len(places.times)), 2))
    spans = np.array([places.times[b] - places.times[a] for a, b in pairs])
    shared = np.array([(kept.counts[:, [a, b]] > 0).all(1).sum() for a, b in pairs])
    used = shared > 1
    whole = _variances(kept, pairs, np.ones((1, n)))[0]
    if not (whole[used] > 0).all():
        raise ValueError(
            "sisters scatter as far within their clones as clones move from time to time, so that "
            "nothing is left to tell memory by"
        )
    slope, level = _slope(whole[None], spans, shared, used)
    drawn = _variances(kept, pairs, resampled_counts(n, _DRAWS, rng=rng).astype(float))
    slopes = _slope(drawn[(drawn[:, used] > 0).all(1)], spans, shared, used)[0]
    ends = np.quantile(slopes / 2, [(1 - confidence) / 2, (1 + confidence) / 2])
    table = pd.DataFrame(
        {
            "t0": [places.times[a] for a, _ in pairs],
            "t1": [places.times[b] for _, b in pairs],
            "variance": whole,
            "fitted": np.exp(level[0] + slope[0] * np.log(spans)),
            "n_clones": shared,
        }
    )[used]
    hurst = float(slope[0] / 2)
    lower, upper = map(float, ends)
    return ClonalMemory(hurst, lower, upper, n, table.reset_index(drop=True).rename(index=str))


def _check(places: ClonalPlaces) -> None:
    if len(places.times) < 3:
        raise ValueError(
            f"memory is told by clones that were seen at three times or more; found the times "
            f"{list(places.times)}. One gap says how far clones go, not whether they go on"
        )
    n = int(((places.counts > 0).sum(1) >= 3).sum())
    if n < LEAST_CLONES:
        raise ValueError(
            f"memory is told by {LEAST_CLONES} clones or more that were seen at three times or "
            f"more; found {n}"
        )
    pairs = (places.counts > 1).sum(0)
    if not places.is_ancestor and (pairs == 0).any():
        lone = [t for t, k in zip(places.times, pairs, strict=True) if k == 0]
        raise ValueError(
            f"no clone has two cells at times {lone}, so that nothing tells how far sisters "
            "scatter; is_ancestor=True says that cells are the ancestors of the later ones"
        )


def _variances(
    places: ClonalPlaces, pairs: Sequence[tuple[int, int]], draws: np.ndarray
) -> np.ndarray:
    """Return the variance of moves for draws ``(b, n_clones)`` of the clones, ``(b, pairs)``."""
    freedom = draws @ np.maximum(places.counts - 1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        scatter = np.where(freedom > 0, draws @ places.squares / freedom, 0.0)
        inverse = np.where(places.counts > 0, 1 / places.counts, 0.0)
    if places.is_ancestor:
        scatter = np.zeros_like(scatter)
    found = np.full((len(draws), len(pairs)), np.nan)
    for k, (a, b) in enumerate(pairs):
        both = (places.counts[:, [a, b]] > 0).all(1)
        move, weight = (places.means[both, b] - places.means[both, a]), draws[:, both]
        n = weight.sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = weight @ move / n[:, None]
            square = weight @ (move**2).sum(1) / n - (mean**2).sum(1)
            noise = sum(scatter[:, t] * (weight @ inverse[both, t]) / n for t in (a, b))
            found[:, k] = square * n / (n - 1) - noise
    return found


def _slope(
    variances: np.ndarray, spans: np.ndarray, weights: np.ndarray, used: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return slope and level of log variances ``(b, pairs)`` over log spans."""
    share = weights[used] / weights[used].sum()
    x, y = np.log(spans[used]), np.log(variances[:, used])
    middle = share @ x
    slope = (y * share) @ (x - middle) / (share @ (x - middle) ** 2)
    return slope, y @ share - slope * middle
