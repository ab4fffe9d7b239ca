"""Fit the response of populations: couple within each, train encoder and field together."""

from __future__ import annotations

from dataclasses import replace

import torch

from celltraj._parallel import mapped
from celltraj.models.response.choice import chosen_encoder
from celltraj.models.response.condition import ConditionCoder
from celltraj.models.response.lesson import (
    Lesson,
    carried_by,
    frame_of,
    source_of,
    state_of,
    taught_apart,
    taught_networks,
)
from celltraj.models.response.neighbours import NeighbourTransfer
from celltraj.models.response.options import ResponseOptions
from celltraj.models.response.out_of_bag import FEWEST_STEPS, Bag, left_out, small
from celltraj.models.response.pairs import couple_all, default_response_sigma
from celltraj.models.response.populations import Populations
from celltraj.models.response.response import MetaFlowMatching
from celltraj.models.response.schedule import schedule_of
from celltraj.models.response.strength import FEWEST, HALF, Strength, strength_of
from celltraj.models.response.support import Support
from celltraj.models.training.options import Schedule, Training

_SUPPORT = 4096  # untreated cells that a model remembers
_FEWEST_REMEMBERED = 20  # of each population: of fewer nothing tells how wide it is


def fit_response(
    populations: Populations,
    options: ResponseOptions,
    *,
    training: Training,
    generator: torch.Generator,
    progress: bool = True,
) -> MetaFlowMatching:
    """Meta Flow Matching: couple within each population and condition, and learn one field for all.

    ``E_i E_(x0, x1) E_t |v(t, x_t | phi(p0_i), c_i) - (x1 - x0)|^2`` over populations and
    conditions ``i``, drawn equally often, by one optimiser for encoder and field. A prediction is
    the mean of what the field makes of a cell and of where its neighbours in other populations
    went, see :class:`celltraj.models.ResponseOptions`; with one population the field speaks alone.

    Parameters
    ----------
    populations
        Cells before and after.
    options
        How populations and conditions enter, and how cells are coupled.
    training
        How the network is trained.
    generator
        Source of randomness.
    progress
        Whether couplings and training show progress bars.

    Raises
    ------
    ValueError
        A drug without features, doses for some conditions only, or no cell type common to before
        and after.
    ConvergenceError
        A coupling did not reach the solver's tolerance.
    TrainingError
        The loss became NaN; carries the last good network.

    References
    ----------
    Atanackovic et al., *Meta Flow Matching* (2024), arXiv 2408.14608.

    Examples
    --------
    >>> import torch
    >>> from celltraj import models
    >>> x = torch.randn(40, 1, generator=torch.Generator().manual_seed(0))
    >>> drug = models.Condition(("drug",))
    >>> model = models.fit_response(
    ...     models.Populations(
    ...         ("a",), (models.Group(x),), (models.Treated(0, drug, models.Group(x + 2)),)
    ...     ),
    ...     models.ResponseOptions(n_kernels=0), training=models.Training(max_steps=200),
    ...     generator=torch.Generator().manual_seed(0), progress=False,
    ... )
    >>> after = model.respond(x, drug, generator=torch.Generator())
    >>> bool((after.x - x - 2).abs().mean() < 0.2)
    True
    """
    training.without_validation("a response", "it couples all of them")
    populations = populations.in_order()
    options.check_decay(schedule_of(training, options, populations).learning_rate)
    lesson = _lesson(populations, options, generator, progress=progress)
    base, strength = _base(lesson, source_of("base", generator.initial_seed()))
    choice = chosen_encoder(
        lesson,
        training,
        (base, strength),
        generator=source_of("encoder", generator.initial_seed()),
        progress=progress,
    )
    lesson = lesson.read_by(choice.encoder)
    schedule = schedule_of(training, lesson.options, populations)
    networks, losses = taught_networks(lesson, training, schedule, generator, progress=progress)
    model = _with_support(lesson.response(networks, losses), lesson, generator)
    model = replace(model, encoder_reason=choice.reason)
    model = _with_base(model, base, strength, options.base)
    if options.weigh_base and model.strength == HALF:
        return _weighed(model, lesson, small(training, schedule), generator, progress=progress)
    return model


