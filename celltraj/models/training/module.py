"""Train a network on points of paths that are drawn for it, once and for every model."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Generic, TypeVar, cast

import pytorch_lightning as lightning
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from tqdm.auto import tqdm

from celltraj._errors import TrainingError
from celltraj.models.training.batches import Draws
from celltraj.models.training.checkpoint import (
    Checkpoint,
    read_checkpoint,
    training_facts,
    write_checkpoint,
)
from celltraj.models.training.early_stop import EarlyStop, Validation
from celltraj.models.training.options import Schedule, Training
from celltraj.models.training.processes import Processes, joined
from celltraj.models.training.resume import Beginning, checked
from celltraj.models.training.trainer import run_training
from celltraj.models.training.watch import Watch

_WARM = 0.1  # share of the steps in which the learning rate rises
Network = TypeVar("Network", bound=torch.nn.Module)
Loss = Callable[[Any, Any], Tensor]
Groups = list[dict[str, Any]]
logger = logging.getLogger("celltraj")


@dataclass(frozen=True)
class Job(Generic[Network]):
    """Hold what is trained, and on what.

    Parameters
    ----------
    network
        It is trained in place.
    batches
        Points of paths; an ended or interrupted training leaves them where it stopped.
    loss
        ``loss(network, points)`` of one step, a scalar.
    groups
        Parameters in groups that the optimiser treats alike; by default all, without decay.
    validation
        ``validation(network)`` of averaged weights on the CPU, for a training with patience; it
        must draw nothing from the generator of ``batches``. By default the loss on points drawn
        aside.
    stop
        What ends a training without patience early; None for one that takes all its steps.
    facts
        What tells data and model from others, kept in the checkpoint.
    """

    network: Network
    batches: Draws[Any]
    loss: Loss
    groups: Groups | None = None
    validation: Validation | None = None
    stop: EarlyStop | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parameter_groups(self) -> Groups:
        """Return the parameters as the optimiser takes them."""
        whole = [{"params": list(self.network.parameters()), "weight_decay": 0.0}]
        return whole if self.groups is None else self.groups

    def stopped(self, patience: int | None) -> EarlyStop | None:
        """Return what ends the training early, None for a training that takes all its steps."""
        if patience is None:
            return self.stop
        return EarlyStop(patience, self.validation or self.batches.validation(self.loss))


def train(
    job: Job[Network], training: Training, schedule: Schedule, *, progress: bool
) -> tuple[Network, tuple[float, ...]]:
    """Return the network with averaged trained weights, and the loss at each step.

    Parameters
    ----------
    job
        What is trained, and on what.
    training
        How and where.
    schedule
        The numbers that this comes to, those of the batches.
    progress
        Whether to show a bar over the steps.

    Raises
    ------
    TrainingError
        The loss is not finite, or a million times the first; its ``result`` is the averaged network
        of the steps before.
    ValueError
        The checkpoint is of another training.
    """
    where = training.trainer
    processes = joined(is_on_gpu=where.is_on_gpu) if where.strategy == "ddp" else Processes()
    module = TrainingModule(job, training, schedule, processes)
    with tqdm(
        total=schedule.n_steps,
        initial=module.resume(),
        desc="training",
        unit="step",
        disable=not (progress and processes.is_first),
    ) as module.bar:
        if not module.is_ended:
            run_training(module, processes.shares(job.batches), where, processes)
    module.finish()
    return cast("Network", module.averaged), tuple(module.losses)


class Cycles(torch.optim.lr_scheduler.OneCycleLR):
    """Begin anew after each cycle (Loshchilov & Hutter, *SGDR: warm restarts*, 2017).

    At the end of a cycle the weights have settled, so that they can be judged and the training
    ended there.
    """

    def get_lr(self) -> list[float | Tensor]:
        """Return the learning rate of each group, that of the step within its cycle."""
        step, self.last_epoch = self.last_epoch, self.last_epoch % self.total_steps
        try:
            return super().get_lr()
        finally:
            self.last_epoch = step


class TrainingModule(lightning.LightningModule):
    """Minimise a loss and average the weights; what :func:`train` hands to Lightning."""

    def __init__(
        self, job: Job[Any], training: Training, schedule: Schedule, processes: Processes
    ) -> None:
        super().__init__()
        self.processes = processes
        self.field, self.job, self.options, self.plan = job.network, job, training, schedule
        self.batches, self.where, self.n_steps = job.batches, training.trainer, schedule.n_steps
        self.stop = job.stopped(training.patience)
        self.loss = _compiled(job.loss) if self.where.compile else job.loss
        self.averaged = copy.deepcopy(job.network)
        self.watch = Watch()
        self.n_draws = self.batches.first
        self.points: Any = None
        self.checkpoint: Checkpoint | None = None
        self.bar: tqdm = tqdm(disable=True)
        self.facts = {} if self.where.checkpoint is None else self._facts()
        # Lightning's hooks around a batch cost as much as a step of a network this small: a batch
        # is therefore a run of steps, taken here
        self.automatic_optimization = False

    def training_step(self, steps: list[Any], batch_idx: int) -> None:
        """Take the steps of one draw."""
        optimizer, schedule = self._optimizer(), self._schedule()
        before = len(self.losses)
        for self.points in steps:
            self._step(self.points, optimizer, schedule)
        if (value := self.watch.look()) is not None:
            self.points = steps[len(self.losses) - before]
            raise self._error("the loss became", value)
        self.n_draws += 1
        if self.stop is not None and self._is_passed(self.stop.every, before):
            self.stop.check(self.averaged, self.device, self.processes)
        is_due = self._is_passed(self.where.checkpoint_every, before) or self.is_ended
        if self.where.checkpoint is not None and self.processes.is_first and is_due:
            write_checkpoint(self.where.checkpoint, self._state(optimizer, schedule))
        self._log(before, optimizer)
        self.bar.update(len(steps))

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        """Leave out the draws after the end."""
        return -1 if self.is_ended else None  # -1 ends the epoch, and there is only one

    @property
    def losses(self) -> list[float]:
        """Losses of the steps taken, up to the last look at them."""
        return self.watch.losses

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
        loss = self.loss(self.field, points)
        optimizer.zero_grad()
        self.manual_backward(loss)
        n_taken = len(self.watch)
        mean = self.processes.mean(self.field.parameters(), loss.detach())
        if (value := self.watch.add(mean)) is not None:
            raise self._error("the loss became", value)
        # weights enter the average only where the loss that they give is finite
        self._average(n_taken)
        if self.where.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.field.parameters(), self.where.gradient_clip)
        optimizer.step()
        schedule.step()

    def _average(self, n_taken: int) -> None:
        """Add the weights after ``n_taken`` steps to the average."""
        if n_taken == 0:
            return
        # the average warms up, so that it forgets the random initial weights
        decay = min(self.options.ema_decay, n_taken / (9 + n_taken))
        averages, values = list(self.averaged.parameters()), list(self.field.parameters())
        with torch.no_grad():
            if self.watch.flag is None:
                # all tensors in one call: they are small, and one by one cost as much as a layer
                torch._foreach_lerp_(averages, values, 1 - decay)
                return
            # nobody has looked at the losses: the device itself leaves out what follows a bad one
            for mean, moved in zip(
                averages, torch._foreach_lerp(averages, values, 1 - decay), strict=True
            ):
                mean.copy_(torch.where(self.watch.flag, moved, mean))

    def finish(self) -> None:
        """Add the weights of the last step, or take the best ones where they were checked."""
        sums = torch.stack([value.detach().sum() for value in self.field.parameters()])
        if not bool(sums.isfinite().all()):
            raise self._error("the weights became", float(sums.sum()))
        self._average(len(self.losses))
        if self.stop is not None:
            self.stop.check(self.averaged, torch.device("cpu"), self.processes)
            self.averaged.load_state_dict(self.stop.weights)
        self.processes.agree(self.averaged)

    def _error(self, what: str, value: float) -> TrainingError:
        step = len(self.losses) + (what == "the loss became")
        return TrainingError(
            f"{what} {value} at step {step} of {self.n_steps}, {_ranges(self.points)}. Lower "
            f"learning_rate (now {self.plan.learning_rate:g}), or check the units of the data: "
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
        """Tell the logger, and take up the optimiser of a checkpoint."""
        if self.logger is not None:
            self.logger.log_hyperparams(self._values())
        if self.checkpoint is not None:
            optimizer, schedule = self._optimizer(), self._schedule()
            optimizer.load_state_dict(_optimizer_state(self.checkpoint))
            schedule.load_state_dict(self.checkpoint.state["schedule"])

    def _optimizer(self) -> torch.optim.Optimizer:
        return cast("torch.optim.Optimizer", self.optimizers(use_pl_optimizer=False))

    def _schedule(self) -> torch.optim.lr_scheduler.LRScheduler:
        return cast("torch.optim.lr_scheduler.LRScheduler", self.lr_schedulers())

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return AdamW under one cycle of the learning rate after another."""
        peak, n = self.plan.learning_rate, self.plan.cycle
        groups = self.job.parameter_groups
        optimizer = torch.optim.AdamW(groups, lr=peak, fused=True)
        # a rise that ends with the very first step would be divided by its length of zero
        warm = _WARM if _WARM * n != 1 else _WARM / 2
        schedule = Cycles(optimizer, peak, total_steps=n, pct_start=warm)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule}}

    def _values(self) -> dict[str, Any]:
        """Return what the result depends on: all options but where it is trained."""
        names = [one.name for one in fields(self.options) if one.name != "trainer"]
        return {name: getattr(self.options, name) for name in names} | self.plan._asdict()

    def _facts(self) -> dict[str, Any]:
        """Return what a checkpoint of another training would differ in."""
        training = self._values()
        training |= {key: getattr(self.where, key) for key in ("precision", "gradient_clip")}
        return training_facts(
            self.field,
            training=training,
            generator=self.batches.generator,
            data=self.job.facts,
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
        n_steps = self._resume()
        self.processes.check_same(n_steps)
        for network in (self.field, self.averaged):
            self.processes.agree(network)
        return n_steps

    def _resume(self) -> int:
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
        self.watch.losses = tensors["losses"].tolist()
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
