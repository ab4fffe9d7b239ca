r"""Steer by odds that are learned, and learned again where they steer badly.

The first odds are learned along unsteered paths. Where these hardly meet the event they are learned
along paths with more noise, of which only the places count: from there on cells go as they do. A
steered run shows the places on the way to the event, and where its weights are poor the odds are
learned once more along it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch

from celltraj._typing import Cells
from celltraj.models.conditioning.group_reward import GroupReward
from celltraj.models.conditioning.logistic import LogisticLookAhead
from celltraj.models.conditioning.particles import Weighted, weighted_paths
from celltraj.models.conditioning.pilot import (
    Passages,
    Pilot,
    nodes_of,
    passages_from,
    pilot_paths,
)
from celltraj.models.conditioning.steps import MidpointSteps, Steps
from celltraj.models.process import Process
from celltraj.models.solvers.solver import StepGrid

_TO_LEARN = 20.0  # paths that must meet an event for its odds to be learned
_NOISIER = (1.5, 2.0, 4.0)  # times the noise, where unsteered paths hardly meet it
_ROUNDS = 2  # in which odds are learned again
_POOR = 0.5  # share of particles, effective or with a path from the start, below which


@dataclass(frozen=True)
class Noisier:
    """A law of motion with more noise, to see places that it seldom goes to."""

    process: Process
    factor: float

    def drift(self, t: float, x: Cells) -> Cells:
        """Return the drift of the law."""
        return self.process.drift(t, x)

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return its noise, times the factor."""
        return self.factor * self.process.diffusion(t, x)


def learned_paths(
    steps: Steps,
    reward: GroupReward,
    x0: Cells,
    grid: StepGrid,
    pilot: Pilot,
    *,
    generator: torch.Generator,
    progress: bool = False,
) -> tuple[LogisticLookAhead, Weighted] | None:
    """Return paths steered by learned odds, at all nodes of the grid; None where none are learned.

    Parameters
    ----------
    steps
        How the law of motion is stepped.
    reward
        The event.
    x0
        ``(n, d)`` particles at the first time.
    grid
        Times of all steps, and which of them were requested.
    pilot
        Unsteered paths.
    generator
        Source of randomness.
    progress
        Whether to show progress bars.
    """
    first = _first_passages(steps, reward, x0, grid, pilot, generator)
    if first is None:
        return None
    places = StepGrid(grid.times, tuple(sorted({*grid.requested, *nodes_of(grid)})))
    run = partial(weighted_paths, steps, x0=x0, grid=places, generator=generator, progress=progress)
    look = LogisticLookAhead.of([first], reward)
    paths = run(look, reward)
    known = [first]
    for _ in range(_ROUNDS):
        if not _is_poor(paths):
            break
        seen = paths.at([grid.times[k] for k in nodes_of(grid)]).x
        known.append(passages_from(steps, seen, grid, generator=generator))
        look = LogisticLookAhead.of(known, reward)
        paths = run(look, reward)
    return look, paths


def _first_passages(
    steps: Steps,
    reward: GroupReward,
    x0: Cells,
    grid: StepGrid,
    pilot: Pilot,
    generator: torch.Generator,
) -> Passages | None:
    """Return passages from places that meet the event, of more noise if need be."""
    if not nodes_of(grid):
        return None
    if float(reward(pilot.end).exp().sum()) >= _TO_LEARN:
        return pilot.passages
    for factor in _NOISIER:
        wide = MidpointSteps(Noisier(steps.process, factor))
        try:
            paths = pilot_paths(wide, x0, grid, generator=generator)
        except ValueError:  # more noise than the law bears in steps of this length; more is no use
            return None
        if float(reward(paths.end).exp().sum()) >= _TO_LEARN:
            return passages_from(steps, paths.passages.x, grid, generator=generator)
    return None


def _is_poor(paths: Weighted) -> bool:
    return min(paths.effective, paths.n_ancestors) < _POOR * len(paths.weights)
