"""Fit laws that conditions share, and a bridge of each condition on its law."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from celltraj._errors import FitWarning, warn
from celltraj.models.arms.arms import Arm, Arms
from celltraj.models.arms.courses import ArmCourses
from celltraj.models.arms.laws import shared_laws
from celltraj.models.arms.likeness import Likeness
from celltraj.models.growth.convention import GrowthModel
from celltraj.models.interpolants.reference import FAILS
from celltraj.models.references.family import Reference
from celltraj.models.several import Several
from celltraj.models.training.options import Training

_CHAINS = 200  # of each gap that laws are fitted to


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
    several = Several("condition", seed, progress)
    several.check(settings.training)
    sigma = cells.sigma if settings.sigma is None else settings.sigma
    grown = several.chained(cells.courses, sigma, settings.growth, n=_CHAINS)
    where = {name: k for k, name in enumerate(cells.names)}
    alone = [x for _, x in cells.once.values()]
    laws = shared_laws(
        {where[name]: chains for name, chains in grown.chains.items()},
        cells.roots,
        sigma=sigma,
        alone=torch.cat(alone) if alone else None,
        progress=progress,
    )
    by_name: dict[str, Reference] = {name: laws.laws[k] for name, k in where.items()}
    bridges = several.bridges(grown.courses, by_name, settings.training)
    arms = Arms(
        bridges,
        by_name,
        laws.own,
        tuple((own, _known(miss)) for own, miss in laws.candidates.items()),
        tuple(
            _seen(name, cells, laws.misses[k], grown.words.get(name)) for name, k in where.items()
        ),
        Likeness(cells.covariates, laws.common, laws.kind) if cells.covariates else None,
        tuple((kind, own, _known(miss)) for (kind, own), miss in laws.compared.items()),
    )
    if arms.miss >= FAILS:
        warn(
            f"{arms.in_words}: beyond the snapshots of a condition forecasts are no better than "
            "no change; between them bridges hold nevertheless",
            FitWarning,
        )
    return arms


def _seen(name: str, cells: ArmCourses, misses: tuple[float, ...], growth: str | None) -> Arm:
    if name in cells.once:
        time, x = cells.once[name]
        return Arm(name, (time,), (len(x),))
    one = cells.courses[name]
    return Arm(name, one.times, tuple(map(len, one.x)), tuple(map(_known, misses)), growth or "")


def _known(value: float) -> float | None:
    return None if value != value else value  # files hold no NaN
