"""Points of paths along chains of cells, which the network of a flow is trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj.models.chains import Chains
from celltraj.models.course import Course
from celltraj.models.interpolants import Curves, gap_of, sample_path, share_of
from celltraj.models.networks import Points
from celltraj.models.training.batches import DRAWN_AT_ONCE, Draws

_POOLED = 16_000_000  # numbers in the curves of a pool of chains
_NODES = 22  # of those for each variable of a chain, at most
_DRAWS_OF_POOL = 40  # times that points are drawn from the same pool


class PathBatches(Draws[Points]):
    """Draw points of paths, with times uniform over the whole duration.

    Curves of many chains are computed at once and used for a number of draws, each with other times
    and other noise.

    Parameters
    ----------
    course
        What paths are drawn along.
    n_steps, batch_size
        Steps of the training, and points of each.
    generator
        What every draw draws from.
    n_chains
        Chains whose curves are computed at once, at most.
    """

    def __init__(
        self,
        course: Course,
        n_steps: int,
        batch_size: int,
        generator: torch.Generator,
        *,
        n_chains: int | None = None,
    ) -> None:
        super().__init__(n_steps, generator)
        self.n_chains = DRAWN_AT_ONCE * batch_size if n_chains is None else n_chains
        self.course, self.batch_size = course, batch_size
        self.snapshots, self.plans = course.snapshots, course.plans
        self.interpolant = course.interpolant
        self.times = torch.tensor(self.snapshots.times, dtype=torch.float64)
        # pools have seeds of their own, so that one can be drawn again when a training is resumed
        self.seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
        self.pool: _Pool | None = None

    def aside(self, n_steps: int, generator: torch.Generator) -> PathBatches:
        """Return draws of other points along other chains."""
        return PathBatches(self.course, n_steps, self.batch_size, generator, n_chains=self.n_chains)

    def draw(self, number: int, n_steps: int) -> list[Points]:
        """Return the points of ``n_steps`` steps."""
        pool = number // _DRAWS_OF_POOL
        if self.pool is None or self.pool.number != pool:
            self.pool = self._pooled(pool)
        parts = self._points(self.pool, n_steps * self.batch_size)
        steps = zip(*(part.split(self.batch_size) for part in parts), strict=True)
        return [Points(*step) for step in steps]

    def _pooled(self, number: int) -> _Pool:
        """Return chains shared among the gaps by their lengths, and their curves."""
        n = min(self.n_chains, _POOLED // (_NODES * self.snapshots.dim))
        lengths = self.times.diff()
        counts = (n * lengths / lengths.sum()).long().clamp(min=1)
        gap = torch.arange(len(counts)).repeat_interleave(counts)
        generator = torch.Generator().manual_seed(self.seed + number)
        chains = self.plans.draw(gap, generator=generator)
        curves = self.interpolant.curves(self.times, chains.states(self.snapshots), gap)
        return _Pool(number, chains, curves, counts)

    def _points(self, pool: _Pool, n: int) -> Points:
        """Return ``n`` points, in random order."""
        # stratified: the times of a batch of draws cover the duration evenly
        jitter = torch.rand(n, dtype=torch.float64, generator=self.generator)
        share = (torch.arange(n) + jitter) / n
        share = share[torch.randperm(n, generator=self.generator)]
        t = self.times[0] + (self.times[-1] - self.times[0]) * share
        gap = gap_of(self.times, t)
        which = torch.rand(n, dtype=torch.float64, generator=self.generator)
        rows = pool.starts[gap] + (which * pool.counts[gap]).long()
        path = sample_path(
            self.interpolant, self.times, pool.curves, rows, t, generator=self.generator
        )
        mass = self.plans.mass(pool.chains, rows, share_of(self.times, t)[1])
        columns = (v[:, None] for v in (mass, pool.chains.sent[rows], pool.chains.met[rows]))
        parts = (path.rate, path.z, path.width, *columns)
        return Points(t[:, None], path.x, *(part.float() for part in parts))


@dataclass(frozen=True)
class _Pool:
    """Chains in the order of their gaps, ``counts (T - 1,)`` of each, and their curves."""

    number: int
    chains: Chains
    curves: Curves
    counts: Tensor

    @property
    def starts(self) -> Tensor:
        """Return the first row of each gap."""
        return self.counts.cumsum(0) - self.counts
