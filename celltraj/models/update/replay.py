"""What a network is to keep: its own predictions along the course that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj.models._simulate import simulate
from celltraj.models.networks import Points, TwoHeads
from celltraj.models.process import FittedProcess
from celltraj.models.solvers import Midpoint
from celltraj.ot.sampling import systematic
from celltraj.snapshots import Snapshots

_WEIGHT = 5.0  # of a point: what the network said has no noise that many points average out
_APART = 0.2  # of the scale: beside the paths a network is asked too, and knows what it said there
_PATHS = 300  # of each gap
_NODES = 8  # states of each path, ends included


@dataclass(frozen=True)
class Replay:
    """Hold states along the gaps of a course, and the network that is asked about them.

    Parameters
    ----------
    heads
        The network.
    states
        ``(T - 1, K, n, d)`` states at K equally spaced times of each gap, in [x].
    widths
        ``(T - 1,)`` standard deviation of the paths in the middle of each gap, in [x]: what an
        error of the score counts by.
    """

    heads: TwoHeads
    states: Tensor
    widths: Tensor

    @classmethod
    def of(
        cls,
        heads: TwoHeads,
        law: FittedProcess,
        snapshots: Snapshots,
        widths: Tensor,
        *,
        generator: torch.Generator,
    ) -> Replay:
        """Carry cells of each snapshot over the gap after it, by the law of the network.

        Each gap begins at the cells themselves, so that errors of the law do not add up.
        """
        parts = []
        for k, _ in snapshots.pairs():
            start, stop = snapshots.times[k : k + 2]
            rows = systematic(snapshots.weights[k], _PATHS, generator)
            grid = torch.linspace(start, stop, _NODES, dtype=torch.float64).tolist()
            grid[-1] = stop
            path = simulate(
                law, snapshots.x[k][rows], grid, solver=Midpoint(n_steps=1), generator=generator
            )
            parts.append(path.x)
        return cls(heads, torch.stack(parts), widths)

    def draw(self, n: int, generator: torch.Generator) -> Points:
        """Return ``n`` points of the course, in random order, told what the network says there."""
        times = self.heads.times
        jitter = torch.rand(n, dtype=torch.float64, generator=generator)
        share = ((torch.arange(n) + jitter) / n)[torch.randperm(n, generator=generator)]
        t = times[0] + (times[-1] - times[0]) * share
        n_gaps, n_nodes, n_paths, _ = self.states.shape
        gap = (torch.searchsorted(times, t, right=True) - 1).clamp(0, n_gaps - 1)
        place = (t - times[gap]) / (times[gap + 1] - times[gap]) * (n_nodes - 1)
        node = place.long().clamp(max=n_nodes - 2)
        row = torch.randint(n_paths, (n,), generator=generator)
        ends = (self.states[gap, node, row], self.states[gap, node + 1, row])
        x = torch.lerp(*ends, (place - node)[:, None])
        x = x + _APART * self.heads.scale * torch.randn(x.shape, dtype=x.dtype, generator=generator)
        return self._told(t[:, None], x, self.widths[gap, None].float())

    def _told(self, t: Tensor, x: Tensor, width: Tensor) -> Points:
        heads, one = self.heads, torch.ones(len(t), 1)
        with torch.no_grad():
            rate, score, masses = heads.all_heads(t, x)
        # the noise whose mean, given the state, is what the network says: its error is then zero
        z = -width / heads.scale * score
        sent, met = masses.split(1, 1) if heads.sizes.has_mass else (0 * one, 0 * one)
        return Points(t, x, rate * heads.speed, z, width, _WEIGHT * one, sent, met)
