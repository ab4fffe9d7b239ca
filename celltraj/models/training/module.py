"""Train a network on points of paths that are drawn for it, once and for every model."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar, cast, runtime_checkable

import pytorch_lightning as lightning
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from tqdm.auto import tqdm

from celltraj._errors import TrainingError
from celltraj.models.networks import TwoHeads
from celltraj.models.training.checkpoint import (
    Checkpoint,
    read_checkpoint,
    training_facts,
    write_checkpoint,
)
from celltraj.models.training.resume import Beginning, checked
from celltraj.models.training.trainer import TrainerOptions, run_training

_MOST_STEPS = 20_000
_DIVERGED = 1e6  # times the first loss: finite, and lost for good
_WARM = 0.1  # share of the steps in which the learning rate rises
_CHECK_EVERY = 250  # steps between checks of an early stop
DRAWN_AT_ONCE = 50  # steps, in one batch of Lightning's
_MASSES = 0.1  # weight of the loss of the masses: the trunk serves the motion first
Field = TypeVar("Field", bound=torch.nn.Module)
Loss = Callable[[Any, Any], Tensor]
Validation = Callable[[Any], float]
logger = logging.getLogger("celltraj")


@dataclass(frozen=True)
class TrainingOptions:
    """Hold what a training of a network is told, checked once.

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
    patience
        Checks without improvement, one every 250 steps on points that are not trained on, after
        which the training stops; the best averaged weights are kept. None for all steps.

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
    patience: int | None = None
    fewest_steps: ClassVar[int] = 2_000

    def __post_init__(self) -> None:
        given = [n for n in (self.max_steps, self.patience) if n is not None]
        counts = min([*given, self.batch_size, self.width])
        if counts < 1 or not self.learning_rate > 0 or not 0 <= self.ema_decay < 1:
            raise ValueError(
                "max_steps, batch_size, width, learning_rate and patience must be positive and "
                f"ema_decay in [0, 1); found {self}"
            )

    def n_steps(self, n_cells: int) -> int:
        """Return the steps to take: by default one for every two cells, within bounds."""
        return self.max_steps or min(max(n_cells // 2, self.fewest_steps), _MOST_STEPS)

    def parameter_groups(self, field: torch.nn.Module) -> list[dict[str, Any]]:
        """Return the parameters, in groups that the optimiser treats alike."""
        return [{"params": list(field.parameters()), "weight_decay": 0.0}]


class Points(NamedTuple):
    """Hold the points of bridges of one step: times and states float64, the rest float32.

    Parameters
    ----------
    t
        ``(n, 1)`` times.
    x
        ``(n, d)`` states on the bridges.
    rate
        ``(n, d)`` displacement rates, in [x]/[t].
    z
        ``(n, d)`` standardised noise.
    width
        ``(n, 1)`` standard deviation of the bridge there, in [x].
    mass
        ``(n, 1)`` mass of the path there.
    sent, met
        ``(n, 1)`` logarithms of what its ends send and meet, see
        :mod:`celltraj.models.growth.path_mass`.
    """

    t: Tensor
    x: Tensor
    rate: Tensor
    z: Tensor
    width: Tensor
    mass: Tensor
    sent: Tensor
    met: Tensor


def point_errors(field: TwoHeads, points: Points) -> Tensor:
    """Return the squared errors ``(n,)`` of rate, score and masses, each in its own unit."""
    rate, score, masses = field.all_heads(points.t, points.x)
    errors = (rate - points.rate / field.speed).square().mean(1)
    errors = errors + (points.z + points.width / field.scale * score).square().mean(1)
    if field.has_mass:
        wanted = torch.cat([points.sent, points.met], 1)
        errors = errors + _MASSES * (masses - wanted).square().sum(1)
    return errors


def two_heads_loss(field: TwoHeads, points: Points) -> Tensor:
    """Return the mean error of points, weighted by their mass."""
    return (points.mass[:, 0] * point_errors(field, points)).mean()


@runtime_checkable
class Batches(Protocol):
    """Draw the points of a training on the CPU.

    Each item is a list of steps, each a tuple of tensors that the loss understands. Built afresh
    from the same seed, with ``first`` and the state of ``generator`` set to what they were after
    some draws, it goes on with the next one.

    Attributes
    ----------
    generator
        What every draw draws from.
    first
        Draw to begin with; 0 in a new training.
    """

    generator: torch.Generator
    first: int

    def __len__(self) -> int: ...  # known, so that Lightning does not draw one in advance
    def __iter__(self) -> Iterator[list[Any]]: ...


def train_heads(
    field: Field,
    options: TrainingOptions,
    n_steps: int,
    batches: Batches,
    *,
    loss: Loss,
    trainer: TrainerOptions,
    progress: bool,
    validation: Validation | None = None,
    facts: Mapping[str, Any] | None = None,
) -> tuple[Field, tuple[float, ...]]:
    """Return ``field`` with averaged trained weights, and the loss at each step.

    Parameters
    ----------
    field
        The network; it is trained in place.
    options
        How it is trained.
    n_steps
        Steps of the whole training, those of ``batches``.
    batches
        Points of paths; an ended or interrupted training leaves them where it stopped.
    loss
        ``loss(field, points)`` of one step, a scalar.
    trainer
        Where it is trained, and what is written meanwhile.
    progress
        Whether to show a bar over the steps.
    validation
        ``validation(field)`` of averaged weights on the CPU, which ``options.patience`` needs; it
        must draw nothing from the generator of ``batches``.
    facts
        What tells the data and the model from others, kept in the checkpoint.

    Raises
    ------
    TrainingError
        The loss is not finite, or a million times the first; its ``result`` is the averaged network
        of the steps before.
    ValueError
        The checkpoint is of another training, or ``patience`` has nothing to check.
    """
    if options.patience is not None and validation is None:
        raise ValueError("patience needs a validation to check, and this model has none; pass None")
    stop = EarlyStop(options.patience, cast("Validation", validation)) if options.patience else None
    training = HeadsTraining(field, options, n_steps, batches, loss, trainer, stop, facts or {})
    with tqdm(
        total=n_steps,
        initial=training.resume(),
        desc="training",
        unit="step",
        disable=not progress,
    ) as training.bar:
        if not training.is_ended:
            run_training(training, cast("Any", batches), trainer)
    training.finish()
    return cast("Field", training.averaged), tuple(training.losses)


class EarlyStop:
    """Keep the best averaged weights, and say when they have not improved for long."""

    def __init__(self, patience: int, validation: Validation) -> None:
        self.patience, self.validation = patience, validation
        self.best, self.waited = math.inf, 0
        self.weights: dict[str, Tensor] = {}

    @property
    def is_due(self) -> bool:
        return self.waited >= self.patience

    def check(self, averaged: torch.nn.Module, device: torch.device) -> None:
        """Compare ``averaged`` with the best until now."""
        averaged.cpu()
        with torch.no_grad():
            value = float(self.validation(averaged))
        self.waited += 1
        if value < self.best or not self.weights:
            self.best, self.waited = value, 0
            self.weights = copy.deepcopy(averaged.state_dict())
        averaged.to(device)


class HeadsTraining(lightning.LightningModule):
    """Minimise a loss and average the weights."""

    def __init__(
        self,
        field: torch.nn.Module,
        options: TrainingOptions,
        n_steps: int,
        batches: Batches,
        loss: Loss,
        where: TrainerOptions,
        stop: EarlyStop | None,
        facts: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.field, self.options, self.n_steps = field, options, n_steps
        self.batches, self.where, self.stop = batches, where, stop
        self.loss = _compiled(loss) if where.compile else loss
        self.averaged = copy.deepcopy(field)
        self.losses: list[float] = []
        self.n_draws = batches.first
        self.points: Any = None
        self.checkpoint: Checkpoint | None = None
        self.bar: tqdm = tqdm(disable=True)
        self.facts = {} if where.checkpoint is None else self._facts(facts)
        # Lightning's hooks around a batch cost as much as a step of a network this small: a batch
        # is therefore a run of steps, taken here
        self.automatic_optimization = False

    def training_step(self, steps: list[Any], batch_idx: int) -> None:
        optimizer, schedule = self._optimizer(), self._schedule()
        before = len(self.losses)
        for points in steps:
            self._step(points, optimizer, schedule)
        self.n_draws += 1
        if self.stop is not None and self._is_passed(_CHECK_EVERY, before):
            self.stop.check(self.averaged, self.device)
        if self.where.checkpoint is not None and (
            self._is_passed(self.where.checkpoint_every, before) or self.is_ended
        ):
            write_checkpoint(self.where.checkpoint, self._state(optimizer, schedule))
        self._log(before, optimizer)
        self.bar.update(len(steps))

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        return -1 if self.is_ended else None  # -1 ends the epoch, and there is only one

    @property
    def is_ended(self) -> bool:
        """Whether all steps are taken, or nothing has improved for long."""
        return len(self.losses) >= self.n_steps or (self.stop is not None and self.stop.is_due)

    def _is_passed(self, every: int, before: int) -> bool:
        return len(self.losses) // every > before // every

    def _step(
        self,
        points: Any,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
    ) -> None:
        self.points = points
        loss = self.loss(self.field, points)
        value = float(loss.detach())
        if not math.isfinite(value) or value > _DIVERGED * max([1.0, *self.losses[:1]]):
            raise self._error("the loss became", value)
        # weights enter the average only once the loss that they give is known to be finite
        self._average()
        optimizer.zero_grad()
        self.manual_backward(loss)
        if self.where.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.field.parameters(), self.where.gradient_clip)
        optimizer.step()
        schedule.step()
        self.losses.append(value)

    def _average(self) -> None:
        """Add the weights of the last step to the average."""
        if not self.losses:
            return
        # the average warms up, so that it forgets the random initial weights
        n = len(self.losses) - 1
        decay = min(self.options.ema_decay, (1 + n) / (10 + n))
        pairs = zip(self.averaged.parameters(), self.field.parameters(), strict=True)
        with torch.no_grad():
            for average, value in pairs:
                average.lerp_(value, 1 - decay)

    def finish(self) -> None:
        """Add the weights of the last step, or take the best ones where they were checked."""
        sums = torch.stack([value.detach().sum() for value in self.field.parameters()])
        if not bool(sums.isfinite().all()):
            raise self._error("the weights became", float(sums.sum()))
        self._average()
        if self.stop is not None:
            self.stop.check(self.averaged, torch.device("cpu"))
            self.averaged.load_state_dict(self.stop.weights)

    def _error(self, what: str, value: float) -> TrainingError:
        step = len(self.losses) + (what == "the loss became")
        return TrainingError(
            f"{what} {value} at step {step} of {self.n_steps}, {_ranges(self.points)}. Lower "
            f"learning_rate (now {self.options.learning_rate:g}), or check the units of the data: "
            "variables of very different size, or far outliers. The averaged network of the steps "
            "before is the result of this error",
            self.averaged,
        )

    def _log(self, before: int, optimizer: torch.optim.Optimizer) -> None:
        if self.logger is None:
            return
        last = len(self.losses) - 1
        for step in range(before, last):
            self.logger.log_metrics({"loss": self.losses[step]}, step=step)
        rate = optimizer.param_groups[0]["lr"]
        self.logger.log_metrics({"loss": self.losses[last], "learning_rate": rate}, step=last)

    def on_train_start(self) -> None:
        if self.logger is not None:
            self.logger.log_hyperparams(_values(self.options) | {"n_steps": self.n_steps})
        if self.checkpoint is not None:
            optimizer, schedule = self._optimizer(), self._schedule()
            optimizer.load_state_dict(_optimizer_state(self.checkpoint))
            schedule.load_state_dict(self.checkpoint.state["schedule"])

    def _optimizer(self) -> torch.optim.Optimizer:
        return cast("torch.optim.Optimizer", self.optimizers(use_pl_optimizer=False))

    def _schedule(self) -> torch.optim.lr_scheduler.LRScheduler:
        return cast("torch.optim.lr_scheduler.LRScheduler", self.lr_schedulers())

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        peak, n = self.options.learning_rate, self.n_steps
        groups = self.options.parameter_groups(self.field)
        optimizer = torch.optim.AdamW(groups, lr=peak, fused=True)
        # a rise that ends with the very first step would be divided by its length of zero
        warm = _WARM if _WARM * n != 1 else _WARM / 2
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, peak, total_steps=n, pct_start=warm
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule}}

    def _facts(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a checkpoint of another training would differ in."""
        training = {"name": type(self.options).__name__, "n_steps": self.n_steps}
        training |= _values(self.options)
        training |= {key: getattr(self.where, key) for key in ("precision", "gradient_clip")}
        return training_facts(
            self.field,
            training=training,
            generator=self.batches.generator,
            data=facts,
            variables=self.where.variables,
        )

    def _state(
        self,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
    ) -> Checkpoint:
        moments = optimizer.state_dict()
        state = {
            "n_draws": self.n_draws,
            "groups": moments["param_groups"],
            "schedule": schedule.state_dict(),
        }
        tensors = {
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "generator": self.batches.generator.get_state(),
        }
        named = {"field.": self.field.state_dict(), "averaged.": self.averaged.state_dict()}
        named |= {f"optimizer.{i}.": values for i, values in moments["state"].items()}
        if self.stop is not None:
            # JSON has no infinity, the best before the first check
            best = self.stop.best if math.isfinite(self.stop.best) else None
            state |= {"best": best, "waited": self.stop.waited}
            named["best."] = self.stop.weights
        tensors |= {prefix + k: v for prefix, part in named.items() for k, v in part.items()}
        return Checkpoint(self.facts, state, tensors)

    def resume(self) -> int:
        """Take up the checkpoint where asked for and there is one; return the steps it took."""
        if not self.where.resume or self.where.checkpoint is None:
            return 0
        self.checkpoint = read_checkpoint(self.where.checkpoint, self.facts)
        if self.checkpoint is None:
            logger.info("no checkpoint in %s: the training starts afresh", self.where.checkpoint)
            return 0
        self.checkpoint = self._checked(self.checkpoint)
        state, tensors = self.checkpoint.state, self.checkpoint.tensors
        self.field.load_state_dict(self.checkpoint.below("field."))
        self.averaged.load_state_dict(self.checkpoint.below("averaged."))
        self.losses = tensors["losses"].tolist()
        self.n_draws = self.batches.first = state["n_draws"]
        self.batches.generator.set_state(tensors["generator"])
        if self.stop is not None:
            best = state.get("best")
            self.stop.best = math.inf if best is None else best
            self.stop.waited = state.get("waited", 0)
            self.stop.weights = self.checkpoint.below("best.")
        logger.info("training goes on from step %d of %d", len(self.losses), self.n_steps)
        return len(self.losses)

    def _checked(self, checkpoint: Checkpoint) -> Checkpoint:
        """Return the checkpoint if this training can come to it."""
        begun = cast("Any", self.configure_optimizers())
        groups = begun["optimizer"].state_dict()["param_groups"]
        schedule = begun["lr_scheduler"]["scheduler"].state_dict()
        optimised = tuple(v for one in begun["optimizer"].param_groups for v in one["params"])
        beginning = Beginning(
            self.field, groups, schedule, self.n_steps, len(self.batches), optimised
        )
        try:
            return checked(checkpoint, beginning)
        except ValueError as error:
            raise ValueError(
                f"cannot go on from the checkpoint in {self.where.checkpoint}: {error}; remove "
                "it, or do without resume to start afresh"
            ) from error


def _compiled(loss: Loss) -> Loss:
    # torch.compile takes functions and modules, not every callable
    return torch.compile(lambda field, points: loss(field, points))


def _values(options: TrainingOptions) -> dict[str, Any]:
    """Return what the result depends on: all options but where it is trained."""
    values = {one.name: getattr(options, one.name) for one in fields(options)}
    kept = {name: v for name, v in values.items() if not isinstance(v, TrainerOptions)}
    return {name: asdict(cast("Any", v)) if is_dataclass(v) else v for name, v in kept.items()}


def _optimizer_state(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the state of the optimiser in the form that torch reads."""
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in checkpoint.below("optimizer.").items():
        i, name = key.split(".", 1)
        moments.setdefault(int(i), {})[name] = value
    # JSON makes lists of tuples
    groups = [group | {"betas": tuple(group["betas"])} for group in checkpoint.state["groups"]]
    return {"state": moments, "param_groups": groups}


def _ranges(points: Any) -> str:
    """Return the least and greatest value of each tensor of a batch, in words."""
    if points is None:
        return "before a batch was drawn"
    names = getattr(points, "_fields", range(len(points)))
    spans = [
        f"{name} in [{float(value.min()):.3g}, {float(value.max()):.3g}]"
        for name, value in zip(names, points, strict=True)
        if isinstance(value, Tensor) and value.numel()
    ]
    return f"on a batch with {', '.join(spans)}"
