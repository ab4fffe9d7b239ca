"""Fit a mean-field law of several populations, and the bridge of each that is nearest to it."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from celltraj._errors import FitWarning, warn
from celltraj._parallel import mapped
from celltraj.models.bridge.bridge import Bridge
from celltraj.models.bridge.fit import check_training, fit_bridge
from celltraj.models.course import chains_to_fit, plans_of
from celltraj.models.growth.convention import GrowthModel, with_growth
from celltraj.models.mean_field.bridges import FAILS, MeanFieldBridges, SeenPopulation
from celltraj.models.mean_field.courses import PopulationCourses
from celltraj.models.mean_field.learn import OWN, Chained, FoundLaw, learned_law
from celltraj.models.references.crowd import Crowd
from celltraj.models.references.mean_field import MeanField
from celltraj.models.references.mean_field_process import MeanFieldProcess
from celltraj.models.training.options import Training
from celltraj.ot import solve
from celltraj.snapshots import Snapshots

_CHAINS = 256  # of each gap, which a law is fitted to and which stand for the population
_Said = list[tuple[str, type[Warning]]]


@dataclass(frozen=True)
class MeanFieldSettings:
    """Say how a mean-field law and its bridges are fitted.

    Parameters
    ----------
    law
        Family of laws.
    sigma
        Diffusion, in [x]/sqrt([t]); None for that of the cells.
    growth
        How much cells divide and die, see :func:`celltraj.tl.fit_mean_field`.
    training
        How the networks are trained; None for plug-in drifts.
    own
        How much what is around a cell may count, 0 among them: what is chosen among.
    """

    law: MeanField = field(default_factory=MeanField)
    sigma: float | None = None
    growth: GrowthModel = "auto"
    training: Training | None = None
    own: tuple[float, ...] = OWN


def fit_mean_field(
    cells: PopulationCourses,
    settings: MeanFieldSettings,
    *,
    seed: int = 0,
    progress: bool = False,
) -> MeanFieldBridges:
    """Learn the law of all populations together, and a bridge of each that is nearest to it.

    Parameters
    ----------
    cells
        Cells of all populations.
    settings
        How they are fitted.
    seed
        Seed of everything random; what is drawn for a population depends on its name besides.
    progress
        Whether to show progress bars.

    Raises
    ------
    ValueError
        Snapshots coincide, or a training keeps cells or writes one checkpoint for all populations.
    ConvergenceError
        ``sigma`` is too small for the solver to bridge a gap.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.mean_field.courses import PopulationCourses
    >>> from celltraj.models.mean_field.fit import MeanFieldSettings, fit_mean_field
    >>> from celltraj.snapshots import Snapshots
    >>> x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    >>> steady = {name: Snapshots((0.0, 1.0, 2.0), (x, x + 1, x + 2)) for name in "abc"}
    >>> settings = MeanFieldSettings(growth=None)
    >>> fit_mean_field(PopulationCourses(steady), settings).own  # nothing pulls
    0.0
    """
    check_training(settings.training)
    if settings.training is not None and settings.training.trainer.checkpoint is not None:
        raise ValueError(
            "a checkpoint is of one training, and each population has its own; leave checkpoint= "
            "out of TrainerOptions"
        )
    sigma = cells.sigma if settings.sigma is None else settings.sigma
    grown, words, chains = _chained(cells, sigma, settings.growth, seed, progress=progress)
    found = learned_law(settings.law, chains, sigma=sigma, own=settings.own, progress=progress)
    processes = {name: _continued(found, name, seed) for name in cells.names}
    bridges = _bridges(grown, processes, settings.training, seed, progress=progress)
    seen = tuple(
        SeenPopulation(
            name,
            cells.courses[name].times,
            tuple(map(len, cells.courses[name].x)),
            found.unexplained[name],
            words[name] or "",
        )
        for name in cells.names
    )
    fitted = MeanFieldBridges(bridges, found.own, tuple(found.candidates.items()), seen)
    if fitted.unexplained >= FAILS:
        warn(
            f"{fitted.in_words}: little of how other populations move, or these beyond their "
            "snapshots, is foretold; between them bridges hold nevertheless",
            FitWarning,
        )
    return fitted


def _seeded(seed: int, name: str) -> torch.Generator:
    """Return draws that depend on the seed and the population, not on what other ones there are."""
    return torch.Generator().manual_seed(_number(seed, name))


def _number(seed: int, name: str) -> int:
    return zlib.crc32(f"{seed} {name}".encode())


def _chained(
    cells: PopulationCourses, sigma: float, growth: GrowthModel, seed: int, *, progress: bool
) -> tuple[dict[str, Snapshots], dict[str, str | None], dict[str, Chained]]:
    """Return snapshots with growth, what that is, and chains along the couplings, by population."""
    names = cells.names
    tasks = ((cells.courses[name], sigma, growth, _seeded(seed, name)) for name in names)
    what = ("coupling", "population")
    found = list(mapped(_chains_of, tasks, n_tasks=len(names), what=what, progress=progress))
    parts = [dict(zip(names, part, strict=True)) for part in zip(*found, strict=True)]
    return parts[0], parts[1], parts[2]


def _chains_of(
    snapshots: Snapshots, sigma: float, growth: GrowthModel, generator: torch.Generator
) -> tuple[Snapshots, str | None, Chained]:
    grown, words = with_growth(snapshots, growth, sigma=sigma, coupling=solve)
    plans = plans_of(grown, sigma, solve)
    return grown, words, Chained(*chains_to_fit(grown, plans, n=_CHAINS, generator=generator))


def _continued(found: FoundLaw, name: str, seed: int) -> MeanFieldProcess:
    """Return how a population moves its cells, also for as long again as it was seen."""
    crowd = found.crowds[name]
    first, last = crowd.span
    later = MeanFieldProcess.of(
        found.law,
        crowd.x[-1],
        start=last,
        stop=2 * last - first,
        seed=_number(seed, name),
    )
    whole: Crowd = crowd.joined(later.crowd)
    return MeanFieldProcess(found.law, whole, found.law.sigma)


def _bridges(
    courses: Mapping[str, Snapshots],
    processes: Mapping[str, MeanFieldProcess],
    training: Training | None,
    seed: int,
    *,
    progress: bool,
) -> dict[str, Bridge]:
    """Return the bridge of each population on its law, and say which one is warned of."""
    tasks = ((courses[name], processes[name], training, _seeded(seed, name)) for name in courses)
    what = ("bridges", "population")
    found = mapped(_bridge_of, tasks, n_tasks=len(courses), what=what, progress=progress)
    bridges = {}
    for name, (bridge, said) in zip(courses, found, strict=True):
        bridges[name] = bridge
        for message, category in said:
            warn(f"population {name!r}: {message}", category)
    return bridges


def _bridge_of(
    snapshots: Snapshots,
    process: MeanFieldProcess,
    training: Training | None,
    generator: torch.Generator,
) -> tuple[Bridge, _Said]:
    """Return a bridge, and what was warned of, which another process would not pass on."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bridge = fit_bridge(
            snapshots,
            process,
            coupling=solve,
            training=training,
            generator=generator,
            progress=False,
        )
    return bridge, [(str(one.message), one.category) for one in caught]
