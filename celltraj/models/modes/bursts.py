"""Where a law without explicit time takes cells within a few of its own times."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from celltraj._typing import Cells, States
from celltraj.models._simulate import simulate
from celltraj.models.modes.features import Motion
from celltraj.models.process import Process

_NUDGE = 1e-3  # of the spread, over which slopes are taken
_MOST_SLOPES = 10_000
_MOST_CELLS = 5_000  # that are moved
_LAGS = 5  # for which they are, each the time in which the drift changes at most cells
_STEPS = 10  # of a lag


@dataclass(frozen=True, eq=False)
class Pace:
    """Hold how fast a law changes from place to place, over the cells.

    Parameters
    ----------
    usual, fast
        Median and 95 % quantile of ``|b(x + e) - b(x)| / |e|``, in 1/[t].
    """

    usual: float
    fast: float

    @classmethod
    def of(cls, process: Process, motion: Motion, *, generator: torch.Generator) -> Pace:
        """Return the pace of a law at cells; that of its noise where the drift is constant."""
        x = motion.x
        scale = spread_of(x)
        nudge = _NUDGE * scale * torch.randn(x.shape, dtype=x.dtype, generator=generator)
        with torch.no_grad():
            change = (process.drift(0.0, x + nudge) - motion.drift) / scale
        slopes = change.norm(dim=1) / (nudge / scale).norm(dim=1)
        noise = float((motion.variance / scale.square()).mean())
        levels = torch.tensor([0.5, 0.95], dtype=x.dtype)
        usual, fast = torch.quantile(slopes[:_MOST_SLOPES], levels).clamp(min=noise).tolist()
        return cls(usual, fast)


def spread_of(x: Cells) -> Tensor:
    """Return the standard deviation ``(d,)`` of each variable, 1 for one that is constant."""
    scale = x.std(0)
    return torch.where(scale > 0, scale, torch.ones_like(scale))


@dataclass(frozen=True, eq=False)
class Bursts:
    """Hold where a law takes cells: what is slow in it is told by states that it has shaped.

    Snapshots of cells on their way lie where the law leaves soon; features that fit it there do not
    fit it where it dwells, and even the sign of a slow rate can be wrong.

    Parameters
    ----------
    process
        Law of motion.
    path
        ``(S, n, d)`` states of ``n`` cells, one lag after another.
    """

    process: Process
    path: States

    @classmethod
    def of(cls, process: Process, x: Cells, pace: Pace, *, generator: torch.Generator) -> Bursts:
        """Return the bursts of at most 5,000 of the cells ``(n, d)``."""
        start = x[torch.randperm(len(x), generator=generator)[:_MOST_CELLS]]
        lag = 1 / pace.usual
        steps = _LAGS * _STEPS
        # every time of a step is asked for, so that steps are even
        times = torch.linspace(0, lag * _LAGS, steps + 1, dtype=torch.float64).tolist()
        path = simulate(process, start, times, n_steps=1, generator=generator).x
        return cls(process, path[_STEPS::_STEPS])

    @property
    def n_cells(self) -> int:
        """How many cells there are."""
        return self.path.shape[1]

    @cached_property
    def motion(self) -> Motion:
        """All states ``(S n, d)``, and how the law moves them."""
        return Motion.of(self.process, self.path.flatten(0, 1), 0.0)

    @property
    def steps(self) -> tuple[Cells, Cells]:
        """States before and after each lag but the first, ``((S - 1) n, d)`` each."""
        return self.path[:-1].flatten(0, 1), self.path[1:].flatten(0, 1)

    def of_cells(self, cells: Tensor) -> Bursts:
        """Return the bursts of some of the cells."""
        return Bursts(self.process, self.path[:, cells])
