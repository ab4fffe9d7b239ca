r"""A rate of growth that all times share, learned from what couplings with soft marginals send.

Snapshots alone do not tell cells that move from cells that divide. Let each earlier cell send more
or less than expected, for a price, and a gap says by how much it pays to do so, ``r_i``: for cells
that divide, and also for the foremost cells of a cloud that moves, which are nearest to where it
goes. A rate that belongs to a state, the same at all times,

    g(x) = g_0(x) + c log(sum r_j a_j / sum a_j) / Delta,   sums over the cells nearest to x,

is what gaps can agree on. How many cells a mean is over, and the share ``c`` of it that counts, are
those under which the other gaps predict best what a gap's cells send,

    sum_i (r_i a_i) log(a_i(g) / a_i),   a_i(g) ~ a_i exp((g_i - g_0) Delta),

with ``c = 0``, no growth, where they predict nothing. The couplings of a bridge then hold to the
descendants that ``g`` expects. With two snapshots there is no other gap to ask: ``c = 1``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from tqdm.auto import tqdm

from celltraj._checks import checked_fields
from celltraj.models.coupling import couple_with_potentials
from celltraj.models.growth.budget import within_budget
from celltraj.models.references.family import Reference
from celltraj.ot import Unbalanced, solve
from celltraj.snapshots import Snapshots

_LEAST = math.exp(-5)  # of what is expected: as in the masses of paths
_COUNTED = (0.25, 0.5, 0.75, 1.0)  # shares c that are tried besides none


@checked_fields
@dataclass(frozen=True)
class LearnedGrowth:
    """Ask for a rate of growth that is learned from the snapshots.

    Parameters
    ----------
    tau_a
        How firmly the couplings that it is learned from hold to the expected descendants of the
        earlier cells, in (0, 1]: less firm where cells divide and die rather than move.
    tau_b
        How firmly they hold to the later cells. These were observed and came from somewhere; below
        1 cells that move far are taken to die, because to leave their descendants out is cheaper
        than to move them.
    shares
        Cells that a rate is a mean over, as a share of all cells with a later snapshot: those among
        which to choose, the first where there is one gap.
    fewest
        The least number of these.
    n_rounds
        How often couplings and rates are computed in turn.
    least_effective
        Least share of trajectories that stay effective from the first to the last snapshot, see
        :mod:`celltraj.models.growth.budget`: growth that would leave fewer is taken to a part. 0
        (default) for no bound; ``growth="auto"`` asks for 0.55.
    max_cells
        Cells of each snapshot that it is learned from at most; every cell then has the rate of
        those nearest to it.

    Raises
    ------
    ValueError
        A number is out of range.

    Examples
    --------
    >>> from celltraj.models import LearnedGrowth
    >>> LearnedGrowth(shares=(0.1,)).n_rounds
    3
    """

    tau_a: float = 0.97
    tau_b: float = 1.0
    shares: tuple[float, ...] = (0.03, 0.1, 0.3)
    fewest: int = 30
    n_rounds: int = 3
    least_effective: float = 0.0
    max_cells: int = 1000

    def __post_init__(self) -> None:
        values = (self.tau_a, self.tau_b, *self.shares)
        if not self.shares or not all(0 < value <= 1 for value in values):
            raise ValueError(
                "tau_a, tau_b and one or more shares must lie in (0, 1]; found "
                f"{self.tau_a}, {self.tau_b} and {self.shares}"
            )
        if min(self.fewest, self.n_rounds, self.max_cells) < 1:
            raise ValueError(
                "fewest, n_rounds and max_cells must be at least 1; found "
                f"{self.fewest}, {self.n_rounds} and {self.max_cells}"
            )
        if not 0 <= self.least_effective < 1:
            raise ValueError(f"least_effective must lie in [0, 1); found {self.least_effective}")


def learn_growth(
    snapshots: Snapshots, reference: Reference, options: LearnedGrowth, *, progress: bool = False
) -> Snapshots:
    """Return the snapshots with the growth that they tell of, on top of what they expect.

    Parameters
    ----------
    snapshots
        Observed clouds; their growth, if any, is where the learning starts.
    reference
        Law of motion, sets cost and epsilon of every gap.
    options
        How it is learned.
    progress
        Whether to show a progress bar over the rounds.

    Examples
    --------
    >>> import torch
    >>> from celltraj.snapshots import Snapshots
    >>> from celltraj.models import Brownian, LearnedGrowth, learn_growth
    >>> one, other = torch.zeros(50, 1), torch.full((50, 1), 9.0)
    >>> doubled = Snapshots((0.0, 1.0), (torch.cat([one, other]), torch.cat([one, one, other])))
    >>> found = learn_growth(doubled, Brownian(0.5), LearnedGrowth())
    >>> ratio = (found.growth[0][0] - found.growth[0][-1]).exp()
    >>> round(float(ratio), 2)
    2.0
    """
    return learned(snapshots, reference, options, progress=progress)[0]


def learned(
    snapshots: Snapshots, reference: Reference, options: LearnedGrowth, *, progress: bool = False
) -> tuple[Snapshots, str]:
    """Return the snapshots as :func:`learn_growth` does, and in words what was found."""
    few = snapshots.at_most(options.max_cells, seed=0)
    # what is expected without learning: rates of zero say the same as none
    start = replace(few, growth=few.growth or tuple(torch.zeros(len(x)) for x in few.x))
    found, solver = start, Unbalanced(options.tau_a, options.tau_b)
    expected = [start.expected(k).numpy() for k, _ in start.pairs()]
    chosen: tuple[int, float] | None = None
    rounds = tqdm(range(options.n_rounds), desc="growth", unit="round", disable=not progress)
    for _ in rounds:
        rows = [
            couple_with_potentials(found, reference, k, solver)[1].row_mass.numpy()
            for k, _ in found.pairs()
        ]
        parts = enumerate(zip(expected, rows, strict=True))
        gaps = [_Gap.of(few, k, a, row) for k, (a, row) in parts]
        n_near, counted = chosen = _choose(gaps, options) if chosen is None else chosen
        if counted == 0:
            return snapshots, "none: gaps foretell no growth in each other"
        found = _grown(start, gaps, n_near, counted)
    least = options.least_effective
    share = within_budget(start, found, reference, solve, least=least) if least > 0 else 1.0
    return _grown(snapshots, gaps, n_near, share * counted), _words(len(gaps), share, least)


def _words(n_gaps: int, share: float, least: float) -> str:
    told = "that gaps foretell in each other" if n_gaps > 1 else "of the only gap, unchecked"
    if share == 1:
        return f"a rate {told}"
    return f"{share:.0%} of a rate {told}: with more, less than {least:.0%} of trajectories count"


def _grown(start: Snapshots, gaps: Sequence[_Gap], n_near: int, counted: float) -> Snapshots:
    """Return the snapshots with a share of the rates that the gaps tell, on top of their own."""
    learned = [torch.from_numpy(counted * _rates(gaps, x.numpy(), n_near)) for x in start.x]
    return start.grown_by(learned)


@dataclass(frozen=True)
class _Gap:
    """What the cells before a gap were expected to send, and sent; both of mean 1, times weight."""

    x: np.ndarray
    length: float
    expected: np.ndarray
    sent: np.ndarray

    @classmethod
    def of(cls, snapshots: Snapshots, k: int, expected: np.ndarray, row: np.ndarray) -> _Gap:
        # cells without weight are none; every gap counts by its number of cells
        there = expected > 0
        x, n = snapshots.x[k].numpy()[there], int(there.sum())
        return cls(x, snapshots.gaps[k], n * expected[there], n * row[there] / row.sum())

    def gain(self, rates: np.ndarray) -> float:
        """Return how much likelier ``rates`` make what was sent, in nats per cell."""
        predicted = self.expected * np.exp(rates * self.length)
        ratio = np.log(predicted * (len(self.x) / predicted.sum()) / self.expected)
        return float(self.sent @ ratio) / len(self.x)


def _rates(gaps: Sequence[_Gap], x: np.ndarray, n_near: int) -> np.ndarray:
    """Return the rate ``(n,)``, in 1/[t], at states ``x (n, d)`` from the cells nearest to each."""
    return _mean_rates(gaps, _nearest(gaps, x, n_near))


def _nearest(gaps: Sequence[_Gap], x: np.ndarray, n_near: int) -> np.ndarray:
    """Return which cells of all gaps are nearest to states, ``(n, n_near)``, the nearest first."""
    cells = np.concatenate([gap.x for gap in gaps])
    tree = NearestNeighbors(n_neighbors=min(n_near, len(cells))).fit(cells)
    near: np.ndarray = tree.kneighbors(x)[1]
    return near


def _mean_rates(gaps: Sequence[_Gap], near: np.ndarray) -> np.ndarray:
    """Return the rate ``(n,)`` that cells of all gaps have in the mean, for each row of them."""
    expected = np.concatenate([gap.expected for gap in gaps])
    duration = np.concatenate([gap.expected * gap.length for gap in gaps])
    sent = np.concatenate([gap.sent for gap in gaps])
    weight = expected[near].sum(1)
    ratio = np.log(np.maximum(sent[near].sum(1), _LEAST * weight) / weight)
    rate: np.ndarray = ratio * weight / duration[near].sum(1)
    return rate


def _choose(gaps: Sequence[_Gap], options: LearnedGrowth) -> tuple[int, float]:
    """Return of how many cells to take means, and which share of them counts."""
    n_cells = sum(len(gap.x) for gap in gaps)
    sizes = [max(options.fewest, math.ceil(share * n_cells)) for share in options.shares]
    if len(gaps) == 1:
        return sizes[0], 1.0
    by_gap = [_gains(one, [gap for gap in gaps if gap is not one], sizes) for one in gaps]
    gains = np.sum(by_gap, axis=0)
    k, c = np.unravel_index(np.argmax(gains), (len(sizes), len(_COUNTED)))
    return (sizes[k], _COUNTED[c]) if gains[k, c] > 0 else (sizes[0], 0.0)


def _gains(one: _Gap, rest: Sequence[_Gap], sizes: Sequence[int]) -> np.ndarray:
    """Return what a gap gains by rates of the others, by size of their means and share of them."""
    near = _nearest(rest, one.x, max(sizes))
    told = [_mean_rates(rest, near[:, :size]) for size in sizes]
    return np.array([[one.gain(counted * rates) for counted in _COUNTED] for rates in told])
