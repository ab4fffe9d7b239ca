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
class Pilot:
    """Hold paths of a law of motion.

    Parameters
    ----------
    times
        ``(K,)`` times after the start and before the end at which states are kept.
    x
        ``(K, n, d)`` states there.
    end
        ``(n, d)`` states at the last time.
    log_left
        ``(K, n)`` log of the mass that a path gains from each time to its end.
    log_mass
        ``(n,)`` log of the mass that it gains from the start.
    stop
        The last time.
    """

    times: tuple[float, ...]
    x: States
    end: Cells
    log_left: Tensor
    log_mass: Tensor
    stop: float

    @property
    def log_total(self) -> float:
        """Log of the mean mass at the end."""
        return float(torch.logsumexp(self.log_mass, 0)) - math.log(len(self.log_mass))

    def weights(self, k: int) -> Tensor:
        """Return the shares of the paths ``(n,)`` by what they gain from a time on."""
        return torch.softmax(self.log_left[k], 0)


def pilot_paths(
    steps: Steps, x0: Cells, grid: StepGrid, *, generator: torch.Generator, progress: bool = False
) -> Pilot:
    """Return paths from ``x0 (n, d)``, kept at some twenty times."""
    x, gained = x0, torch.zeros_like(x0[:, 0])
    every = max(1, len(grid) // _NODES)
    kept: list[tuple[float, Tensor, Tensor]] = []
    with progress_bar(len(grid), progress=progress) as bar:
        for k, span in enumerate(pairwise(grid.times), start=1):
            x, growth = steps.move(
                span, x, steps.ahead(*span, x), normal_like(x, generator), generator
            )
            check_finite(steps.process, x, span[1])
            gained = gained + growth
            if k % every == 0 and k < len(grid):
                kept.append((span[1], x, gained))
            bar.update()
    times, states, masses = zip(*kept, strict=True) if kept else ((), (), ())
    left = gained - torch.stack(masses) if kept else gained[None][:0]
    stacked = torch.stack(states) if kept else x[None][:0]
    return Pilot(tuple(times), stacked, x, left, gained, grid.times[-1])
