r"""Whether a law of motion passes through the snapshots that it was fitted to.

A model may be right from each snapshot to the next and still go astray over the whole course:
errors add up, and mass gathers on few trajectories. So trajectories run from the first snapshot to
the last, and at each snapshot on the way stands their distance from its cells, the distance of
random halves of the cells from each other, which is the floor, and how many of them still count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from celltraj._errors import FitWarning, warn
from celltraj.metrics import wasserstein
from celltraj.models._simulate import simulate
from celltraj.models.process import Process
from celltraj.models.training.early_stop import EarlyStop
from celltraj.models.training.options import Schedule
from celltraj.ot.sampling import systematic
from celltraj.snapshots import Snapshots

FURTHEST = 1.5  # times the floor, beyond which a law does not pass through a snapshot
FEWEST = 0.5  # of the trajectories that are to stay effective
_N_STEPS = 10  # of the usual solver between snapshots
_SPLITS = 2
_ENOUGH = 1.1  # times the floor of the snapshot that is met worst, at which a training ends
_SMALL = 4  # cells, below which halves tell no floor


@dataclass(frozen=True)
class Passage:
    """Tell how trajectories from the first snapshot meet a later one.

    Parameters
    ----------
    time
        Sampling time, in the user's unit.
    distance
        W1 between the trajectories, counted by their mass, and the cells, in [x].
    floor
        W1 between random halves of the cells, in [x].
    effective
        Share of the trajectories that carry the mass, ``(sum m)^2 / (n sum m^2)``.
    """

    time: float
    distance: float
    floor: float
    effective: float

    def packed(self) -> dict[str, float | None]:
        """Return the fields, with null for a floor that is not known: JSON has no NaN."""
        return asdict(self) | {"floor": None if math.isnan(self.floor) else self.floor}

    @property
    def ratio(self) -> float:
        """Distance over floor; NaN where there is none to compare with."""
        return self.distance / self.floor if self.floor > 0 else math.nan

    @property
    def is_met(self) -> bool:
        """Whether the snapshot is met, by enough trajectories."""
        return not self.ratio > FURTHEST and self.effective >= FEWEST


@dataclass(frozen=True)
class PackedPassage:
    """Hold a passage as files keep it: without a floor where none is known."""

    time: float
    distance: float
    floor: float | None
    effective: float

    def unpacked(self) -> Passage:
        """Return the passage."""
        floor = math.nan if self.floor is None else self.floor
        return Passage(self.time, self.distance, floor, self.effective)


@dataclass(frozen=True)
class Meeting:
    """Hold what trajectories start from and are to meet.

    Parameters
    ----------
    times
        ``(T,)`` sampling times.
    start
        ``(n, d)`` states of the trajectories at the first time.
    cells
        ``T - 1`` clouds of the later times, of equal weights.
    floors
        ``T - 1`` distances between random halves of them, NaN of fewer than four cells.
    """

    times: tuple[float, ...]
    start: Tensor
    cells: tuple[Tensor, ...]
    floors: tuple[float, ...]

    @classmethod
    def of(cls, snapshots: Snapshots, *, n_paths: int = 300, seed: int = 0) -> Meeting:
        """Return what ``n_paths`` trajectories are to meet: at most twice as many cells a time."""
        generator = torch.Generator().manual_seed(seed)
        first, *later = zip(snapshots.x, snapshots.weights, strict=True)
        start = first[0][systematic(first[1], n_paths, generator)]
        cells = tuple(
            x[systematic(w, min(len(x), 2 * n_paths), generator)].clone() for x, w in later
        )
        return cls(snapshots.times, start, cells, tuple(_halves(x, generator) for x in cells))

    def passages(self, process: Process, *, seed: int = 0) -> tuple[Passage, ...]:
        """Simulate a law from the first snapshot on and compare it with every later one."""
        generator = torch.Generator().manual_seed(seed)
        path = simulate(process, self.start, self.times, n_steps=_N_STEPS, generator=generator)
        log_mass = path.x.new_zeros(path.x.shape[:2]) if path.log_mass is None else path.log_mass
        mass = torch.softmax(log_mass, 1)
        effective = 1 / (mass.shape[1] * mass.square().sum(1))
        return tuple(
            Passage(
                self.times[k],
                wasserstein(path.x[k].numpy(), cells.numpy(), weights=mass[k].numpy()),
                floor,
                float(effective[k]),
            )
            for k, (cells, floor) in enumerate(zip(self.cells, self.floors, strict=True), start=1)
        )


def warn_of(passages: Sequence[Passage], model: str, advice: str) -> None:
    """Warn where a fitted law misses snapshots that it was shown.

    Parameters
    ----------
    passages
        How it met them.
    model
        What it is, to begin a sentence with.
    advice
        What mends it.
    """
    missed = [one for one in passages if not one.is_met]
    if not missed:
        return
    worst = max(missed, key=lambda one: one.ratio)
    fewest = min(missed, key=lambda one: one.effective)
    warn(
        f"{model} does not pass through {len(missed)} of the {len(passages)} later snapshots that "
        f"it was fitted to: cells simulated from the first one are {worst.ratio:.2g} x as far from "
        f"those of time {worst.time:g} as random halves of these are from each other (at most "
        f"{FURTHEST:g} is looked for), and {fewest.effective:.0%} of the trajectories carry the "
        f"mass at time {fewest.time:g} (half is looked for). {advice}",
        FitWarning,
    )


def stop_at(
    meeting: Meeting, made: Callable[[Any], Sequence[Process]], schedule: Schedule
) -> EarlyStop | None:
    """Return what ends a training of several cycles once its law meets its own snapshots.

    Or once a cycle brings it no nearer; None for a training of one cycle, which was asked for.

    Parameters
    ----------
    meeting
        What trajectories are to meet.
    made
        Laws of motion of a network, of which the nearest counts.
    schedule
        Numbers of the training.
    """
    if schedule.cycle >= schedule.n_steps:
        return None

    def nearest(network: Any) -> float:
        return min(furthest(meeting.passages(one)) for one in made(network))

    return EarlyStop(1, nearest, every=schedule.cycle, enough=_ENOUGH)


def furthest(passages: Sequence[Passage]) -> float:
    """Return how far the worst met snapshot is, in floors; more where trajectories are few.

    A law whose mass lies on less than half of the trajectories is as far off by that much.
    """
    return max(
        (
            (0.0 if math.isnan(one.ratio) else one.ratio) / min(1.0, one.effective / FEWEST)
            for one in passages
        ),
        default=0.0,
    )


def _halves(x: Tensor, generator: torch.Generator) -> float:
    if len(x) < _SMALL:
        return math.nan
    splits = [torch.randperm(len(x), generator=generator).chunk(2) for _ in range(_SPLITS)]
    return fmean(wasserstein(x[one].numpy(), x[other].numpy()) for one, other in splits)
