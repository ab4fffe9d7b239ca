"""Fit a mean-field law of several populations, and the bridge of each that is nearest to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from celltraj._errors import FitWarning, warn
from celltraj.models.growth.convention import GrowthModel
from celltraj.models.mean_field.bridges import FAILS, MeanFieldBridges, SeenPopulation
from celltraj.models.mean_field.courses import PopulationCourses
from celltraj.models.mean_field.learn import OWN, FoundLaw, learned_law
from celltraj.models.references.crowd import Crowd
from celltraj.models.references.mean_field import MeanField
from celltraj.models.references.mean_field_process import MeanFieldProcess
from celltraj.models.several import Several
from celltraj.models.training.options import Training

_CHAINS = 256  # of each gap, which a law is fitted to and which stand for the population


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
    several = Several("population", seed, progress)
    several.check(settings.training)
    sigma = cells.sigma if settings.sigma is None else settings.sigma
    grown = several.chained(cells.courses, sigma, settings.growth, n=_CHAINS)
    found = learned_law(
        settings.law, grown.chains, sigma=sigma, own=settings.own, progress=progress
    )
    processes = {name: _continued(found, name, several.seed_of(name)) for name in cells.names}
    bridges = several.bridges(grown.courses, processes, settings.training)
    seen = tuple(
        SeenPopulation(
            name,
            cells.courses[name].times,
            tuple(map(len, cells.courses[name].x)),
            found.unexplained[name],
            grown.words[name] or "",
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


def _continued(found: FoundLaw, name: str, seed: int) -> MeanFieldProcess:
    """Return how a population moves its cells, also for as long again as it was seen."""
    crowd = found.crowds[name]
    first, last = crowd.span
    later = MeanFieldProcess.of(
        found.law,
        crowd.x[-1],
        start=last,
        stop=2 * last - first,
        seed=seed,
    )
    whole: Crowd = crowd.joined(later.crowd)
    return MeanFieldProcess(found.law, whole, found.law.sigma)
