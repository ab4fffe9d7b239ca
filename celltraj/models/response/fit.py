"""Fit the response of populations: couple within each, train encoder and field together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from tqdm.auto import tqdm

from celltraj._checks import check_option, checked_fields
from celltraj.models.encoders import Moments, PopulationEncoder
from celltraj.models.interpolants import BrownianBridgeInterpolant, Interpolant
from celltraj.models.networks import FieldSizes, ResponseField, scale_of
from celltraj.models.response.batches import (
    MetaNetwork,
    ResponseBatches,
    ResponseLoss,
    ResponseTraining,
    Task,
)
from celltraj.models.response.condition import Condition, ConditionCoder
from celltraj.models.response.pairs import Pairs, couple_treated, default_response_sigma
from celltraj.models.response.populations import Populations
from celltraj.models.response.response import MetaFlowMatching
from celltraj.models.response.support import Support
from celltraj.models.training.checkpoint import digest
from celltraj.models.training.module import train_heads
from celltraj.ot import Solver, solve
from celltraj.ot.solver import check_solver

_SUPPORT = 4096  # untreated cells that a model remembers
_FEWEST_REMEMBERED = 20  # of each population: of fewer nothing tells how wide it is


@checked_fields
@dataclass(frozen=True)
class MetaFlow:
    """Say how populations enter a response, and how their cells are coupled.

    Parameters
    ----------
    encoder
        What embeds the untreated population; None for a field that knows nothing of it but what the
        crowd shows.
    n_kernels
        Kernels by which a cell sees the cells of its population around it, at the same time of the
        response; 0 for none.
    coupling
        Coupling solver. ``ct.ot.solve`` keeps the mass of every cell; under
        ``ct.ot.Unbalanced()`` cells may die, and the model predicts which.
    interpolant
        Paths between coupled cells.
    sigma
        Noise of couplings and paths, in [x] per square root of the duration of the response; by
        default a hundredth of the mean squared displacement goes to noise.

    Raises
    ------
    TypeError
        A class or a text in place of an encoder, a solver or an interpolant.
    ValueError
        ``n_kernels`` is negative or ``sigma`` not positive and finite.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.models.MetaFlow(encoder=ct.models.DeepSets(), coupling=ct.ot.Unbalanced()).n_kernels
    4
    """

    encoder: PopulationEncoder | None = field(default_factory=Moments)
    n_kernels: int = 4
    coupling: Solver = solve
    interpolant: Interpolant = field(default_factory=BrownianBridgeInterpolant)
    sigma: float | None = None

    def __post_init__(self) -> None:
        if self.encoder is not None:
            check_option(self.encoder, PopulationEncoder, "encoder", "ct.models.Moments()")
        check_solver(self.coupling, "coupling")
        check_option(
            self.interpolant,
            Interpolant,
            "interpolant",
            "ct.models.BrownianBridgeInterpolant()",
        )
        if self.n_kernels < 0:
            raise ValueError(f"n_kernels must not be negative; found {self.n_kernels}")
        if self.sigma is not None and not 0 < self.sigma < float("inf"):
            raise ValueError(f"sigma must be positive and finite; found {self.sigma}")


def fit_response(
    populations: Populations,
    flow: MetaFlow,
    *,
    training: ResponseTraining,
    features: Mapping[str, Sequence[float]] | None = None,
    covariate_names: Sequence[str] = (),
    generator: torch.Generator,
    progress: bool = True,
) -> MetaFlowMatching:
    """Couple cells within each population and condition, and learn one field for all of them.

    ``E_i E_(x0, x1) E_t |v(t, x_t | phi(p0_i), c_i) - (x1 - x0)|^2`` over populations and
    conditions ``i``, drawn equally often, by one optimiser for encoder and field.

    Parameters
    ----------
    populations
        Cells before and after.
    flow
        How populations enter, and how their cells are coupled.
    training
        How the network is trained.
    features
        What is known of each drug; by default drugs are known by name.
    covariate_names
        Names of the covariates of the conditions.
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
    ...     models.MetaFlow(n_kernels=0), training=models.ResponseTraining(max_steps=200),
    ...     generator=torch.Generator().manual_seed(0), progress=False,
    ... )
    >>> after = model.respond(x, drug, generator=torch.Generator())
    >>> bool((after.x - x - 2).abs().mean() < 0.2)
    True
    """
    populations = populations.in_order()
    groups = [(populations.controls[one.population], one.cells) for one in populations.treated]
    sigma = flow.sigma or default_response_sigma(groups, generator=generator)
    coder = ConditionCoder.of(
        populations.conditions, features=features, covariate_names=covariate_names
    )
    bar = tqdm(populations.treated, desc="coupling", unit="treatment", disable=not progress)
    pairs = [couple_treated(populations, one, flow.coupling, sigma=sigma) for one in bar]
    network = _network(populations, flow, coder, training.width, sigma, generator)
    tasks = _tasks(populations, flow.encoder, coder, network.field, pairs)
    interpolant = _with_sigma(flow.interpolant, pairs, sigma)
    n_cells = sum(len(group.x) for group in populations.controls)
    n_steps = training.n_steps(n_cells + sum(len(one.cells.x) for one in populations.treated))
    batches = ResponseBatches(
        tasks,
        interpolant,
        training,
        generator=generator,
        n_steps=n_steps,
        sizes=network.field.sizes,
    )
    trained, history = train_heads(
        network,
        training,
        n_steps,
        batches,
        loss=ResponseLoss(training.kl),
        trainer=training.trainer,
        progress=progress,
        facts=_facts(populations, flow, coder, sigma),
    )
    model = MetaFlowMatching(trained, flow.encoder, interpolant, coder, _NOWHERE, history)
    return _with_support(model, populations, generator)


_NOWHERE = Support((), torch.empty(0, 0), torch.empty(0, 0), torch.empty(0, dtype=torch.long))


def _network(
    populations: Populations,
    flow: MetaFlow,
    coder: ConditionCoder,
    width: int,
    sigma: float,
    generator: torch.Generator,
) -> MetaNetwork:
    encoder = flow.encoder
    sizes = FieldSizes(
        dim=populations.dim,
        embedding=0 if encoder is None else encoder.n_features,
        token=coder.token_size,
        covariates=coder.n_covariates,
        heads=flow.n_kernels,
        width=width,
        has_survival=not flow.coupling.is_balanced,
    )
    centre, scale = _units(populations, sigma / 2)
    cells = torch.cat([group.x for group in populations.groups])
    box = torch.stack(list(cells.double().aminmax(dim=0)))
    network = ResponseField(sizes, centre, scale, box, generator=generator)
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


def _facts(
    populations: Populations, flow: MetaFlow, coder: ConditionCoder, sigma: float
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
        "encoder": repr(flow.encoder),
        "n_kernels": flow.n_kernels,
        "coupling": repr(flow.coupling),
        "paths": type(flow.interpolant).__name__,
        "sigma": sigma,
    }
