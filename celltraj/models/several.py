"""Several courses that are fitted together: chains of each, and the bridge of each on its law."""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._errors import warn
from celltraj._parallel import mapped
from celltraj.models.bridge.bridge import Bridge
from celltraj.models.bridge.fit import check_training, fit_bridge
from celltraj.models.course import chains_to_fit, plans_of
from celltraj.models.growth.convention import GrowthModel, with_growth
from celltraj.models.noise_scale import FRACTION, squared_speed
from celltraj.models.references.family import Reference
from celltraj.models.training.options import Training
from celltraj.ot import solve
from celltraj.snapshots import Snapshots

_Said = list[tuple[str, type[Warning]]]


@dataclass(frozen=True, eq=False)
class Chained:
    """Hold chains of cells of one course, drawn along its couplings.

    Parameters
    ----------
    times
        ``(T,)`` sampling times.
    chain
        ``(T, n, d)`` states.
    gap
        ``(n,)`` gap that each chain was drawn for, as many for each.
    """

    times: Tensor
    chain: Tensor
    gap: Tensor

    def ends(self, k: int) -> tuple[float, float, Tensor, Tensor]:
        """Return times and states at both ends of gap ``k``."""
        rows = (self.gap == k).nonzero().flatten()
        start, stop = float(self.times[k]), float(self.times[k + 1])
        return start, stop, self.chain[k, rows], self.chain[k + 1, rows]

    def clouds(self) -> list[Tensor]:
        """Return the cells of both ends of every gap."""
        gaps = range(len(self.times) - 1)
        return [self.chain[k + end, self.gap == k] for k in gaps for end in (0, 1)]


@dataclass(frozen=True)
class Grown:
    """Hold what is known of courses before a law is: all by name.

    Parameters
    ----------
    courses
        Snapshots with growth.
    words
        What growth that is, None for what was given.
    chains
        Chains along the couplings.
    """

    courses: dict[str, Snapshots]
    words: dict[str, str | None]
    chains: dict[str, Chained]


@dataclass(frozen=True)
class Several:
    """Fit several courses together.

    Parameters
    ----------
    noun
        What one course is, such as ``"condition"``.
    seed
        Seed of everything random; what is drawn for a course depends on its name besides, and not
        on what other courses there are.
    progress
        Whether to show progress bars.
    """

    noun: str
    seed: int = 0
    progress: bool = False

    def seed_of(self, name: str) -> int:
        """Return the seed of one course."""
        return zlib.crc32(f"{self.seed} {name}".encode())

    def check(self, training: Training | None) -> None:
        """Raise where a training cannot be that of several courses.

        Raises
        ------
        ValueError
            It keeps cells aside, or writes one checkpoint for all.
        """
        check_training(training)
        if training is not None and training.trainer.checkpoint is not None:
            raise ValueError(
                f"a checkpoint is of one training, and each {self.noun} has its own; leave "
                "checkpoint= out of TrainerOptions"
            )

    def chained(
        self, courses: Mapping[str, Snapshots], sigma: float, growth: GrowthModel, *, n: int
    ) -> Grown:
        """Return courses with growth, and ``n`` chains of each gap along their couplings."""
        names = sorted(courses)
        tasks = ((courses[name], sigma, growth, n, self.seed_of(name)) for name in names)
        what = ("coupling", self.noun)
        found = mapped(_chains_of, tasks, n_tasks=len(names), what=what, progress=self.progress)
        parts = zip(*found, strict=True)
        return Grown(*(dict(zip(names, part, strict=True)) for part in parts))

    def bridges(
        self,
        courses: Mapping[str, Snapshots],
        laws: Mapping[str, Reference],
        training: Training | None,
    ) -> dict[str, Bridge]:
        """Return the bridge of each course on its law, and say which one is warned of."""
        tasks = ((courses[name], laws[name], training, self.seed_of(name)) for name in courses)
        what = ("bridges", self.noun)
        found = mapped(_bridge_of, tasks, n_tasks=len(courses), what=what, progress=self.progress)
        bridges = {}
        for name, (bridge, said) in zip(courses, found, strict=True):
            bridges[name] = bridge
            for message, category in said:
                warn(f"{self.noun} {name!r}: {message}", category)
        return bridges


def common_sigma(courses: Mapping[str, Snapshots]) -> float:
    """Return the diffusion by which a hundredth of the mean squared displacement rate is noise.

    In the mean over all gaps of all courses, see :func:`celltraj.models.default_sigma`.

    Raises
    ------
    ValueError
        All snapshots of each course coincide.
    """
    total, n_gaps = 0.0, 0
    for name in sorted(courses):
        one = courses[name]
        generator = torch.Generator().manual_seed(0)
        total += len(one.gaps) * squared_speed(one, generator=generator)
        n_gaps += len(one.gaps)
    if total == 0:
        raise ValueError("all snapshots coincide: nothing sets the scale of sigma; pass sigma=")
    return math.sqrt(FRACTION * total / n_gaps)


def _chains_of(
    snapshots: Snapshots, sigma: float, growth: GrowthModel, n: int, seed: int
) -> tuple[Snapshots, str | None, Chained]:
    generator = torch.Generator().manual_seed(seed)
    grown, words = with_growth(snapshots, growth, sigma=sigma, coupling=solve)
    plans = plans_of(grown, sigma, solve)
    return grown, words, Chained(*chains_to_fit(grown, plans, n=n, generator=generator))


def _bridge_of(
    snapshots: Snapshots, law: Reference, training: Training | None, seed: int
) -> tuple[Bridge, _Said]:
    """Return a bridge, and what was warned of, which another process would not pass on."""
    generator = torch.Generator().manual_seed(seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bridge = fit_bridge(
            snapshots, law, coupling=solve, training=training, generator=generator, progress=False
        )
    return bridge, [(str(one.message), one.category) for one in caught]
