"""Paths that nobody steers, from which it is learned what a path is worth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from celltraj._typing import Cells, States
from celltraj.models.conditioning.steps import Steps, check_finite
from celltraj.models.solvers.noise import normal_like
from celltraj.models.solvers.solver import StepGrid, progress_bar

_NODES = 20  # times at which paths are kept


@dataclass(frozen=True, eq=False)
class Passages:
    """Hold where cells went from each of several times to the next, of their own accord.

    Parameters
    ----------
    times
        ``(K,)`` times after the start and before the end.
    x
        ``(K, n, d)`` states there, of whatever law.
    onward
        ``(K, n, d)`` where they went by the next of the times, after the last one by the end.
    gained
        ``(K, n)`` log of the mass that they gained on the way.
    """

    times: tuple[float, ...]
    x: States
    onward: States
    gained: Tensor


@dataclass(frozen=True, eq=False)
class Pilot:
    """Hold paths of a law of motion.

    Parameters
    ----------
    passages
        Where they were at some twenty times, and where they went.
    end
        ``(n, d)`` states at the last time.
    log_mass
        ``(n,)`` log of the mass that a path gains from the start.
    stop
        The last time.
    """

    passages: Passages
    end: Cells
    log_mass: Tensor
    stop: float

    @property
    def log_total(self) -> float:
        """Log of the mean mass at the end."""
        return float(torch.logsumexp(self.log_mass, 0)) - math.log(len(self.log_mass))

    @property
    def error(self) -> float:
        """Standard error of ``log_total``; 0 without growth."""
        n = len(self.log_mass)
        return float((n * torch.softmax(self.log_mass, 0) - 1).square().sum().sqrt() / n)

    @property
    def weights(self) -> Tensor:
        """Shares of the paths ``(K, n)`` by what they gain from each time to the end."""
        left = self.passages.gained.flip(0).cumsum(0).flip(0)
        return torch.softmax(left, 1)


def nodes_of(grid: StepGrid) -> tuple[int, ...]:
    """Return the numbers of the steps, some twenty, before which paths are kept."""
    every = max(1, len(grid) // _NODES)
    return tuple(range(every, len(grid), every))


def pilot_paths(
    steps: Steps, x0: Cells, grid: StepGrid, *, generator: torch.Generator, progress: bool = False
) -> Pilot:
    """Return paths from ``x0 (n, d)``, kept at the nodes of the grid."""
    places = (0, *nodes_of(grid), len(grid))
    states, gains = [x0], []
    with progress_bar(len(places) - 1, progress=progress) as bar:
        for first, last in pairwise(places):
            x, gained = _walked(steps, states[-1], grid.times[first : last + 1], generator)
            states.append(x)
            gains.append(gained)
            bar.update()
    passages = Passages(
        tuple(grid.times[k] for k in places[1:-1]),
        torch.stack(states[1:-1]) if len(states) > 2 else x0[None][:0],
        torch.stack(states[2:]) if len(states) > 2 else x0[None][:0],
        torch.stack(gains[1:]) if len(gains) > 1 else x0[None, :, 0][:0],
    )
    return Pilot(passages, states[-1], torch.stack(gains).sum(0), grid.times[-1])


def passages_from(
    steps: Steps, x: States, grid: StepGrid, *, generator: torch.Generator
) -> Passages:
    """Return where states ``(K, n, d)`` at the nodes of a grid go by the next of them."""
    places = (*nodes_of(grid), len(grid))
    moved = [
        _walked(steps, start, grid.times[first : last + 1], generator)
        for start, (first, last) in zip(x, pairwise(places), strict=True)
    ]
    onward, gained = zip(*moved, strict=True)
    times = tuple(grid.times[k] for k in places[:-1])
    return Passages(times, x, torch.stack(onward), torch.stack(gained))


def _walked(
    steps: Steps, x: Cells, times: tuple[float, ...], generator: torch.Generator
) -> tuple[Cells, Tensor]:
    """Return states after several steps, and the growth that was gathered."""
    gained = torch.zeros_like(x[:, 0])
    for span in pairwise(times):
        z = normal_like(x, generator)
        x, growth = steps.move(span, x, steps.ahead(*span, x), z, generator)
        check_finite(steps.process, x, span[1])
        gained = gained + growth
    return x, gained
