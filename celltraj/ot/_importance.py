r"""Sums over a plan in linear time: each stratum of cells draws those that matter to it.

A cell is reached by few others out of hundreds of thousands, and which ones it is nearly shares
with its neighbours. So the cells ``t`` of one stratum look at the same ``S`` cells of the other
side, of which a cell in stratum ``s`` is drawn with the probability

    pi_s = min(1, c W_ts / n_s),    W_ts = .9 M_ts n_s / sum_r M_tr n_r + .1 n_s / n,

``M_ts`` the mean entry of the plan between a dozen cells of either stratum, ``n_s`` the cells of
the stratum, and count ``1 / pi_s`` times. The tenth that is spread evenly bounds these weights.

Owen, *Monte Carlo theory, methods and examples* (2013), chapters 8 and 9, on strata and defensive
importance sampling. Its use in Sinkhorn's iteration is our own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from celltraj._kernels import add_exponentials, exp_in_place
from celltraj._parallel import mapped, n_processes
from celltraj.ot._strata import Strata, inclusions

_PILOTS = 12  # cells of each stratum that tell what matters to another
_EVEN = 0.1  # share of the draws that is spread evenly
_TILE = 256  # targets at once
_WORTH = 2e9  # entries of a pass from which on it is worth sending cells to other processes
_LEAST = 1e-30  # of a sum, below which entries are lost
_SEEN = 2048  # sources at once where only sums are asked: such a tile stays in the cache


@dataclass(frozen=True)
class Side:
    """Hold the cells of one side in the order of their strata.

    Parameters
    ----------
    strata
        Which cells belong together.
    cells
        ``(n,)`` their places in the cloud; those without weight are left out.
    features
        ``(n, p)`` factors of ``-C / epsilon``, float32.
    offset
        ``(n,)`` what each cell adds to ``-C / epsilon``.
    log_weight
        ``(n,)`` logarithm of the mass that is asked of each where its potential is zero.
    relaxed
        ``epsilon / rho``, by which a potential lowers what is asked; 0 for a fixed marginal.
    """

    strata: Strata
    cells: Tensor
    features: Tensor
    offset: Tensor
    log_weight: Tensor
    relaxed: float

    @classmethod
    def of(
        cls,
        points: Tensor,
        cells: Tensor,
        terms: tuple[Tensor, Tensor, Tensor],
        relaxed: float,
        rng: np.random.Generator,
    ) -> Side:
        """Return the side of ``cells``, with features, offset and log weight of the cloud."""
        strata = Strata.of(points[cells], rng)
        order = cells[torch.from_numpy(strata.order)]
        features, offset, log_weight = (part[order] for part in terms)
        return cls(strata, order, features.float(), offset, log_weight, relaxed)

    def spread(self, n: int) -> tuple[Tensor, Tensor]:
        """Return places of about ``n`` cells, evenly through the strata, and for how many each is.

        The cells of a stratum together stand for its mass.
        """
        n_cells, weight = len(self.cells), self.log_weight.exp()
        places = torch.linspace(0, n_cells - 1, min(n, n_cells), dtype=torch.float64).round().long()
        starts = torch.from_numpy(self.strata.bounds[:-1])
        # a stratum too small to be met by the grid gives its first cell
        places = torch.cat([places, starts]).unique()
        stratum = torch.searchsorted(starts, places, right=True) - 1
        drawn = torch.zeros(len(starts), dtype=torch.float64).index_add_(0, stratum, weight[places])
        ends = torch.cat([weight.new_zeros(1), weight.cumsum(0)])[
            torch.from_numpy(self.strata.bounds)
        ]
        return places, (ends.diff() / drawn)[stratum]

    def log_wanted(self, potential: Tensor) -> Tensor:
        """Return ``(n,)`` logarithms of the mass that is asked of each cell."""
        return self.log_weight - self.relaxed * potential

    def factors(self, constant: Tensor, *, is_source: bool) -> Tensor:
        """Return ``(n, p + 2)`` factors of the logarithm of a plan, with ``constant (n,)``."""
        added = (self.offset + constant).float()[:, None]
        ends = torch.ones_like(added), added
        return torch.cat([self.features, *(ends if is_source else ends[::-1])], 1)


@dataclass(frozen=True)
class SampledPlan:
    """Entries of a plan as its ``targets`` see them, each stratum of which draws ``sources``.

    Entries are shares of the mass that is asked of their target.

    Parameters
    ----------
    targets, sources
        The two sides: targets are the later cells for sums over earlier ones, and the other way
        round for sums over later ones.
    potentials
        ``(n,)`` of either, in units of epsilon.
    shares
        ``(T, R)`` shares ``W`` of the draws of each stratum of the targets.
    """

    targets: Side
    sources: Side
    potentials: tuple[Tensor, Tensor]
    shares: np.ndarray

    @classmethod
    def of(
        cls, targets: Side, sources: Side, potentials: tuple[Tensor, Tensor], seed: Sequence[int]
    ) -> SampledPlan:
        """Return the plan with proposals from a few pairs of cells of all pairs of strata."""
        rng = np.random.default_rng(seed)
        parts = plan_factors(targets, sources, potentials)
        wanted, given = (
            part[torch.from_numpy(side.strata.pilots(_PILOTS, rng).ravel())]
            for part, side in zip(parts, (targets, sources), strict=True)
        )
        sizes = sources.strata.sizes
        mass = np.stack([_pilot_sums(few, given) for few in wanted.split(_PILOTS)]) * sizes
        even = sizes / sizes.sum()
        total = mass.sum(1, keepdims=True)
        is_told = (total > 0) & np.isfinite(total)
        told = np.where(is_told, mass / np.where(is_told, total, 1.0), even)
        return cls(targets, sources, potentials, (1 - _EVEN) * told + _EVEN * even)

    def blocks(
        self, n_draws: int, seed: Sequence[int], strata: Sequence[int] | None = None
    ) -> Iterator[Block]:
        """Yield what each stratum of the targets, or each of some, sees of the sources it draws.

        Strata draw by themselves, from ``[*seed, stratum]``. A block is valid until the next.
        """
        wanted, given = plan_factors(self.targets, self.sources, self.potentials)
        sources, room, slices = self.sources.strata, _Room(), self.targets.strata.slices()
        for t in range(len(slices)) if strata is None else strata:
            rng = np.random.default_rng([*seed, t])
            inclusion = inclusions(self.shares[t], sources.sizes, n_draws)
            drawn, stratum = sources.draw(inclusion, rng)
            rows, log_inclusion = torch.from_numpy(drawn), torch.from_numpy(np.log(inclusion))
            log_inclusion = log_inclusion[torch.from_numpy(stratum)]
            seen = torch.index_select(given, 0, rows, out=room(len(rows), given.shape[1]))
            seen[:, -1] -= log_inclusion.float()
            yield Block(slices[t], rows, log_inclusion, wanted[slices[t]], seen)

    def asked(
        self, what: Callable[..., Tensor], n_draws: int, seed: Sequence[int], *given: Tensor
    ) -> Tensor:
        """Return ``what(block, *given)`` of all strata, ``(n, ...)`` in the order of the targets.

        Strata are shared out to the processes of :func:`celltraj._parallel.mapped` where they are
        many enough: since they draw by themselves, the result is the same.
        """
        n_strata, n_entries = len(self.targets.strata.sizes), len(self.targets.cells) * n_draws
        n_parts = min(n_strata, n_processes()) if n_entries > _WORTH else 1
        ends = np.linspace(0, n_strata, n_parts + 1).round().astype(int).tolist()
        tasks = ((range(*pair),) for pair in pairwise(ends))
        shared = (what, self, n_draws, seed, given)
        names = ("strata", "part")
        done = mapped(_asked, tasks, n_tasks=n_parts, what=names, shared=shared, progress=False)
        return torch.cat(list(done))

    def log_sums(self, n_draws: int, seed: Sequence[int]) -> Tensor:
        """Return ``(n,)`` logarithms of what targets get, over what is asked of them."""
        logs = self.asked(_sums, n_draws, seed).log()
        # beyond single precision: next to nothing of what was drawn is near
        if len(beyond := (~torch.isfinite(logs)).nonzero().flatten()):
            wanted, given = plan_factors(self.targets, self.sources, self.potentials)
            logs[beyond] = log_sums((wanted[beyond], given))
        return logs


def _asked(
    what: Callable[..., Tensor],
    plan: SampledPlan,
    n_draws: int,
    seed: Sequence[int],
    given: tuple[Tensor, ...],
    strata: Sequence[int],
) -> Tensor:
    """Return ``what(block, *given)`` of some strata."""
    return torch.cat([what(block, *given) for block in plan.blocks(n_draws, seed, strata)])


def _sums(block: Block) -> Tensor:
    """Return ``(t,)`` what targets get, over what is asked of them."""
    return entry_sums(block.wanted, block.seen)


def _pilot_sums(wanted: Tensor, given: Tensor) -> np.ndarray:
    """Return ``(R,)`` sums of entries over a dozen targets and a dozen sources of each stratum."""
    entries = wanted @ given.T
    exp_in_place(entries.numpy())
    sums: np.ndarray = entries.sum(0).view(-1, _PILOTS).sum(1).double().numpy()
    return sums


def plan_factors(
    targets: Side, sources: Side, potentials: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return factors of targets and sources, whose products are logarithms of entries."""
    wanted, given = potentials
    return (
        targets.factors(wanted - targets.log_wanted(wanted), is_source=False),
        sources.factors(given, is_source=True),
    )


