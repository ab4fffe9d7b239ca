"""Fit a flow: couple neighbouring snapshots once, draw chains, train the network."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any

import torch

from celltraj.models.course import Course, plans_of
from celltraj.models.flow.batches import PathBatches
from celltraj.models.flow.course_check import CourseCheck
from celltraj.models.flow.flow import FlowMatching
from celltraj.models.flow.losses import FlowLoss
from celltraj.models.flow.options import FlowOptions, Penalties
from celltraj.models.flow.path_likelihood import StartDensity
from celltraj.models.interpolants import Interpolant
from celltraj.models.networks import HeadSizes, TwoHeads
from celltraj.models.own_snapshots import Meeting
from celltraj.models.training.checkpoint import fingerprint
from celltraj.models.training.module import Job, train
from celltraj.models.training.options import ModelDefaults, Training
from celltraj.snapshots import Snapshots

_DEFAULTS = ModelDefaults(fewest_steps=4_000, cycle=1_000)
_VALIDATED = 4096  # points of held-out cells


def fit_flow(
    snapshots: Snapshots,
    interpolant: Interpolant,
    *,
    sigma: float,
    options: FlowOptions,
    training: Training,
    generator: torch.Generator,
    progress: bool = True,
) -> FlowMatching:
    """Flow matching: couple neighbouring snapshots once, and learn the flow along chains of cells.

    Parameters
    ----------
    snapshots
        Observed clouds.
    interpolant
        Paths through a chain; what it takes from the data is filled in.
    sigma
        Noise of the coupling, in [x]/sqrt([t]): epsilon is ``sigma^2`` times the gap.
    options
        How cells are coupled, and what the flow should be besides right.
    training
        How the network is trained.
    generator
        Source of randomness.
    progress
        Whether couplings and training show progress bars.

    Raises
    ------
    ValueError
        The interpolant does not suit the data.
    ConvergenceError
        A gap's coupling did not reach the solver's tolerance.
    TrainingError
        The loss became NaN; carries the last good network.

    Examples
    --------
    >>> import torch
    >>> from celltraj import ot
    >>> from celltraj.snapshots import Snapshots
    >>> from celltraj.models import FlowOptions, SplineInterpolant, Training, fit_flow
    >>> x = torch.randn(50, 1, generator=torch.Generator().manual_seed(0))
    >>> flow = fit_flow(
    ...     Snapshots((0.0, 1.0), (x, x + 2)), SplineInterpolant(), sigma=0.2,
    ...     options=FlowOptions(coupling=ot.solve), training=Training(max_steps=300),
    ...     generator=torch.Generator().manual_seed(0), progress=False,
    ... )
    >>> bool((flow.drift(0.5, x + 1) - 2).abs().mean() < 0.2)
    True
    """
    snapshots = snapshots.at_most(options.max_cells, seed=generator.initial_seed())
    kept, watched = _split(snapshots, training.validation, generator)
    course = Course.of(
        kept,
        interpolant,
        sigma=sigma,
        coupling=options.coupling,
        generator=generator,
        progress=progress,
    )
    schedule = training.schedule(_DEFAULTS, snapshots.n_cells)
    heads = _heads(course, training.width, generator=generator)
    box = torch.stack([torch.stack(list(x.aminmax(dim=0))) for x in snapshots.x])
    growth = course.plans.masses.growth()
    flow = FlowMatching(heads, snapshots.times, course.interpolant, box, mass=growth)
    start = _start(course, options, generator)
    check = CourseCheck(flow, Meeting.of(snapshots))
    batches = PathBatches(course, schedule.n_steps, schedule.batch_size, generator)
    validation = None
    # what is watched is how right the flow is, not what it should be besides
    plain = FlowLoss(course.interpolant, Penalties())
    if watched is not None:
        aside = Course(watched, plans_of(watched, sigma, options.coupling), course.interpolant)
        validation = PathBatches(aside, 1, _VALIDATED, generator).mean_loss(plain)
    elif training.patience is not None:
        validation = batches.validation(plain)
    job = Job(
        heads,
        batches,
        FlowLoss(course.interpolant, options.penalties, start),
        validation=validation,
        stop=check.stop(schedule),
        facts=_facts(snapshots, course, sigma, options),
    )
    trained, losses = train(job, training, schedule, progress=progress)
    return check.judged(replace(flow, heads=trained, losses=losses))


def _start(course: Course, options: FlowOptions, generator: torch.Generator) -> StartDensity | None:
    """Return the density that a likelihood begins with; None where none is asked for."""
    if not options.penalties.likelihood:
        return None
    if course.plans.masses.is_growing:
        raise ValueError(
            "Penalties(likelihood=) follows the ODE of a flow whose cells neither divide nor die; "
            "fit with growth=None"
        )
    return StartDensity.of(course.snapshots, generator)


def _facts(
    snapshots: Snapshots, course: Course, sigma: float, options: FlowOptions
) -> dict[str, Any]:
    """Return what tells the training from others, for a checkpoint."""
    return fingerprint(snapshots) | {
        "paths": type(course.interpolant).__name__,
        "coupling": repr(options.coupling),
        "sigma": sigma,
        "penalties": asdict(options.penalties),
    }


def _heads(course: Course, width: int, *, generator: torch.Generator) -> TwoHeads:
    """Return the network, in the units of its snapshots and of the paths between them."""
    snapshots = course.snapshots
    times = torch.tensor(snapshots.times, dtype=torch.float64)
    noise = float(course.interpolant.noise(times, (times[1:] + times[:-1]) / 2)[0].max())
    has_mass = course.plans.masses.is_growing
    sizes = HeadSizes(snapshots.dim, len(times), width=width, has_mass=has_mass)
    return TwoHeads(sizes, generator=generator).scale_to(snapshots, noise=noise)


def _split(
    snapshots: Snapshots, share: float, generator: torch.Generator
) -> tuple[Snapshots, Snapshots | None]:
    """Return the cells to train on and those to watch, a ``share`` of each snapshot."""
    if share == 0:
        return snapshots, None
    parts: tuple[list[Any], list[Any]] = ([], [])
    names = ("x", "weights", "growth") if snapshots.growth else ("x", "weights")
    for k, (t, x) in enumerate(zip(snapshots.times, snapshots.x, strict=True)):
        columns = [getattr(snapshots, name)[k] for name in names]
        order = torch.randperm(len(x), generator=generator)
        n_watched = math.ceil(share * len(x))
        if len(x) - n_watched < 1:
            raise ValueError(
                f"validation={share:g} leaves no cell of time {t:g} to train on; it has {len(x)}"
            )
        for part, rows in zip(parts, (order[n_watched:], order[:n_watched]), strict=True):
            part.append(tuple(values[rows] for values in columns))
    kept, watched = (
        replace(snapshots, **dict(zip(names, zip(*part, strict=True), strict=True)))
        for part in parts
    )
    return kept, watched
