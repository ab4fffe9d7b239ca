"""Points of new gaps beside what a network said of the old ones."""

from __future__ import annotations

import torch

from celltraj.models.networks import Points
from celltraj.models.training.batches import Draws
from celltraj.models.update.replay import Replay

_NEW = 0.7  # of the points of a step; those of the old course have no noise


class UpdateBatches(Draws[Points]):
    """Draw points of new gaps, and some of the old course, for each step.

    Parameters
    ----------
    new
        Points of the new gaps; its generator is what every draw draws from.
    replay
        What the network is to keep.
    n_old
        Points of the old course in each step.
    """

    def __init__(self, new: Draws[Points], replay: Replay, n_old: int) -> None:
        super().__init__(new.n_steps, new.generator)
        self.new, self.replay, self.n_old = new, replay, n_old

    def aside(self, n_steps: int, generator: torch.Generator) -> UpdateBatches:
        """Return draws of other points of the same courses."""
        return UpdateBatches(self.new.aside(n_steps, generator), self.replay, self.n_old)

    def draw(self, number: int, n_steps: int) -> list[Points]:
        """Return the points of ``n_steps`` steps."""
        ahead = self.new.draw(number, n_steps)
        behind = self.replay.draw(n_steps * self.n_old, self.generator)
        steps = zip(*(part.split(self.n_old) for part in behind), strict=True)
        return [_joined(one, Points(*other)) for one, other in zip(ahead, steps, strict=True)]


def shared(batch_size: int) -> tuple[int, int]:
    """Return how many points of a step are of new gaps, and how many of the old course."""
    n_new = min(max(1, round(_NEW * batch_size)), max(1, batch_size - 1))
    return n_new, max(1, batch_size - n_new)


def _joined(one: Points, other: Points) -> Points:
    return Points(*(torch.cat(parts) for parts in zip(one, other, strict=True)))
