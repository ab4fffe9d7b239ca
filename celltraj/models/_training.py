"""Train a network of two heads, rate and score, on points of paths that were drawn before."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Protocol, TypeVar, cast, runtime_checkable

import pytorch_lightning as lightning
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from tqdm.auto import tqdm

from celltraj.models._fit import run_training
from celltraj.models.networks import TwoHeads

DRAWN_AT_ONCE = 50  # steps, in one batch of Lightning's
Field = TypeVar("Field", bound=TwoHeads)


@runtime_checkable
class TrainingOptions(Protocol):
    """What a training reads of the options of a fit."""

    @property
    def learning_rate(self) -> float:
        """Peak of the schedule."""
        ...

    @property
    def ema_decay(self) -> float:
        """Decay per step of the averaged weights."""
        ...


def train_heads(
    field: Field,
    options: TrainingOptions,
    n_steps: int,
    batches: Iterable[list[tuple[Tensor, ...]]],
    *,
    progress: bool,
) -> tuple[Field, tuple[float, ...]]:
    """Return ``field`` with averaged trained weights, and the loss at each step.

    ``batches`` yields lists of steps, each a tuple of time, state, rate, noise and its width.
    """
    training = HeadsTraining(field, options, n_steps, progress=progress)
    run_training(training, batches)
    return cast("Field", training.averaged), tuple(float(v) for v in torch.stack(training.losses))


class HeadsTraining(lightning.LightningModule):
    """Regress both heads and average the weights."""

    def __init__(
        self, field: TwoHeads, options: TrainingOptions, n_steps: int, *, progress: bool
    ) -> None:
        super().__init__()
        self.field, self.options, self.n_steps = field, options, n_steps
        self.averaged = copy.deepcopy(field)
        self.losses: list[Tensor] = []
        # Lightning's hooks around a batch cost as much as a step of a network this small: a batch
        # is therefore a run of steps, taken here
        self.automatic_optimization = False
        self.bar = tqdm(total=n_steps, desc="training", unit="step", disable=not progress)

    def training_step(self, steps: list[tuple[Tensor, ...]], batch_idx: int) -> None:
        optimizer = cast("torch.optim.Optimizer", self.optimizers(use_pl_optimizer=False))
        schedule = cast("torch.optim.lr_scheduler.LRScheduler", self.lr_schedulers())
        for points in steps:
            loss = self._loss(*points)
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            schedule.step()
            self._average()
            self.losses.append(loss.detach())
        self.bar.update(len(steps))

    def _loss(self, t: Tensor, x: Tensor, rate: Tensor, z: Tensor, width: Tensor) -> Tensor:
        predicted_rate, score = self.field.heads(t, x)
        rate_loss = (predicted_rate - rate / self.field.speed).square().mean()
        score_loss = (z + width / self.field.scale * score).square().mean()
        return rate_loss + score_loss

    def _average(self) -> None:
        # the average warms up, so that it forgets the random initial weights
        n = len(self.losses)
        decay = min(self.options.ema_decay, (1 + n) / (10 + n))
        pairs = zip(self.averaged.parameters(), self.field.parameters(), strict=True)
        with torch.no_grad():
            for average, value in pairs:
                average.lerp_(value, 1 - decay)

    def on_train_end(self) -> None:
        self.bar.close()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        peak, n = self.options.learning_rate, self.n_steps
        optimizer = torch.optim.AdamW(
            self.field.parameters(), lr=peak, weight_decay=0.0, fused=True
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, peak, total_steps=n, pct_start=0.1
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule}}
