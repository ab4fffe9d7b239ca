"""Train a network of two heads, rate and score, on points of paths that were drawn before."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, TypeVar, cast

import pytorch_lightning as lightning
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from tqdm.auto import tqdm

from celltraj._snapshots import Snapshots
from celltraj.models._fit import run_training
from celltraj.models.networks import TwoHeads

_MOST_STEPS = 20_000
DRAWN_AT_ONCE = 50  # steps, in one batch of Lightning's
Field = TypeVar("Field", bound=TwoHeads)


@dataclass(frozen=True)
class TrainingOptions:
    """Hold what a training of two heads is told, checked once.

    Parameters
    ----------
    max_steps
        Optimiser steps; None leaves them to :meth:`n_steps`.
    batch_size
        Points of paths per step.
    width
        Width of the three hidden layers.
    learning_rate
        Peak of AdamW's one-cycle schedule (Smith & Topin, *Super-convergence*, 2019).
    ema_decay
        Decay per step of the averaged weights that are used for prediction.

    Raises
    ------
    ValueError
        A number is not positive, or the decay not in [0, 1).
    """

    max_steps: int | None = None
    batch_size: int = 512
    width: int = 128
    learning_rate: float = 1e-2
    ema_decay: float = 0.995
    fewest_steps: ClassVar[int] = 2_000

    def __post_init__(self) -> None:
        counts = min(1 if self.max_steps is None else self.max_steps, self.batch_size, self.width)
        if counts < 1 or not self.learning_rate > 0 or not 0 <= self.ema_decay < 1:
            raise ValueError(
                "max_steps, batch_size, width and learning_rate must be positive and ema_decay in "
                f"[0, 1); found {self}"
            )

    def n_steps(self, snapshots: Snapshots) -> int:
        """Return the steps to take: by default one for every two cells, within bounds."""
        n_cells = sum(len(cells) for cells in snapshots.x)
        return self.max_steps or min(max(n_cells // 2, self.fewest_steps), _MOST_STEPS)


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
