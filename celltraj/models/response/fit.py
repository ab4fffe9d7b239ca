"""Fit the response of populations: couple within each, train encoder and field together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import torch
from torch import Tensor

from celltraj._parallel import mapped
from celltraj.models.encoders import PopulationEncoder
from celltraj.models.interpolants import Interpolant
from celltraj.models.networks import FieldSizes, MetaNetwork, ResponseField, scale_of
from celltraj.models.response.batches import ResponseBatches, StepSizes, Task
from celltraj.models.response.cell_identity import key_of
from celltraj.models.response.condition import Condition, ConditionCoder
from celltraj.models.response.losses import ResponseLoss
from celltraj.models.response.neighbours import NeighbourTransfer
from celltraj.models.response.options import ResponseOptions
from celltraj.models.response.out_of_bag import FEWEST_STEPS, Bag, left_out, small
from celltraj.models.response.pairs import Pairs, couple_all, default_response_sigma
from celltraj.models.response.populations import Populations
from celltraj.models.response.response import MetaFlowMatching
from celltraj.models.response.strength import FEWEST, HALF, strength_of
from celltraj.models.response.support import Support
from celltraj.models.training.checkpoint import digest
from celltraj.models.training.module import Job, train
from celltraj.models.training.options import ModelDefaults, Schedule, Training

_DEFAULTS = ModelDefaults(fewest_steps=3_000, batch_size=128, learning_rate=5e-3)
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
    schedule = training.schedule(_DEFAULTS, n_cells, n_populations=options.n_populations)
    options.check_decay(schedule.learning_rate)
    groups = [(populations.controls[one.population], one.cells) for one in populations.treated]
    sigma = options.sigma or default_response_sigma(groups, generator=generator)
    coder = ConditionCoder.of(
        populations.conditions,
        features=options.features(),
        covariate_names=options.covariate_keys,
    )
    pairs = couple_all(populations, options.coupling, sigma=sigma, progress=progress)
    lesson = _Lesson(populations, options, coder, pairs, sigma)
    networks, losses = _networks(lesson, training, schedule, generator, progress=progress)
    model = MetaFlowMatching(
        networks[0],
        options.encoder,
        lesson.interpolant,
        coder,
        _NOWHERE,
        losses,
        others=tuple(networks[1:]),
        has_lived=populations.has_lived,
    )
    model = _with_support(model, populations, generator)
    model = _with_base(model, populations, options.base, pairs, generator)
    if options.weigh_base and model.strength == HALF:
        return _weighed(model, lesson, small(training, schedule), generator, progress=progress)
    return model


@dataclass(frozen=True, eq=False)
class _Lesson:
    """Hold what networks are taught, which is the same for all of an ensemble."""

    populations: Populations
    options: ResponseOptions
    coder: ConditionCoder
    pairs: Sequence[Pairs]
    sigma: float

    def of(self, kept: Tensor) -> _Lesson:
        """Return what is taught of some of the populations, ``(p,)`` true for those kept."""
        treated = self.populations.treated
        chosen = [k for k, one in enumerate(treated) if kept[one.population]]
        populations = self.populations.subset(chosen)
        return replace(self, populations=populations, pairs=[self.pairs[k] for k in chosen])

    @property
    def interpolant(self) -> Interpolant:
        return _with_sigma(self.options.interpolant, self.pairs, self.sigma)

    def taught(
        self, training: Training, schedule: Schedule, state: Tensor, *, progress: bool
    ) -> tuple[MetaNetwork, tuple[float, ...], Tensor]:
        """Return a network, its losses, and the state in which it left the source of randomness."""
        generator = torch.Generator()
        generator.set_state(state)
        populations, options, coder = self.populations, self.options, self.coder
        network = _network(populations, options, coder, training.width, self.sigma, generator)
        tasks = _tasks(populations, options.encoder, coder, network.field, self.pairs)
        step = StepSizes(options, network.field.sizes, schedule.batch_size)
        job = Job(
            network,
            ResponseBatches(tasks, self.interpolant, step, schedule.n_steps, generator),
            ResponseLoss(options.kl),
            groups=network.parameter_groups(weight_decay=options.weight_decay),
            facts=_facts(populations, options, coder, self.sigma),
        )
        trained, losses = train(job, training, schedule, progress=progress)
        return trained, losses, generator.get_state()


def _networks(
    lesson: _Lesson,
    training: Training,
    schedule: Schedule,
    generator: torch.Generator,
    *,
    progress: bool,
) -> tuple[list[MetaNetwork], tuple[float, ...]]:
    """Return the networks of an ensemble and their mean losses; the first is that of no ensemble.

    The generator is left in the state in which the first network leaves it.
    """
    n = lesson.options.n_models
    states = [generator.get_state(), *(_state(generator.initial_seed(), k) for k in range(1, n))]
    if n == 1:
        taught = [lesson.taught(training, schedule, states[0], progress=progress)]
    else:
        taught = list(
            mapped(
                _taught,
                ((training.of_network(k), schedule, states[k]) for k in range(n)),
                n_tasks=n,
                what=("training", "network"),
                shared=(lesson,),
                progress=progress,
            )
        )
    networks, losses, ends = zip(*taught, strict=True)
    generator.set_state(ends[0])
    return list(networks), tuple(fmean(step) for step in zip(*losses, strict=False))


def _taught(
    lesson: _Lesson, training: Training, schedule: Schedule, state: Tensor
) -> tuple[MetaNetwork, tuple[float, ...], Tensor]:
    """Return one network of several, whose steps have no bar."""
    return lesson.taught(training, schedule, state, progress=False)


def _weighed(
    model: MetaFlowMatching,
    lesson: _Lesson,
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
        _taught,
        (
            (lesson.of(~row), *how, _state(generator.initial_seed(), -1 - k))
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
    return replace(model, strength=found.strength, reason=found.reason)


def _state(seed: int, number: int) -> Tensor:
    """Return the state in which a network of an ensemble finds its source of randomness."""
    return torch.Generator().manual_seed(key_of("network", seed, number)).get_state()


def _network(
    populations: Populations,
    options: ResponseOptions,
    coder: ConditionCoder,
    width: int,
    sigma: float,
    generator: torch.Generator,
) -> MetaNetwork:
    encoder = options.encoder
    sizes = FieldSizes(
        dim=populations.dim,
        embedding=0 if encoder is None else encoder.n_features,
        token=coder.token_size,
        covariates=coder.n_covariates,
        heads=options.n_kernels,
        width=width,
        has_survival=populations.has_lived or not options.coupling.is_balanced,
    )
    centre, scale = _units(populations, sigma / 2)
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
    encoder: PopulationEncoder | None,
    coder: ConditionCoder,
    network: ResponseField,
    pairs: Sequence[Pairs],
) -> list[Task]:
    """Return what the training draws from; features of a control are computed once."""

    def features(x: Tensor) -> Tensor:
        if encoder is None:
            return torch.zeros(len(x), 1)
        return encoder.features((x - network.centre).float() / network.scale)

    controls = [features(group.x) for group in populations.controls]
    return [
        Task(pair, controls[one.population], *_numbers(one.condition, coder))
        for one, pair in zip(populations.treated, pairs, strict=True)
    ]


def _numbers(condition: Condition, coder: ConditionCoder) -> tuple[Tensor, Tensor]:
    """Return tokens and covariates of a condition."""
    return coder.tokens(condition), coder.covariate_vector(condition)


def _with_sigma(interpolant: Interpolant, pairs: Sequence[Pairs], sigma: float) -> Interpolant:
    first = pairs[0]
    chain = torch.stack([first.before[first.i[:100].long()], first.after[first.j[:100].long()]])
    gap = torch.zeros(chain.shape[1], dtype=torch.long)
    return interpolant.fit(torch.tensor([0.0, 1.0]), chain, gap, sigma=sigma)


def _with_support(
    model: MetaFlowMatching, populations: Populations, generator: torch.Generator
) -> MetaFlowMatching:
    """Return the model that remembers its training populations."""
    share = max(_SUPPORT // len(populations.names), _FEWEST_REMEMBERED)
    cells, owner = [], []
    for k, group in enumerate(populations.controls):
        rows = torch.randperm(len(group.x), generator=generator)[:share]
        cells.append(model.standardised(group.x[rows]))
        owner.append(torch.full((len(rows),), k))
    embeddings = torch.stack([model.embed(group.x) for group in populations.controls])
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
        why = "as given" if strength == 0 else "one population has no neighbours in others"
        return replace(model, reason=why)
    centre = model.network.field.centre
    base = NeighbourTransfer.of(populations, pairs, centre, generator=generator)
    reason = "as given"
    if strength is None:
        strength, reason = strength_of(base, populations, centre, generator=generator)
    model = replace(model, reason=reason)
    return replace(model, base=base, strength=strength) if strength > 0 else model


def _facts(
    populations: Populations, options: ResponseOptions, coder: ConditionCoder, sigma: float
) -> dict[str, object]:
    """Return what tells this training from others, for a checkpoint."""
    groups = [*populations.controls, *(one.cells for one in populations.treated)]
    told = [v for one in populations.conditions for v in _numbers(one, coder)]
    owners = [populations.names[one.population] for one in populations.treated]
    labels = json.dumps([owners, [one.name for one in populations.conditions]])
    shares = [one.lived for one in populations.treated if one.lived is not None]
    lived = {"shares that lived": shares} if shares else {}
    return {
        "n_cells": [len(group.x) for group in groups],
        "digest of the cells": digest([group.x for group in groups]),
        "digest of the cell types": digest([g.types for g in groups if g.types is not None]),
        "digest of the conditions": digest(told),
        **lived,
        "digest of the labels": hashlib.sha256(labels.encode()).hexdigest()[:16],
        "encoder": repr(options.encoder),
        "n_kernels": options.n_kernels,
        "coupling": repr(options.coupling),
        "paths": type(options.interpolant).__name__,
        "sigma": sigma,
        **options.numbers(),
    }
