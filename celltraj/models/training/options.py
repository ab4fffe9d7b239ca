"""How a network is trained, and where: the same for bridge, flow and response."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import torch

from celltraj._checks import checked_fields
from celltraj._writable import check_folder
from celltraj.models.training.processes import check_started

_STRATEGIES = ("auto", "ddp")
_ACCELERATORS = ("auto", "cpu", "gpu")
_PRECISIONS = ("32-true", "bf16-mixed")
_MOST_STEPS = 20_000
NETWORK = "network-"  # of a folder within that of a checkpoint, for others of an ensemble


@checked_fields
@dataclass(frozen=True)
class TrainerOptions:
    """Say where a network is trained and what is written meanwhile, which is no part of the model.

    Parameters
    ----------
    accelerator
        ``"auto"``, the GPU where there is one; ``"cpu"``, on one thread; ``"gpu"``. One seed gives
        the same network on one kind of machine, and one that differs in the last digits on another.
    devices
        1, or the index of one device in a list such as ``[2]``. With ``strategy="ddp"``, processes
        on each machine, or the indices of their GPUs.
    precision
        ``"32-true"``, or ``"bf16-mixed"``, which pays from widths of about 1,000 on a GPU.
    compile
        Whether to compile the loss, and the network inside it, with ``torch.compile``. It takes
        seconds to a minute at the start, which small networks never win back.
    gradient_clip
        Greatest norm of the gradient; None for no bound.
    logger
        Lightning's ``CSVLogger``, ``TensorBoardLogger`` or any other, for the loss at each step and
        the learning rate after each draw of batches.
    checkpoint
        Folder for a checkpoint of the training, None for none. It is left there at the end, see
        :func:`celltraj.models.remove_checkpoint`.
    checkpoint_every
        Steps between checkpoints; rounded up to the end of a draw of batches.
    resume
        Whether to go on from the checkpoint, where there is one: the network is the same, bit by
        bit, as without the interruption.
    variables
        Names of the ``d`` state variables, kept in the checkpoint: one of others is refused.
    strategy
        ``"auto"``, one process; ``"ddp"``, those that ``torchrun`` or SLURM's ``srun`` has started:
        each runs the whole script and takes its part of every step. Losses and network are those
        of one process with the same ``batch_size`` up to rounding, since points are drawn alike
        and gradients averaged over all; every process ends with the same network. The first one
        writes checkpoints and logs, shows the bar of the training and says when to stop.
        Processes pay where the gradient costs far more than to pass it on: from a ``width`` of
        about 1,000. At the default of 128 a step takes milliseconds, and one process is fastest.
    num_nodes
        Machines with that many processes each.

    Raises
    ------
    ValueError
        An unknown accelerator, strategy or precision, no GPU where one is asked for, more than one
        device without ``strategy="ddp"``, another number of processes than were started, a number
        that is not positive, or ``resume`` without a folder.
    TypeError
        ``logger`` is not an instance of a Lightning logger.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> trainer = ct.models.TrainerOptions(accelerator="cpu", gradient_clip=1.0)
    >>> training = ct.models.Training(max_steps=20, trainer=trainer)
    >>> len(ct.tl.fit_bridge(adata, training=training, seed=0, progress=False).losses)
    20
    """

    accelerator: str = "auto"
    devices: int | Sequence[int] = 1
    precision: str = "32-true"
    compile: bool = False
    gradient_clip: float | None = None
    logger: object | None = None
    checkpoint: str | os.PathLike[str] | None = None
    checkpoint_every: int = 500
    resume: bool = False
    variables: tuple[str, ...] = ()
    strategy: str = "auto"
    num_nodes: int = 1

    def __post_init__(self) -> None:
        self._check_machine()
        self._check_logger()
        if self.precision not in _PRECISIONS:
            raise ValueError(f"precision must be one of {_PRECISIONS}; found {self.precision!r}")
        if self.gradient_clip is not None and not 0 < self.gradient_clip < math.inf:
            raise ValueError(
                f"gradient_clip must be positive and finite; found {self.gradient_clip}. Pass None "
                "for no bound"
            )
        if self.checkpoint_every < 1:
            raise ValueError(f"checkpoint_every must be at least 1; found {self.checkpoint_every}")
        if self.resume and self.checkpoint is None:
            raise ValueError("resume needs the folder to go on from; pass checkpoint=")
        if self.checkpoint is not None:  # else a training would end at the first one
            check_folder(Path(self.checkpoint))

    def _check_machine(self) -> None:
        if self.accelerator not in _ACCELERATORS:
            raise ValueError(
                f"accelerator must be one of {_ACCELERATORS}; found {self.accelerator!r}"
            )
        if self.accelerator == "gpu" and not torch.cuda.is_available():
            raise ValueError('torch finds no GPU; pass accelerator="auto", or "cpu"')
        self._check_processes()

    def _check_processes(self) -> None:
        if self.strategy not in _STRATEGIES:
            raise ValueError(
                f"strategy must be one of {_STRATEGIES}; found {self.strategy!r}. What starts "
                "processes of its own is not offered: they would not know what a script or a "
                "notebook did before"
            )
        n_here = self.devices if isinstance(self.devices, int) else len(self.devices)
        if min(n_here, self.num_nodes) < 1:
            raise ValueError(
                f"devices and num_nodes must be at least 1; found devices={self.devices} and "
                f"num_nodes={self.num_nodes}"
            )
        if self.strategy == "ddp":
            check_started(n_here, self.num_nodes)
        elif n_here * self.num_nodes > 1:
            raise ValueError(
                f"a network is trained on one device; found devices={self.devices} and num_nodes="
                f'{self.num_nodes}. Pass 1, or the index of one in a list, or strategy="ddp"'
            )

    def _check_logger(self) -> None:
        if self.logger is None:
            return
        # Lightning takes seconds to load, which whoever has no logger is spared
        from pytorch_lightning.loggers import Logger

        if not isinstance(self.logger, Logger):
            raise TypeError(
                f"logger must be an instance of a Lightning logger; found {self.logger!r}. Pass "
                'one such as pytorch_lightning.loggers.CSVLogger("logs")'
            )

    @property
    def is_on_gpu(self) -> bool:
        """Whether the training runs on a GPU."""
        return self.accelerator != "cpu" and torch.cuda.is_available()


class Schedule(NamedTuple):
    """Hold the numbers that a training comes to for one model and its data.

    Parameters
    ----------
    n_steps
        Steps of the optimiser.
    batch_size
        Points of paths per step, in a response of each population.
    learning_rate
        Peak of the learning rate.
    cycle
        Steps over which the learning rate rises and falls once; a training that is ended early
        takes several cycles at most, and others one.
    """

    n_steps: int
    batch_size: int
    learning_rate: float
    cycle: int


class ModelDefaults(NamedTuple):
    """Say what a model takes where :class:`Training` leaves it open.

    Parameters
    ----------
    fewest_steps
        Steps that even a few cells are trained for.
    batch_size, learning_rate
        As of :class:`Training`.
    cycle
        Steps of a cycle of the learning rate, after which it is judged whether to go on; None for
        a model that takes all its steps in one.
    per_cell
        Steps for each cell, where these are more.
    """

    fewest_steps: int
    batch_size: int = 512
    learning_rate: float = 1e-2
    cycle: int | None = None
    per_cell: float = 0.5


@checked_fields
@dataclass(frozen=True)
class Training:
    """Say how a network is trained: the same object for a bridge, a flow and a response.

    Parameters
    ----------
    max_steps
        Optimiser steps, all of which are taken. By default one for every two cells, at least 2,000
        for a bridge and 4,000 for a flow, in cycles of 1,000 that end after the one in which
        trajectories meet the snapshots, or come no nearer; for a response 1,000 to 3,000, until
        each treatment of a population was drawn 400 times (1,000 where cells carry features of
        their own), and more where 32 times take more. At most 20,000.
    max_epochs
        Steps in units of the cells: an epoch draws as many points as there are cells. Given in
        place of ``max_steps``.
    batch_size
        Points of paths per step; by default 512, and for a response 128 of each population.
    width
        Width of the layers.
    learning_rate
        Peak of AdamW's one-cycle schedule (Smith & Topin, *Super-convergence*, 2019); by default
        0.01, and 0.005 for a response.
    ema_decay
        Decay per step of the averaged weights that are used for prediction.
    patience
        Checks, one every 250 steps, without improvement after which the training stops; the best
        averaged weights are kept. What is checked is the loss on the cells of ``validation``, or,
        where none are kept aside, on points of paths that are not trained on. None for all steps.
    validation
        Share of the cells of each snapshot that a flow keeps from the training. A bridge passes
        through every cell and a response couples all of them: they keep none.
    trainer
        Device, precision, checkpoints, logger.

    Raises
    ------
    ValueError
        A number is out of range, or both ``max_steps`` and ``max_epochs`` are given.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> short = ct.models.Training(max_steps=20)
    >>> len(ct.tl.fit_bridge(adata, training=short, seed=0, progress=False).losses)
    20
    """

    max_steps: int | None = None
    max_epochs: int | None = None
    batch_size: int | None = None
    width: int = 128
    learning_rate: float | None = None
    ema_decay: float = 0.995
    patience: int | None = None
    validation: float = 0.0
    trainer: TrainerOptions = field(default_factory=TrainerOptions)

    def __post_init__(self) -> None:
        counts = (self.max_steps, self.max_epochs, self.patience, self.batch_size, self.width)
        rate = self.learning_rate
        is_slow = rate is None or 0 < rate < math.inf
        if (
            min(n for n in counts if n is not None) < 1
            or not is_slow
            or not 0 <= self.ema_decay < 1
        ):
            raise ValueError(
                "max_steps, max_epochs, batch_size, width, learning_rate and patience must be "
                f"positive and ema_decay in [0, 1); found {self}"
            )
        if self.max_epochs is not None and self.max_steps is not None:
            raise ValueError(
                "max_epochs stands in place of max_steps; found max_epochs="
                f"{self.max_epochs} and max_steps={self.max_steps}"
            )
        if not 0 <= self.validation < 1:
            raise ValueError(f"validation must lie in [0, 1); found {self.validation}")

    def schedule(
        self, defaults: ModelDefaults, n_cells: int, *, n_populations: int = 1
    ) -> Schedule:
        """Return what it comes to for ``n_cells`` cells, of ``n_populations`` in each step."""
        size = self.batch_size or defaults.batch_size
        rate = self.learning_rate or defaults.learning_rate
        if self.max_epochs is not None:
            steps = self.max_epochs * math.ceil(n_cells / (size * n_populations))
            return Schedule(steps, size, rate, steps)
        if self.max_steps is not None:
            return Schedule(self.max_steps, size, rate, self.max_steps)
        steps = min(max(int(defaults.per_cell * n_cells), defaults.fewest_steps), _MOST_STEPS)
        if self.patience is not None or defaults.cycle is None:
            return Schedule(steps, size, rate, steps)
        n_cycles = math.ceil(steps / defaults.cycle)
        return Schedule(n_cycles * defaults.cycle, size, rate, defaults.cycle)

    def for_variables(self, names: Sequence[str]) -> Training:
        """Return the same training, whose checkpoint says which variables it is of."""
        known = self.trainer.variables or tuple(names)
        return replace(self, trainer=replace(self.trainer, variables=known))

    def of_network(self, number: int) -> Training:
        """Return the training of one network of an ensemble, with a checkpoint of its own."""
        folder = self.trainer.checkpoint
        if folder is None or number == 0:
            return self
        own = Path(folder) / f"{NETWORK}{number}"
        return replace(self, trainer=replace(self.trainer, checkpoint=own))

    def without_validation(self, model: str, reason: str) -> None:
        """Raise where cells are kept from a model that keeps none.

        Raises
        ------
        ValueError
            ``validation`` is not 0.
        """
        if self.validation > 0:
            raise ValueError(
                f"validation={self.validation:g} keeps cells from {model}, and {reason}; leave "
                "validation=0: patience watches points of paths that are not trained on"
            )
