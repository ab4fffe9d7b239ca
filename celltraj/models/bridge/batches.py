"""Points of reference bridges, which the network of a bridge is trained on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj.models.growth.path_mass import Masses, departing
from celltraj.models.networks import Points
from celltraj.models.references.family import Reference, sigma_of
from celltraj.models.references.gaussian_law import flow_of
from celltraj.models.references.paths import Pinning
from celltraj.models.training.batches import DRAWN_AT_ONCE, Draws
from celltraj.ot import Coupling
from celltraj.snapshots import Snapshots

_NODES = 32  # times in a gap that these points share
_DRAWS_OF_GRID = 8  # draws that share them: the law between nodes costs more than the points


@dataclass(frozen=True)
class BridgePlans:
    """What points of bridges are drawn from."""

    snapshots: Snapshots
    reference: Reference
    couplings: tuple[Coupling, ...]
    masses: Masses | None

    def draw(self, k: int, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw ``n`` pairs of gap ``k``: an earlier cell by its weight, a later one given it."""
        rows: Tensor | None = None
        if self.masses is not None:
            leaving = departing(self.snapshots.weights[k].numpy(), self.masses.sent[k])
            rows = torch.from_numpy(leaving)
        return self.couplings[k].sample(n, generator=generator, rows=rows)

    def carried(self, k: int, i: Tensor, j: Tensor, s: Tensor) -> Tensor:
        """Return mass, and logarithms of what is sent and met, ``(n, 3)``, of paths at ``s``."""
        if self.masses is None:
            return torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64).expand(len(i), 3)
        sent, met = (torch.from_numpy(v) for v in (self.masses.sent[k], self.masses.met[k]))
        mass = self.masses.log_mass(k, sent[i], met[j], s).exp()
        return torch.stack([mass, sent[i], met[j]], 1)


class BridgeBatches(Draws[Points]):
    """Draw bridge points uniformly over the whole duration, from plans solved once per gap.

    Parameters
    ----------
    plans
        Couplings and the law between them.
    n_steps, batch_size
        Steps of the training, and points of each.
    generator
        What every draw draws from.
    """

    def __init__(
        self, plans: BridgePlans, n_steps: int, batch_size: int, generator: torch.Generator
    ) -> None:
        super().__init__(n_steps, generator)
        self.plans, self.snapshots, self.reference = plans, plans.snapshots, plans.reference
        self.batch_size, self.sigma = batch_size, sigma_of(self.reference)
        snapshots = self.snapshots
        self.gaps = torch.tensor(snapshots.gaps, dtype=torch.float64)
        # grids have seeds of their own, so that one can be drawn again when a training is resumed
        self.seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
        self.held: tuple[int, tuple[Tensor, ...]] = (-1, ())
        n = n_steps * batch_size
        self.gap_of = torch.multinomial(self.gaps, n, replacement=True, generator=generator)
        # all pairs of the training at once: one pass over each plan, which is never held
        self.i, self.j = torch.empty(2, n, dtype=torch.long)
        for k in range(len(self.gaps)):
            here = self.gap_of == k
            self.i[here], self.j[here] = plans.draw(k, int(here.sum()), generator)

    def aside(self, n_steps: int, generator: torch.Generator) -> BridgeBatches:
        """Return draws of other points of the same bridges."""
        return BridgeBatches(self.plans, n_steps, self.batch_size, generator)

    def draw(self, number: int, n_steps: int) -> list[Points]:
        """Return the points of ``n_steps`` steps."""
        grid, place = divmod(number, _DRAWS_OF_GRID)
        if self.held[0] != grid:
            self.held = grid, self._points(grid)
        first = place * DRAWN_AT_ONCE * self.batch_size
        rows = slice(first, first + n_steps * self.batch_size)
        parts = (v[rows].split(self.batch_size) for v in self.held[1])
        return [Points(*step) for step in zip(*parts, strict=True)]

    def _points(self, grid: int) -> tuple[Tensor, ...]:
        """Return the parts of :class:`Points` of all draws that share the times of one grid.

        One gap after the other, since the law of the paths of a gap takes ``n d^2`` numbers at each
        of its nodes.
        """
        generator = torch.Generator().manual_seed(self.seed + grid)
        n_drawn = _DRAWS_OF_GRID * DRAWN_AT_ONCE * self.batch_size
        rows = slice(grid * n_drawn, (grid + 1) * n_drawn)
        k, i, j = self.gap_of[rows], self.i[rows], self.j[rows]
        d = self.snapshots.dim
        # times and states in double precision; what the network is told of them is not
        places = torch.empty(len(k), 1 + d, dtype=torch.float64)
        rest = torch.empty(len(k), 2 * d + 4)
        for gap in range(len(self.gaps)):
            here = (k == gap).nonzero().flatten()
            for part, place, told in self._at_random_times(gap, i[here], j[here], generator):
                places[here[part]], rest[here[part]] = place, told.float()
        parts = (*places.split([1, d], 1), *rest.split([d, d, 1, 1, 1, 1], 1))
        return tuple(one.contiguous() for one in parts)

    def _at_random_times(
        self, gap: int, i: Tensor, j: Tensor, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield groups of points of a gap that share a time, stratified over it.

        Which they are, their time and state, and what is told of them.
        """
        start, length = self.snapshots.times[gap], self.snapshots.gaps[gap]
        jitter = torch.rand(_NODES, dtype=torch.float64, generator=generator)
        shares = ((torch.arange(_NODES) + jitter.clamp(1e-3, 1 - 1e-3)) / _NODES).tolist()
        nodes = [start, *(start + length * share for share in shares), start + length]
        flow = flow_of(self.reference, self.snapshots.x[gap], nodes)
        chosen = torch.randint(_NODES, (len(i),), generator=generator)
        for k, share in enumerate(shares):
            part = (chosen == k).nonzero().flatten()
            pinning = Pinning.of(flow, k + 1, self.sigma)
            y = self.snapshots.x[gap + 1][j[part]]
            drawn = pinning.points(i[part], y, generator=generator)
            width = self.sigma * math.sqrt(length * share * (1 - share))
            one = torch.ones(len(part), 1, dtype=torch.float64)
            carried = self.plans.carried(gap, i[part], j[part], share * one[:, 0])
            told = (drawn.rate, -width * drawn.score, width * one, carried)
            place = torch.cat((nodes[k + 1] * one, drawn.x), 1)
            yield part, place, torch.cat(told, 1)
