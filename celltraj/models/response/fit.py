"""Fit the response of populations: couple within each, train encoder and field together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from tqdm.auto import tqdm

from celltraj.models.interpolants import Interpolant
from celltraj.models.networks import FieldSizes, MetaNetwork, ResponseField, scale_of
from celltraj.models.response.batches import ResponseBatches, StepSizes, Task
from celltraj.models.response.condition import Condition, ConditionCoder
from celltraj.models.response.losses import ResponseLoss
from celltraj.models.response.neighbours import NeighbourTransfer
from celltraj.models.response.options import ResponseOptions
from celltraj.models.response.pairs import Pairs, couple_treated, default_response_sigma
from celltraj.models.response.populations import Populations
from celltraj.models.response.response import MetaFlowMatching
from celltraj.models.response.strength import strength_of
from celltraj.models.response.support import Support
from celltraj.models.training.checkpoint import digest
from celltraj.models.training.module import Job, train
from celltraj.models.training.options import ModelDefaults, Training

_DEFAULTS = ModelDefaults(fewest_steps=3_000, batch_size=128, learning_rate=5e-3)
# a regression of ways, which the state does not blur, is learned sooner
_CARRIED = _DEFAULTS._replace(fewest_steps=1_000)
_GATED = _CARRIED._replace(learning_rate=2e-3)  # products of vectors make larger steps unstable
_CHANNELS = 20  # mixed vectors of one
_SUPPORT = 4096  # untreated cells that a model remembers
_FEWEST_REMEMBERED = 20  # of each population: of fewer nothing tells how wide it is
_NOWHERE = Support((), torch.empty(0, 0), torch.empty(0, 0), torch.empty(0, dtype=torch.long))


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
    n_cells = sum(len(group.x) for group in populations.groups)
    schedule = training.schedule(_defaults(options), n_cells, n_populations=options.n_populations)
    options.check_decay(schedule.learning_rate)
    groups = [(populations.controls[one.population], one.cells) for one in populations.treated]
    sigma = options.sigma or default_response_sigma(groups, generator=generator)
    coder = ConditionCoder.of(
        populations.conditions,
        features=options.features(),
        covariate_names=options.covariate_keys,
    )
    bar = tqdm(populations.treated, desc="coupling", unit="treatment", disable=not progress)
    pairs = [couple_treated(populations, one, options.coupling, sigma=sigma) for one in bar]
    network = _network(populations, options, coder, training.width, sigma, generator)
    options = _with_scales(populations, options, network.field)
    carried = _carried(populations, options, network.field)
    tasks = _tasks(populations, options, coder, network.field, pairs, carried)
    interpolant = _with_sigma(options.interpolant, pairs, sigma)
    step = StepSizes(options, network.field.sizes, schedule.batch_size)
    job = Job(
        network,
        ResponseBatches(tasks, interpolant, step, schedule.n_steps, generator),
        ResponseLoss(options.kl),
        groups=network.parameter_groups(weight_decay=options.weight_decay),
        facts=_facts(populations, options, coder, sigma),
    )
    trained, losses = train(job, training, schedule, progress=progress)
    model = MetaFlowMatching(trained, options.encoder, interpolant, coder, _NOWHERE, losses)
    model = _with_support(model, populations, carried, generator)
    return _with_base(model, populations, options.base, pairs, generator)


def _network(
    populations: Populations,
    options: ResponseOptions,
    coder: ConditionCoder,
    width: int,
    sigma: float,
    generator: torch.Generator,
) -> MetaNetwork:
    encoder, carried = options.pooling, options.carrying
    is_equivariant = carried is not None and carried.is_equivariant
    sizes = FieldSizes(
        dim=populations.dim,
        embedding=0 if encoder is None else encoder.n_features,
        token=coder.token_size,
        covariates=coder.n_covariates,
        heads=options.kernels,
        width=width,
        has_survival=not options.coupling.is_balanced,
        vectors=0 if carried is None else carried.n_vectors,
        scalars=0 if carried is None else carried.n_scalars,
        channels=_CHANNELS if is_equivariant else 0,
    )
    centre, scale = _units(populations, sigma / 2)
    if is_equivariant:  # one unit in all directions
        scale = scale.square().mean().sqrt().expand_as(scale)
    cells = torch.cat([group.x for group in populations.groups])
    box = torch.stack(list(cells.double().aminmax(dim=0)))
    network = ResponseField(sizes, generator=generator).scale_to(centre, scale, box)
    built = None if encoder is None else encoder.build(populations.dim, generator=generator)
    return MetaNetwork(network, built, generator=generator)


def _units(populations: Populations, noise: float) -> tuple[Tensor, Tensor]:
    """Return mean and spread of every variable, with all populations and conditions alike.

    In units of at least ``noise``, that of the paths half-way.
    """
    groups = populations.groups
    centre = torch.stack([group.x.double().mean(0) for group in groups]).mean(0)
    # about the centre: the difference of two squares has no digits far from zero
    squares = torch.stack([(group.x - centre).square().mean(0) for group in groups])
    return centre, scale_of(squares.mean(0).sqrt(), noise)


def _tasks(
    populations: Populations,
    options: ResponseOptions,
    coder: ConditionCoder,
    network: ResponseField,
    pairs: Sequence[Pairs],
    carried: Sequence[Tensor],
) -> list[Task]:
    """Return what the training draws from; features of a control are computed once."""
    features = [
        torch.zeros(len(x), 1) if options.pooling is None else options.pooling.features(x)
        for x in _standardised(populations, network)
    ]
    return [
        Task(
            pair,
            features[one.population],
            *_numbers(one.condition, coder),
            carried[one.population],
        )
        for one, pair in zip(populations.treated, pairs, strict=True)
    ]


def _with_scales(
    populations: Populations, options: ResponseOptions, network: ResponseField
) -> ResponseOptions:
    """Return the options with an encoder whose scales are those of the populations."""
    encoder = options.carrying
    if encoder is None:
        return options
    return replace(options, encoder=encoder.fit(_standardised(populations, network)))


def _carried(
    populations: Populations, options: ResponseOptions, network: ResponseField
) -> list[Tensor]:
    """Return the features that untreated cells carry; the field takes its units from them."""
    cells, encoder = _standardised(populations, network), options.carrying
    if encoder is None or network.carried is None:
        return [torch.zeros(len(x), 0) for x in cells]
    carried = [encoder.carried(x, x) for x in cells]
    network.carried.scale_to(carried)
    return carried


def _standardised(populations: Populations, network: ResponseField) -> list[Tensor]:
    return [(one.x - network.centre).float() / network.scale for one in populations.controls]


def _defaults(options: ResponseOptions) -> ModelDefaults:
    """Return what the training takes where it is left open."""
    carried = options.carrying
    if carried is None:
        return _DEFAULTS
    return _GATED if carried.is_equivariant else _CARRIED


def _numbers(condition: Condition, coder: ConditionCoder) -> tuple[Tensor, Tensor]:
    """Return tokens and covariates of a condition."""
    return coder.tokens(condition), coder.covariate_vector(condition)


def _with_sigma(interpolant: Interpolant, pairs: Sequence[Pairs], sigma: float) -> Interpolant:
    first = pairs[0]
    chain = torch.stack([first.before[first.i[:100].long()], first.after[first.j[:100].long()]])
    gap = torch.zeros(chain.shape[1], dtype=torch.long)
    return interpolant.fit(torch.tensor([0.0, 1.0]), chain, gap, sigma=sigma)


def _with_support(
    model: MetaFlowMatching,
    populations: Populations,
    carried: Sequence[Tensor],
    generator: torch.Generator,
) -> MetaFlowMatching:
    """Return the model that remembers its training populations."""
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


def _with_base(
    model: MetaFlowMatching,
    populations: Populations,
    strength: float | None,
    pairs: Sequence[Pairs],
    generator: torch.Generator,
) -> MetaFlowMatching:
    """Return the model with neighbours as its base, where several populations are there to be."""
    if strength == 0 or len(populations.names) < 2:
        return model
    centre = model.network.field.centre
    base = NeighbourTransfer.of(populations, pairs, centre, generator=generator)
    if strength is None:
        strength = strength_of(base, populations, centre, generator=generator)
    return replace(model, base=base, strength=strength) if strength > 0 else model


def _facts(
    populations: Populations, options: ResponseOptions, coder: ConditionCoder, sigma: float
) -> dict[str, object]:
    """Return what tells this training from others, for a checkpoint."""
    groups = [*populations.controls, *(one.cells for one in populations.treated)]
    told = [v for one in populations.conditions for v in _numbers(one, coder)]
    owners = [populations.names[one.population] for one in populations.treated]
    labels = json.dumps([owners, [one.name for one in populations.conditions]])
    return {
        "n_cells": [len(group.x) for group in groups],
        "digest of the cells": digest([group.x for group in groups]),
        "digest of the cell types": digest([g.types for g in groups if g.types is not None]),
        "digest of the conditions": digest(told),
        "digest of the labels": hashlib.sha256(labels.encode()).hexdigest()[:16],
        "encoder": repr(options.encoder),
        "n_kernels": options.kernels,
        "coupling": repr(options.coupling),
        "paths": type(options.interpolant).__name__,
        "sigma": sigma,
        **options.numbers(),
    }