def log_sums(factors: tuple[Tensor, Tensor]) -> Tensor:
    """Return ``(t,)`` logarithms of sums over sources of entries with these factors."""
    wanted, given = factors
    logs = entry_sums(wanted, given).log()
    if len(beyond := (~torch.isfinite(logs)).nonzero().flatten()):
        logs[beyond] = _far_log_sums(wanted[beyond], given)
    return logs


def entry_sums(wanted: Tensor, given: Tensor) -> Tensor:
    """Return ``(t,)`` sums over sources of entries with factors ``(t, p)`` and ``(s, p)``.

    Tiles are of single precision, their sums of double. Infinite above 6e37; zero below 1e-30,
    where entries are lost that single precision does not hold.
    """
    found = torch.zeros(len(wanted), dtype=torch.float64)
    room = torch.empty(min(_TILE, len(wanted)) * min(_SEEN, len(given)))
    for start in range(0, len(wanted), _TILE):
        few, sums = wanted[start : start + _TILE], found[start : start + _TILE].numpy()
        for some in given.split(_SEEN):
            tile = room[: len(few) * len(some)].view(len(few), len(some))
            add_exponentials(torch.mm(few, some.T, out=tile).numpy(), sums)
    found[found < _LEAST] = 0
    return found


def _far_log_sums(wanted: Tensor, given: Tensor) -> Tensor:
    """Return ``(t,)`` logarithms of sums whose entries may be beyond single precision."""
    found = torch.full((len(wanted),), -torch.inf, dtype=torch.float64)
    for some in given.split(_SEEN):
        found = torch.logaddexp(found, torch.logsumexp((wanted @ some.T).double(), 1))
    return found


