"""What the network of a response is trained on: points of paths, population by population."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._checks import checked_fields
from celltraj.models.interpolants import Interpolant, sample_path
from celltraj.models.networks import Crowd, FieldSizes, ResponseField, Situation, linear, saturated
from celltraj.models.response.pairs import Pairs
from celltraj.models.training.module import DRAWN_AT_ONCE, TrainingOptions
from celltraj.models.training.trainer import TrainerOptions

_MANY = 8  # times the cells of a sample: beyond it drawing with replacement hardly differs


@checked_fields
@dataclass(frozen=True)
class ResponseTraining(TrainingOptions):
    """Say how the network of a treatment response is trained.

    Parameters
    ----------
    max_steps
        Optimiser steps; by default one for every two cells, between 3,000 and 20,000. The effect of
        an embedding shows after some thousands.
    batch_size
        Points of paths of each population per step.
    width
        Width of the layers.
    learning_rate
        Peak of AdamW's one-cycle schedule (Smith & Topin, *Super-convergence*, 2019).
    ema_decay
        Decay per step of the averaged weights that are used for prediction.
    patience
        Must stay None: no cells are kept aside.
    n_populations
        Populations, each under one condition, per step.
    n_context
        Cells that a population is embedded by in a step, and that stand for its crowd.
    cell_dropout
        Share of these that are hidden at random, against memorising populations.
    kl
        Weight of the divergence of embeddings from a standard normal distribution; above 0 they
        are noisy in training, which bounds what they can tell of a single patient.
    weight_decay
        Decay of the weights that read state and population, per step and unit of the learning rate
        (AdamW's): towards a law by which a condition moves all cells of all populations alike.
    unknown
        Share of the steps in which the embedding, and apart from it the condition, is hidden: what
        guidance needs.
    trainer
        Device, precision, checkpoints, logger.

    Raises
    ------
    ValueError
        A number is out of range.

    Examples
    --------
    >>> from celltraj.models import ResponseTraining
    >>> ResponseTraining(max_steps=500).n_populations
    8
    """

    batch_size: int = 128
    learning_rate: float = 5e-3
    n_populations: int = 8
    n_context: int = 128
    cell_dropout: float = 0.1
    kl: float = 0.0
    weight_decay: float = 1.0
    unknown: float = 0.1
    trainer: TrainerOptions = field(default_factory=TrainerOptions)
    fewest_steps: ClassVar[int] = 3_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.n_populations, self.n_context) < 1:
            raise ValueError(
                "n_populations and n_context must be positive; found "
                f"{self.n_populations} and {self.n_context}"
            )
        if not 0 <= self.cell_dropout < 1 or not 0 <= self.unknown < 1:
            raise ValueError(
                "cell_dropout and unknown must lie in [0, 1); found "
                f"{self.cell_dropout} and {self.unknown}"
            )
        if not 0 <= self.kl < math.inf or not 0 <= self.weight_decay < math.inf:
            raise ValueError(
                f"kl and weight_decay must not be negative; found {self.kl} and {self.weight_decay}"
            )
        if self.weight_decay * self.learning_rate >= 1:
            raise ValueError(
                "weight_decay x learning_rate must stay below 1, the whole of a weight per step; "
                f"found {self.weight_decay:g} x {self.learning_rate:g}"
            )
        if self.patience is not None:
            raise ValueError("a response keeps no cells aside to watch; leave patience=None")

    def parameter_groups(self, field: torch.nn.Module) -> list[dict[str, Any]]:
        """Return what reads the state and the population, which decays, and the rest."""
        network = cast("MetaNetwork", field).field
        readers = (network.reads_state, network.straight, network.by_population)
        decaying = [layer.weight for layer in readers if layer is not None]
        rest = [v for v in field.parameters() if all(v is not one for one in decaying)]
        return [
            {"params": decaying, "weight_decay": self.weight_decay},
            {"params": rest, "weight_decay": 0.0},
        ]


class ResponsePoints(NamedTuple):
    """Points of paths of ``p`` populations.

    Parameters
    ----------
    t
        ``(p, n, 1)`` shares of the response that are gone.
    x, rate, z
        ``(p, n, d)`` states, rates and noises.
    width
        ``(p, n, 1)`` standard deviation of the paths.
    start
        ``(p, n, d)`` untreated cells that the paths begin at.
    survival
        ``(p, n)`` what these keep of their mass.
    crowd
        ``(p, m, d)`` other cells of each population at the same time.
    features, mask
        ``(p, m, f)`` features for the encoder, and which of them are cells.
    noise
        ``(p, e)`` noise of the embedding.
    tokens, token_mask, covariates, keeps
        The condition, see :class:`celltraj.models.networks.Situation`.
    """

    t: Tensor
    x: Tensor
    rate: Tensor
    z: Tensor
    width: Tensor
    start: Tensor
    survival: Tensor
    crowd: Tensor
    features: Tensor
    mask: Tensor
    noise: Tensor
    tokens: Tensor
    token_mask: Tensor
    covariates: Tensor
    keeps: Tensor


@card()
class MetaNetwork(torch.nn.Module):
    """Hold encoder and field, which one optimiser trains together.

    Parameters
    ----------
    field
        Velocity, score and survival.
    encoder
        Network of a :class:`celltraj.models.PopulationEncoder`; None where nothing is embedded.
    generator
        Draws the first weights.
    """

    def __init__(
        self,
        field: ResponseField,
        encoder: torch.nn.Module | None,
        *,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        size = field.sizes.embedding
        self.field, self.encoder = field, encoder
        self.spread = linear(size, size, generator) if encoder is not None else None

    def embed(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return the embeddings ``(p, e)`` of populations; ``(p, 0)`` without an encoder.

        Their length saturates: they scale every layer of the field, and what is far from all that
        was trained on must not scale them by more.
        """
        if self.encoder is None:
            return features.new_zeros(len(features), 0)
        return saturated(self.encoder(features, mask))


@dataclass(frozen=True)
class ResponseLoss:
    """Compute the loss of a network on points of paths.

    Parameters
    ----------
    kl
        Weight of the divergence of the embeddings.
    """

    kl: float = 0.0

    def __call__(self, network: MetaNetwork, points: ResponsePoints) -> Tensor:
        """Return the loss, a scalar."""
        field = network.field
        phi = network.embed(points.features, points.mask)
        loss = phi.new_zeros(())
        if self.kl and network.spread is not None:
            log_variance = network.spread(phi)
            divergence = 0.5 * (log_variance.exp() + phi.square() - 1 - log_variance).sum(1)
            loss = loss + self.kl * divergence.mean()
            phi = phi + (0.5 * log_variance).exp() * points.noise
        situation = (phi, points.tokens, points.token_mask, points.covariates, points.keeps)
        known = field.known(Situation(*situation))
        everyone = torch.ones_like(points.crowd[..., 0], dtype=torch.bool)
        rate, score = field.heads(points.t, points.x, known, Crowd(points.crowd, everyone))
        loss = loss + (rate - points.rate / field.scale).square().mean()
        loss = loss + (points.z + points.width / field.scale * score).square().mean()
        if field.survival is not None:
            # Poisson's deviance: least where the head is the log of the mean
            log = field.log_survival(points.start, known)
            loss = loss + (log.exp() - points.survival * log).mean()
        return loss


@dataclass(frozen=True)
class Task:
    """Hold what a training draws of one population under one condition.

    Parameters
    ----------
    pairs
        Cells before and after.
    features
        ``(n, f)`` features of the untreated cells for the encoder.
    tokens
        ``(k, f)`` tokens of the drugs.
    covariates
        ``(q,)`` covariates.
    """

    pairs: Pairs
    features: Tensor
    tokens: Tensor
    covariates: Tensor


class ResponseBatches:
    """Draw points of paths of random populations under random conditions.

    Parameters
    ----------
    tasks
        Populations and conditions, drawn equally often whatever their numbers of cells.
    interpolant
        Paths between coupled cells.
    training
        Sizes of a step.
    generator
        The source of every draw.
    n_steps
        Steps of the whole training.
    sizes
        Sizes of the field; with kernels all cells of a population are drawn at one time.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        interpolant: Interpolant,
        training: ResponseTraining,
        *,
        generator: torch.Generator,
        n_steps: int,
        sizes: FieldSizes,
    ) -> None:
        self.tasks, self.interpolant, self.training = tuple(tasks), interpolant, training
        self.generator, self.n_steps, self.sizes = generator, n_steps, sizes
        self.first = 0
        longest = max(len(task.tokens) for task in tasks)
        self.tokens = torch.stack([_padded(task.tokens, longest) for task in tasks])
        counts = torch.tensor([len(task.tokens) for task in tasks])
        self.token_masks = torch.arange(longest) < counts[:, None]
        self.covariates = torch.stack([task.covariates for task in tasks])

    def __len__(self) -> int:
        return math.ceil(self.n_steps / DRAWN_AT_ONCE) - self.first

    def __iter__(self) -> Iterator[list[ResponsePoints]]:
        size = self.training.n_populations
        for draw in range(self.first, self.first + len(self)):
            n_steps = min(self.n_steps - draw * DRAWN_AT_ONCE, DRAWN_AT_ONCE)
            parts = self._points(n_steps * size)
            steps = zip(*(part.split(size) for part in parts), strict=True)
            yield [ResponsePoints(*step) for step in steps]

    def _points(self, n_rows: int) -> ResponsePoints:
        """Return the points of ``n_rows`` populations."""
        g, options = self.generator, self.training
        chosen = torch.randint(len(self.tasks), (n_rows,), generator=g)
        n, has_crowd = options.batch_size, self.sizes.heads > 0
        before, after, survival = self._pairs(chosen, n + has_crowd * options.n_context)
        t = torch.rand(n_rows, 1 if has_crowd else n, generator=g).expand(before.shape[:2])
        path = self._paths(before, after, t)
        features, mask = self._contexts(chosen)
        keeps = (torch.rand(n_rows, 2, generator=g) >= options.unknown).float()
        x, rate, z, width = (part[:, :n] for part in path)
        return ResponsePoints(
            t=t[:, :n, None],
            x=x,
            rate=rate,
            z=z,
            width=width,
            start=before[:, :n],
            survival=survival[:, :n],
            crowd=path[0][:, n:],
            features=features,
            mask=mask,
            noise=torch.randn(n_rows, self.sizes.embedding, generator=g),
            tokens=self.tokens[chosen],
            token_mask=self.token_masks[chosen],
            covariates=self.covariates[chosen],
            keeps=keeps,
        )

    def _pairs(self, chosen: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``n`` pairs of each chosen task."""
        dim = self.tasks[0].pairs.before.shape[1]
        before, after = torch.empty(2, len(chosen), n, dim, dtype=torch.float64)
        survival = torch.empty(len(chosen), n)
        for k in chosen.unique().tolist():
            rows = (chosen == k).nonzero()[:, 0]
            drawn = self.tasks[k].pairs.draw(len(rows) * n, generator=self.generator)
            before[rows], after[rows] = (cells.double().reshape(-1, n, dim) for cells in drawn[:2])
            survival[rows] = drawn[2].reshape(-1, n)
        return before, after, survival

    def _paths(
        self, before: Tensor, after: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return state, rate, noise and width of a point of the path of each pair."""
        p, n, dim = before.shape
        chain = torch.stack([before.reshape(-1, dim), after.reshape(-1, dim)])
        times, rows = torch.tensor([0.0, 1.0], dtype=torch.float64), torch.arange(p * n)
        curves = self.interpolant.curves(times, chain, torch.zeros_like(rows))
        at = t.reshape(-1).double()
        path = sample_path(self.interpolant, times, curves, rows, at, generator=self.generator)
        x, rate, z, width = (
            part.reshape(p, n, -1) for part in (path.x, path.rate, path.z, path.width)
        )
        return x, rate.float(), z.float(), width.float()

    def _contexts(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Return features of a sample of the untreated cells of each row, and their mask."""
        size = self.training.n_context
        n_features = self.tasks[0].features.shape[1]
        features = torch.zeros(len(chosen), size, n_features)
        hidden = torch.rand(len(chosen), size, generator=self.generator)
        mask = hidden >= self.training.cell_dropout
        for row, k in enumerate(chosen.tolist()):
            cells = self.tasks[k].features
            sample = cells[_sample(len(cells), size, self.generator)]
            features[row, : len(sample)] = sample
            mask[row, len(sample) :] = False
        mask[:, 0] = True
        return features, mask


def _sample(n: int, size: int, generator: torch.Generator) -> Tensor:
    """Return at most ``size`` indices below ``n``, each once unless ``n`` is very large."""
    if n > _MANY * size:
        return torch.randint(n, (size,), generator=generator)
    return torch.randperm(n, generator=generator)[:size]


def _padded(rows: Tensor, n: int) -> Tensor:
    return torch.cat([rows, rows.new_zeros(n - len(rows), rows.shape[1])])
