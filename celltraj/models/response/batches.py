"""Points of paths, population by population, which the network of a response is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj.models.interpolants import Interpolant, sample_path
from celltraj.models.networks import FieldSizes
from celltraj.models.response.losses import ResponsePoints
from celltraj.models.response.options import ResponseOptions
from celltraj.models.response.pairs import Pairs
from celltraj.models.training.batches import Draws

_MANY = 8  # times the cells of a sample: beyond it drawing with replacement hardly differs


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
    carried
        ``(n, c)`` features that the untreated cells carry.
    """

    pairs: Pairs
    features: Tensor
    tokens: Tensor
    covariates: Tensor
    carried: Tensor


@dataclass(frozen=True)
class StepSizes:
    """Say how large a step of a training is.

    Parameters
    ----------
    options
        Populations and cells of a step, and what of them is hidden.
    field
        Sizes of the field; with kernels all cells of a population are drawn at one time.
    batch_size
        Points of paths of each population.
    """

    options: ResponseOptions
    field: FieldSizes
    batch_size: int


class ResponseBatches(Draws[ResponsePoints]):
    """Draw points of paths of random populations under random conditions.

    Parameters
    ----------
    tasks
        Populations and conditions, drawn equally often whatever their numbers of cells.
    interpolant
        Paths between coupled cells.
    step
        Sizes of a step.
    n_steps
        Steps of the whole training.
    generator
        The source of every draw.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        interpolant: Interpolant,
        step: StepSizes,
        n_steps: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__(n_steps, generator)
        self.tasks, self.interpolant, self.step = tuple(tasks), interpolant, step
        longest = max(len(task.tokens) for task in tasks)
        self.tokens = torch.stack([_padded(task.tokens, longest) for task in tasks])
        counts = torch.tensor([len(task.tokens) for task in tasks])
        self.token_masks = torch.arange(longest) < counts[:, None]
        self.covariates = torch.stack([task.covariates for task in tasks])

    def aside(self, n_steps: int, generator: torch.Generator) -> ResponseBatches:
        """Return draws of other points of the same populations."""
        return ResponseBatches(self.tasks, self.interpolant, self.step, n_steps, generator)

    def draw(self, number: int, n_steps: int) -> list[ResponsePoints]:
        """Return the points of ``n_steps`` steps."""
        size = self.step.options.n_populations
        parts = self._points(n_steps * size)
        steps = zip(*(part.split(size) for part in parts), strict=True)
        return [ResponsePoints(*step) for step in steps]

    def _points(self, n_rows: int) -> ResponsePoints:
        """Return the points of ``n_rows`` populations."""
        g, options = self.generator, self.step.options
        chosen = torch.randint(len(self.tasks), (n_rows,), generator=g)
        n, has_neighbourhood = self.step.batch_size, self.step.field.heads > 0
        before, after, carried = self._pairs(chosen, n + has_neighbourhood * options.n_context)
        start, survival, start_carried = self._untreated(chosen, before[:, :n], carried[:, :n])
        t = torch.rand(n_rows, 1 if has_neighbourhood else n, generator=g).expand(before.shape[:2])
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
            start=start,
            survival=survival,
            carried=carried[:, :n],
            start_carried=start_carried,
            neighbourhood=path[0][:, n:],
            features=features,
            mask=mask,
            noise=torch.randn(n_rows, self.step.field.embedding, generator=g),
            tokens=self.tokens[chosen],
            token_mask=self.token_masks[chosen],
            covariates=self.covariates[chosen],
            keeps=keeps,
        )

    def _pairs(self, chosen: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``n`` pairs of each chosen task, and what the first of each carries."""
        dim = self.tasks[0].pairs.before.shape[1]
        before, after = torch.empty(2, len(chosen), n, dim, dtype=torch.float64)
        carried = torch.empty(len(chosen), n, self.tasks[0].carried.shape[1])
        for k in chosen.unique().tolist():
            rows, task = (chosen == k).nonzero()[:, 0], self.tasks[k]
            i, j = task.pairs.draw(len(rows) * n, generator=self.generator)
            before[rows] = task.pairs.before[i].double().reshape(-1, n, dim)
            after[rows] = task.pairs.after[j].double().reshape(-1, n, dim)
            carried[rows] = task.carried[i].reshape(len(rows), *carried.shape[1:])
        return before, after, carried

    def _untreated(
        self, chosen: Tensor, before: Tensor, carried: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return untreated cells of each chosen task, what they keep of their mass, and carry.

        Each as often as any other: among those at which paths begin, few will die.
        """
        survival = torch.ones(before.shape[:2])
        if not self.step.field.has_survival:
            return before, survival, carried
        start, n = torch.empty_like(before), before.shape[1]
        start_carried = torch.empty_like(carried)
        for row, k in enumerate(chosen.tolist()):
            task = self.tasks[k]
            drawn = torch.randint(len(task.pairs.before), (n,), generator=self.generator)
            start[row] = task.pairs.before[drawn].double()
            survival[row], start_carried[row] = task.pairs.survival[drawn], task.carried[drawn]
        return start, survival, start_carried

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
        size = self.step.options.n_context
        n_features = self.tasks[0].features.shape[1]
        features = torch.zeros(len(chosen), size, n_features)
        hidden = torch.rand(len(chosen), size, generator=self.generator)
        mask = hidden >= self.step.options.cell_dropout
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
