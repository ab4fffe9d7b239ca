"""Fit laws that conditions share, and a bridge of each condition on its law."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from celltraj._errors import FitWarning, warn
from celltraj._parallel import mapped
from celltraj.models.arms.arms import Arm, Arms
from celltraj.models.arms.courses import ArmCourses
from celltraj.models.arms.laws import Chained, FoundLaws, shared_laws
from celltraj.models.arms.likeness import Likeness
from celltraj.models.bridge.bridge import Bridge
from celltraj.models.bridge.fit import check_training, fit_bridge
from celltraj.models.course import chains_to_fit, plans_of
from celltraj.models.growth.convention import GrowthModel, with_growth
from celltraj.models.interpolants.reference import FAILS
from celltraj.models.references.kernel import KernelReference
from celltraj.models.training.options import Training
from celltraj.ot import solve
from celltraj.snapshots import Snapshots

_CHAINS = 200  # of each gap that laws are fitted to
_Said = list[tuple[str, type[Warning]]]


@dataclass(frozen=True)
class ArmSettings:
    """Say how arms are fitted.

    Parameters
    ----------
    sigma
        Diffusion, in [x]/sqrt([t]); None for that of the cells.
    growth
        How much cells divide and die, see :func:`celltraj.tl.fit_arms`.
    training
        How the networks are trained; None for plug-in drifts.
    """

    sigma: float | None = None
    growth: GrowthModel = "auto"
    training: Training | None = None


def fit_arms(
    cells: ArmCourses, settings: ArmSettings, *, seed: int = 0, progress: bool = False
) -> Arms:
    """Learn the laws of all conditions together, and a bridge of each that is nearest to its law.

    Parameters
    ----------
    cells
        Cells of all conditions.
    settings
        How they are fitted.
    seed
        Seed of everything random; what is drawn for a condition depends on its name besides.
    progress
        Whether to show progress bars.

    Raises
    ------
    ValueError
        Snapshots coincide, or a training keeps cells or writes one checkpoint for all conditions.
    ConvergenceError
        ``sigma`` is too small for the solver to bridge a gap.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.arms.courses import ArmCourses
    >>> from celltraj.models.arms.fit import ArmSettings, fit_arms
    >>> from celltraj.snapshots import Snapshots
    >>> x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    >>> steady = {name: Snapshots((0.0, 1.0, 2.0), (x, x + 1, x + 2)) for name in "ab"}
    >>> fit_arms(ArmCourses(steady), ArmSettings()).own  # one law is enough
    0.0
    """
    _check(settings.training)
    sigma = cells.sigma if settings.sigma is None else settings.sigma
    grown, words, chains = _chained(cells, sigma, settings.growth, seed, progress=progress)
    where = {name: k for k, name in enumerate(cells.names)}
    alone = [x for _, x in cells.once.values()]
    laws = shared_laws(
        {where[name]: chains[name] for name in chains},
        cells.roots,
        sigma=sigma,
        alone=torch.cat(alone) if alone else None,
        progress=progress,
    )
    bridges = _bridges(grown, laws, where, settings.training, seed, progress=progress)
    arms = Arms(
        bridges,
        {name: laws.laws[k] for name, k in where.items()},
        laws.own,
        tuple((own, _known(miss)) for own, miss in laws.candidates.items()),
        tuple(_seen(name, cells, laws.misses[k], words.get(name)) for name, k in where.items()),
        Likeness(cells.covariates, laws.common, laws.kind) if cells.covariates else None,
    )
    if arms.miss >= FAILS:
        warn(
            f"{arms.in_words}: beyond the snapshots of a condition forecasts are no better than "
            "no change; between them bridges hold nevertheless",
            FitWarning,
        )
    return arms


def _check(training: Training | None) -> None:
    check_training(training)
    if training is not None and training.trainer.checkpoint is not None:
        raise ValueError(
            "a checkpoint is of one training, and each condition has its own; leave checkpoint= "
            "out of TrainerOptions"
        )


def _seeded(seed: int, name: str) -> torch.Generator:
    """Return draws that depend on the seed and the condition, not on what other ones there are."""
    return torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))


def _chained(
    cells: ArmCourses, sigma: float, growth: GrowthModel, seed: int, *, progress: bool
) -> tuple[dict[str, Snapshots], dict[str, str | None], dict[str, Chained]]:
    """Return snapshots with growth, what that is, and chains along the couplings, by condition."""
    names = sorted(cells.courses)
    tasks = ((cells.courses[name], sigma, growth, _seeded(seed, name)) for name in names)
    what = ("coupling", "condition")
    found = list(mapped(_chains_of, tasks, n_tasks=len(names), what=what, progress=progress))
    parts = [dict(zip(names, part, strict=True)) for part in zip(*found, strict=True)]
    return parts[0], parts[1], parts[2]


def _chains_of(
    snapshots: Snapshots, sigma: float, growth: GrowthModel, generator: torch.Generator
) -> tuple[Snapshots, str | None, Chained]:
    grown, words = with_growth(snapshots, growth, sigma=sigma, coupling=solve)
    plans = plans_of(grown, sigma, solve)
    return grown, words, Chained(*chains_to_fit(grown, plans, n=_CHAINS, generator=generator))


def _bridges(
    courses: Mapping[str, Snapshots],
    laws: FoundLaws,
    where: Mapping[str, int],
    training: Training | None,
    seed: int,
    *,
    progress: bool,
) -> dict[str, Bridge]:
    """Return the bridge of each condition on its law, and say which one is warned of."""
    tasks = (
        (courses[name], laws.laws[where[name]], training, _seeded(seed, name)) for name in courses
    )
    what = ("bridges", "condition")
    found = mapped(_bridge_of, tasks, n_tasks=len(courses), what=what, progress=progress)
    bridges = {}
    for name, (bridge, said) in zip(courses, found, strict=True):
        bridges[name] = bridge
        for message, category in said:
            warn(f"condition {name!r}: {message}", category)
    return bridges


def _bridge_of(
    snapshots: Snapshots,
    law: KernelReference,
    training: Training | None,
    generator: torch.Generator,
) -> tuple[Bridge, _Said]:
    """Return a bridge, and what was warned of, which another process would not pass on."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bridge = fit_bridge(
            snapshots, law, coupling=solve, training=training, generator=generator, progress=False
        )
    return bridge, [(str(one.message), one.category) for one in caught]


def _seen(name: str, cells: ArmCourses, misses: tuple[float, ...], growth: str | None) -> Arm:
    if name in cells.once:
        time, x = cells.once[name]
        return Arm(name, (time,), (len(x),))
    one = cells.courses[name]
    return Arm(name, one.times, tuple(map(len, one.x)), tuple(map(_known, misses)), growth or "")


def _known(value: float) -> float | None:
    return None if value != value else value  # files hold no NaN