def _lesson(
    populations: Populations,
    options: ResponseOptions,
    generator: torch.Generator,
    *,
    progress: bool,
) -> Lesson:
    """Return what networks are taught: coupled cells, and conditions as numbers."""
    groups = [(populations.controls[one.population], one.cells) for one in populations.treated]
    sigma = options.sigma or default_response_sigma(groups, generator=generator)
    coder = ConditionCoder.of(
        populations.conditions,
        features=options.features(),
        covariate_names=options.covariate_keys,
    )
    pairs = couple_all(populations, options.coupling, sigma=sigma, progress=progress)
    return Lesson(populations, options, coder, pairs, sigma)


def _weighed(
    model: MetaFlowMatching,
    lesson: Lesson,
    how: tuple[Training, Schedule],
    generator: torch.Generator,
    *,
    progress: bool,
) -> MetaFlowMatching:
    """Return the model with the weight of its base that small networks find."""
    populations, n_steps = lesson.populations, how[1].n_steps
    if model.base is None or len(populations.names) < FEWEST:
        return model
    if n_steps < FEWEST_STEPS:
        why = f"by default: small networks of {n_steps} steps tell nothing, {FEWEST_STEPS} may"
        return replace(model, reason=why)
    without = left_out(len(populations.names), generator=generator)
    taught = mapped(
        taught_apart,
        (
            (lesson.of(~row), *how, state_of(generator.initial_seed(), -1 - k))
            for k, row in enumerate(without)
        ),
        n_tasks=len(without),
        what=("weighing the base", "network"),
        progress=progress,
    )
    alone = replace(model, base=None, others=())
    networks = [replace(alone, network=network) for network, _, _ in taught]
    bag = Bag(networks, without, model.base, populations, model.network.field.centre)
    found = bag.weighed(generator=generator)
    return replace(model, strength=found.weight, reason=found.reason)


def _with_support(
    model: MetaFlowMatching, lesson: Lesson, generator: torch.Generator
) -> MetaFlowMatching:
    """Return the model that remembers its training populations."""
    populations = lesson.populations
    carried = carried_by(populations, lesson.options, model.network.field)
    share = max(_SUPPORT // len(populations.names), _FEWEST_REMEMBERED)
    cells, owner = [], []
    for k, group in enumerate(populations.controls):
        rows = torch.randperm(len(group.x), generator=generator)[:share]
        cells.append(model.standardised(group.x[rows]))
        owner.append(torch.full((len(rows),), k))
    embeddings = torch.stack(
        [
            model.embed(group.x) if told.shape[1] == 0 else model.mean_carried(told)
            for group, told in zip(populations.controls, carried, strict=True)
        ]
    )
    support = Support(populations.names, embeddings, torch.cat(cells), torch.cat(owner))
    return replace(model, support=support)


def _base(lesson: Lesson, generator: torch.Generator) -> tuple[NeighbourTransfer | None, Strength]:
    """Return neighbours in other populations, as far as they are asked for, and their weight."""
    populations, options = lesson.populations, lesson.options
    if len(populations.names) < 2:
        return None, Strength(0.0, "one population has no neighbours in others")
    given = None if isinstance(options.encoder, str) else options.base
    if given == 0:
        return None, Strength(given, "as given")
    centre, _ = frame_of(populations, lesson.sigma, is_isotropic=False)
    base = NeighbourTransfer.of(populations, lesson.pairs, centre, generator=generator)
    if given is not None:
        return base, Strength(given, "as given")
    return base, strength_of(base, populations, centre, generator=generator)


def _with_base(
    model: MetaFlowMatching,
    base: NeighbourTransfer | None,
    found: Strength,
    given: float | None,
) -> MetaFlowMatching:
    """Return the model with neighbours as its base, of the weight that is given or was found."""
    strength = found if given is None or base is None else Strength(given, "as given")
    model = replace(model, reason=strength.reason)
    if base is None or strength.weight == 0:
        return model
    return replace(model, base=base, strength=strength.weight)