class _Room:
    """Give memory that is used again: fresh pages cost as much as what is written to them."""

    def __init__(self) -> None:
        self._flat = torch.empty(0)

    def __call__(self, *shape: int) -> Tensor:
        """Return an uninitialised float32 tensor, valid until the next call."""
        size = math.prod(shape)
        if size > len(self._flat):
            self._flat = torch.empty(size)
        return self._flat[:size].view(shape)


@dataclass(frozen=True)
class Block:
    """Hold what one stratum of the targets sees of the sources.

    Parameters
    ----------
    places
        Where the targets are, in the order of their strata.
    drawn
        ``(S,)`` places of the sources.
    log_inclusion
        ``(S,)`` logarithms of the probability that each was drawn with.
    wanted, seen
        ``(T, p + 2)`` and ``(S, p + 2)`` factors of the logarithms of the entries, over what is
        asked of the targets and over the probability of the sources.
    """

    places: slice
    drawn: Tensor
    log_inclusion: Tensor
    wanted: Tensor
    seen: Tensor

    def tiles(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield ``(rows, entries (k, S))`` of some targets, float32."""
        for start in range(0, len(self.wanted), _TILE):
            entries = self.wanted[start : start + _TILE] @ self.seen.T
            exp_in_place(entries.numpy())
            first = self.places.start + start
            yield slice(first, first + len(entries)), entries
