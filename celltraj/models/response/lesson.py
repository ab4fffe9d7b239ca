"""What the networks of a response are taught, and how one or several are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import torch
from torch import Tensor

from celltraj._parallel import mapped
from celltraj.models.encoders import Encoder, carrying
from celltraj.models.interpolants import Interpolant
from celltraj.models.networks import FieldSizes, MetaNetwork, ResponseField, scale_of
from celltraj.models.response.batches import ResponseBatches, StepSizes, Task
from celltraj.models.response.cell_identity import key_of
from celltraj.models.response.condition import Condition, ConditionCoder
from celltraj.models.response.losses import ResponseLoss
from celltraj.models.response.options import ResponseOptions
from celltraj.models.response.pairs import Pairs
from celltraj.models.response.populations import Populations
from celltraj.models.response.response import MetaFlowMatching
from celltraj.models.response.support import Support
from celltraj.models.training.checkpoint import digest
from celltraj.models.training.module import Job, train
from celltraj.models.training.options import Schedule, Training

_CHANNELS = 20  # mixed vectors of a field that turns with its cells
Taught = tuple[MetaNetwork, tuple[float, ...], Tensor]


@dataclass(frozen=True, eq=False)
class Lesson:
    """Hold what networks are taught, which is the same for all of an ensemble.

    Parameters
    ----------
    populations
        Cells before and after.
    options
        How populations and conditions enter.
    coder
        What turns conditions into numbers.
    pairs
        Coupled cells of each treatment.
    sigma
        Noise of the paths, in [x].
    """

    populations: Populations
    options: ResponseOptions
    coder: ConditionCoder
    pairs: Sequence[Pairs]
    sigma: float

    def of(self, kept: Tensor) -> Lesson:
        """Return what is taught of some of the populations, ``(p,)`` true for those kept."""
        treated = self.populations.treated
        chosen = [k for k, one in enumerate(treated) if kept[one.population]]
        populations = self.populations.subset(chosen)
        return replace(self, populations=populations, pairs=[self.pairs[k] for k in chosen])

    def read_by(self, encoder: Encoder | None) -> Lesson:
        """Return what is taught to a field that reads populations by an encoder.

        One of cells takes its scales from these populations.
        """
        carried = carrying(encoder)
        if carried is not None:
            frame = frame_of(self.populations, self.sigma, is_isotropic=carried.is_equivariant)
            encoder = carried.fit(standardised(self.populations, *frame))
        return replace(self, options=replace(self.options, encoder=encoder))

    def response(
        self, networks: Sequence[MetaNetwork], losses: tuple[float, ...]
    ) -> MetaFlowMatching:
        """Return the response of networks that were taught this; it remembers no population yet."""
        return MetaFlowMatching(
            networks[0],
            self.options.used_encoder,
            self.interpolant,
            self.coder,
            Support.nowhere(),
            losses,
            others=tuple(networks[1:]),
            has_lived=self.populations.has_lived,
        )

    @property
    def interpolant(self) -> Interpolant:
        """Paths between coupled cells, with their noise."""
        return _with_sigma(self.options.interpolant, self.pairs, self.sigma)

    def taught(
        self, training: Training, schedule: Schedule, state: Tensor, *, progress: bool
    ) -> Taught:
        """Return a network, its losses, and the state in which it left the source of randomness."""
        generator = torch.Generator()
        generator.set_state(state)
        network = _network(self, training.width, generator)
        carried = carried_by(self.populations, self.options, network.field)
        if network.field.carried is not None:
            network.field.carried.scale_to(carried)
        tasks = _tasks(self, network.field, carried)
        step = StepSizes(self.options, network.field.sizes, schedule.batch_size)
        job = Job(
            network,
            ResponseBatches(tasks, self.interpolant, step, schedule.n_steps, generator),
            ResponseLoss(self.options.kl),
            groups=network.parameter_groups(weight_decay=self.options.weight_decay),
            facts=_facts(self),
        )
        trained, losses = train(job, training, schedule, progress=progress)
        return trained, losses, generator.get_state()


def taught_networks(
    lesson: Lesson,
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
    states = [
        generator.get_state(),
        *(state_of(generator.initial_seed(), k) for k in range(1, n)),
    ]
    if n == 1:
        taught = [lesson.taught(training, schedule, states[0], progress=progress)]
    else:
        taught = list(
            mapped(
                taught_apart,
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


def taught_apart(lesson: Lesson, training: Training, schedule: Schedule, state: Tensor) -> Taught:
    """Return one network of several, whose steps have no bar."""
    return lesson.taught(training, schedule, state, progress=False)


def state_of(seed: int, number: int) -> Tensor:
    """Return the state in which a network of an ensemble finds its source of randomness."""
    return source_of("network", seed, number).get_state()


def source_of(*parts: str | int) -> torch.Generator:
    """Return a source of randomness of its own, which draws nothing from any other."""
    return torch.Generator().manual_seed(key_of(*parts))


def _network(lesson: Lesson, width: int, generator: torch.Generator) -> MetaNetwork:
    populations, options, coder = lesson.populations, lesson.options, lesson.coder
    encoder, carried = options.pooling, options.carrying
    is_equivariant = carried is not None and carried.is_equivariant
    sizes = FieldSizes(
        dim=populations.dim,
        embedding=0 if encoder is None else encoder.n_features,
        token=coder.token_size,
        covariates=coder.n_covariates,
        heads=options.kernels,
        width=width,
        has_survival=populations.has_lived or not options.coupling.is_balanced,
        vectors=0 if carried is None else carried.n_vectors,
        scalars=0 if carried is None else carried.n_scalars,
        channels=_CHANNELS if is_equivariant else 0,
    )
    centre, scale = frame_of(populations, lesson.sigma, is_isotropic=is_equivariant)
    cells = torch.cat([group.x for group in populations.groups])
    box = torch.stack(list(cells.double().aminmax(dim=0)))
    network = ResponseField(sizes, generator=generator).scale_to(centre, scale, box)
    built = None if encoder is None else encoder.build(populations.dim, generator=generator)
    return MetaNetwork(network, built, generator=generator)


def frame_of(
    populations: Populations, sigma: float, *, is_isotropic: bool
) -> tuple[Tensor, Tensor]:
    """Return mean and spread ``(d,)`` of every variable, populations and conditions alike.

    The spread is at least that of the noise of paths half-way; with ``is_isotropic`` it is one in
    all directions.
    """
    groups = populations.groups
    centre = torch.stack([group.x.double().mean(0) for group in groups]).mean(0)
    # about the centre: the difference of two squares has no digits far from zero
    squares = torch.stack([(group.x - centre).square().mean(0) for group in groups])
    scale = scale_of(squares.mean(0).sqrt(), sigma / 2)
    return centre, scale.square().mean().sqrt().expand_as(scale) if is_isotropic else scale


def _tasks(lesson: Lesson, field: ResponseField, carried: Sequence[Tensor]) -> list[Task]:
    """Return what the training draws from; features of a control are computed once."""
    encoder = lesson.options.pooling
    features = [
        torch.zeros(len(x), 1) if encoder is None else encoder.features(x)
        for x in standardised(lesson.populations, field.centre, field.scale)
    ]
    return [
        Task(
            pair,
            features[one.population],
            *_numbers(one.condition, lesson.coder),
            carried[one.population],
        )
        for one, pair in zip(lesson.populations.treated, lesson.pairs, strict=True)
    ]


def carried_by(
    populations: Populations, options: ResponseOptions, field: ResponseField
) -> list[Tensor]:
    """Return the features ``(n, f)`` that the untreated cells of each population carry."""
    cells, encoder = standardised(populations, field.centre, field.scale), options.carrying
    return [torch.zeros(len(x), 0) if encoder is None else encoder.carried(x, x) for x in cells]


def standardised(populations: Populations, centre: Tensor, scale: Tensor) -> list[Tensor]:
    """Return the untreated cells ``(n, d)`` of each population in units of a frame, float32."""
    return [(one.x - centre).float() / scale for one in populations.controls]


def _numbers(condition: Condition, coder: ConditionCoder) -> tuple[Tensor, Tensor]:
    """Return tokens and covariates of a condition."""
    return coder.tokens(condition), coder.covariate_vector(condition)


def _with_sigma(interpolant: Interpolant, pairs: Sequence[Pairs], sigma: float) -> Interpolant:
    first = pairs[0]
    chain = torch.stack([first.before[first.i[:100].long()], first.after[first.j[:100].long()]])
    gap = torch.zeros(chain.shape[1], dtype=torch.long)
    return interpolant.fit(torch.tensor([0.0, 1.0]), chain, gap, sigma=sigma)


def _facts(lesson: Lesson) -> dict[str, object]:
    """Return what tells this training from others, for a checkpoint."""
    populations, options, coder = lesson.populations, lesson.options, lesson.coder
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
        "n_kernels": options.kernels,
        "coupling": repr(options.coupling),
        "paths": type(options.interpolant).__name__,
        "sigma": lesson.sigma,
        **options.numbers(),
    }
