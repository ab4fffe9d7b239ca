r"""A network that learns drift and score of a bridge from reference bridges.

With ``x_s`` on the bridge from ``x0`` to ``x1`` over a gap of length ``D``, two regressions without
a singularity at either end give every velocity:

- ``m(t, x) = E[(x1 - x0) / D | x_s = x]``,
- ``score(t, x) = -E[z | x_s = x] / (sigma sqrt(D s (1-s)))``, weighted by that variance;

``drift = m + s sigma^2 score``; backwards ``m - (1-s) sigma^2 score``.
Tong et al., *Simulation-free Schroedinger bridges via score and flow matching* (2023), eq. 9.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import pytorch_lightning as lightning
import torch
from torch import Tensor

from celltraj._snapshots import Snapshots
from celltraj.models._fit import run_training
from celltraj.models.networks import mlp
from celltraj.models.references import Brownian
from celltraj.ot import Coupling

_DRAWN_AT_ONCE = 50  # batches; amortises the search in the plan


@dataclass(frozen=True)
class NeuralDrift:
    """Ask for a drift learned by one time-conditioned network over all gaps.

    Parameters
    ----------
    max_steps
        Optimiser steps.
    batch_size
        Bridge points per step.
    width
        Width of the three hidden layers.
    learning_rate
        Of AdamW.
    ema_decay
        Decay per step of the averaged weights that are used for prediction.
    """

    max_steps: int = 1000
    batch_size: int = 512
    width: int = 64
    learning_rate: float = 1e-3
    ema_decay: float = 0.995

    def fit(
        self,
        snapshots: Snapshots,
        reference: Brownian,
        couplings: tuple[Coupling, ...],
        *,
        generator: torch.Generator,
        progress: bool = True,
    ) -> NeuralField:
        """Return the trained field; its ``history`` holds the loss at each step."""
        field = NeuralField(snapshots, reference, width=self.width, generator=generator)
        training = _Training(field, self)
        run_training(
            training, _Batches(snapshots, reference, couplings, self, generator),
            max_steps=self.max_steps, progress=progress,
        )
        averaged = training.averaged
        averaged.history = tuple(float(v) for v in torch.stack(training.losses))
        return averaged


class NeuralField(torch.nn.Module):
    """Predict drift and score; standardisation is part of the saved state."""

    def __init__(
        self, snapshots: Snapshots, reference: Brownian, *, width: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        cells = torch.cat(snapshots.x)
        self.snapshots, self.reference, self.width = snapshots, reference, width
        self.history: tuple[float, ...] = ()
        scale = cells.std(0)
        # a constant variable carries no scale of its own; one keeps it where it is
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        duration = snapshots.times[-1] - snapshots.times[0]
        self.register_buffer("centre", cells.mean(0).float())
        self.register_buffer("scale", scale.float())
        self.register_buffer("speed", (scale / duration).float() * len(snapshots.gaps))
        self.net = mlp(snapshots.dim + 1, 2 * snapshots.dim, width=width, generator=generator)

    def heads(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean displacement rate in ``speed`` units and score in ``1 / scale`` units."""
        first, last = self.snapshots.times[0], self.snapshots.times[-1]
        inputs = torch.cat([(x - self.centre) / self.scale, (t - first) / (last - first)], 1)
        return self.net(inputs).chunk(2, 1)

    def _predict(self, t: float, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            rate, score = self.heads(torch.full((len(x), 1), t), x.float())
            return (rate * self.speed).to(x.dtype), (score / self.scale).to(x.dtype)

    def drift(self, t: float, x: Tensor) -> Tensor:
        """Return ``b_ref + m + s sigma^2 score``, ``(n, d)``."""
        k = self.snapshots.gap_of(t)
        s = min(max((t - self.snapshots.times[k]) / self.snapshots.gaps[k], 0.0), 1.0)
        rate, score = self._predict(t, x)
        return self.reference.drift(t, x) + rate + s * self.reference.sigma**2 * score

    def score(self, t: float, x: Tensor) -> Tensor:
        """Return ``grad log p_t(x)``, ``(n, d)``."""
        return self._predict(t, x)[1]


class _Training(lightning.LightningModule):
    """Regress both heads and average the weights."""

    def __init__(self, field: NeuralField, options: NeuralDrift) -> None:
        super().__init__()
        self.field, self.options = field, options
        self.averaged = copy.deepcopy(field)
        self.losses: list[Tensor] = []

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        t, x, rate, z, width = batch
        predicted_rate, score = self.field.heads(t, x)
        rate_loss = (predicted_rate - rate / self.field.speed).square().mean()
        score_loss = (z + width / self.field.scale * score).square().mean()
        loss = rate_loss + score_loss
        self.losses.append(loss.detach())
        return loss

    def on_train_batch_end(self, outputs: object, batch: object, batch_idx: int) -> None:
        # the average warms up, so that it forgets the random initial weights
        decay = min(self.options.ema_decay, (1 + batch_idx) / (10 + batch_idx))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.averaged.parameters()), list(self.field.parameters()), 1 - decay
            )

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self.field.parameters(), lr=self.options.learning_rate, weight_decay=0.0
        )


@dataclass(frozen=True)
class _Batches:
    """Draw bridge points uniformly over the whole duration, from plans solved once per gap."""

    snapshots: Snapshots
    reference: Brownian
    couplings: tuple[Coupling, ...]
    options: NeuralDrift
    generator: torch.Generator

    def __len__(self) -> int:
        return self.options.max_steps

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        for start in range(0, len(self), _DRAWN_AT_ONCE):
            n_batches = min(_DRAWN_AT_ONCE, len(self) - start)
            drawn = self._draw(n_batches * self.options.batch_size)
            yield from zip(*(v.split(self.options.batch_size) for v in drawn), strict=True)

    def _draw(self, n: int) -> tuple[Tensor, ...]:
        gaps = torch.tensor(self.snapshots.gaps, dtype=torch.float64)
        k = torch.multinomial(gaps, n, replacement=True, generator=self.generator)
        s = torch.rand(n, 1, dtype=torch.float64, generator=self.generator)
        x0, x1 = torch.empty(2, n, self.snapshots.dim, dtype=torch.float64)
        for gap, coupling in enumerate(self.couplings):
            here = k == gap
            i, j = coupling.sample(int(here.sum()), generator=self.generator)
            x0[here], x1[here] = self.snapshots.x[gap][i], self.snapshots.x[gap + 1][j]
        gap = gaps[k, None]
        x, z = self.reference.sample_bridge(s, gap, x0, x1, generator=self.generator)
        t = torch.tensor(self.snapshots.times, dtype=torch.float64)[k, None] + s * gap
        width = self.reference.sigma * (gap * s * (1 - s)).sqrt()
        return tuple(v.float() for v in (t, x, (x1 - x0) / gap, z, width))
