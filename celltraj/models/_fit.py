"""The one place that builds a Lightning trainer."""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import pytorch_lightning as lightning
import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.environments import LightningEnvironment

from celltraj._checks import checked_fields

_ACCELERATORS = ("auto", "cpu", "gpu")
_PRECISIONS = ("32-true", "bf16-mixed")


@checked_fields
@dataclass(frozen=True)
class TrainerOptions:
    """Say where and how a network is trained, which is no part of the model.

    Parameters
    ----------
    accelerator
        ``"auto"``, the GPU where there is one; ``"cpu"``, on one thread; ``"gpu"``. One seed gives
        the same network on one kind of machine, and one that differs in the last digits on another.
    devices
        1, or the index of one device in a list such as ``[2]``.
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

    Raises
    ------
    ValueError
        An unknown accelerator or precision, no GPU where one is asked for, more than one device, a
        number that is not positive, or ``resume`` without a folder.
    TypeError
        ``logger`` is not an instance of a Lightning logger.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> trainer = ct.models.TrainerOptions(accelerator="cpu", gradient_clip=1.0)
    >>> drift = ct.models.NeuralDrift(max_steps=20, trainer=trainer)
    >>> len(ct.tl.fit_bridge(adata, drift=drift, seed=0, progress=False).field.history)
    20
    """

    accelerator: str = "auto"
    devices: int | Sequence[int] = 1
    precision: str = "32-true"
    compile: bool = False
    gradient_clip: float | None = None
    logger: Logger | None = None
    checkpoint: str | os.PathLike[str] | None = None
    checkpoint_every: int = 500
    resume: bool = False
    variables: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check_machine()
        if self.precision not in _PRECISIONS:
            raise ValueError(f"precision must be one of {_PRECISIONS}; found {self.precision!r}")
        if self.gradient_clip is not None and not 0 < self.gradient_clip < math.inf:
            raise ValueError(
                f"gradient_clip must be positive and finite; found {self.gradient_clip}. Pass None "
                "for no bound"
            )
        if self.logger is not None and not isinstance(self.logger, Logger):
            raise TypeError(
                f"logger must be an instance of a Lightning logger; found {self.logger!r}. Pass "
                'one such as pytorch_lightning.loggers.CSVLogger("logs")'
            )
        if self.checkpoint_every < 1:
            raise ValueError(f"checkpoint_every must be at least 1; found {self.checkpoint_every}")
        if self.resume and self.checkpoint is None:
            raise ValueError("resume needs the folder to go on from; pass checkpoint=")

    def _check_machine(self) -> None:
        if self.accelerator not in _ACCELERATORS:
            raise ValueError(
                f"accelerator must be one of {_ACCELERATORS}; found {self.accelerator!r}"
            )
        if self.accelerator == "gpu" and not torch.cuda.is_available():
            raise ValueError('torch finds no GPU; pass accelerator="auto", or "cpu"')
        is_one = self.devices == 1 if isinstance(self.devices, int) else len(self.devices) == 1
        if not is_one:
            raise ValueError(
                f"a network is trained on one device; found devices={self.devices}. Pass 1, or its "
                "index in a list"
            )

    @property
    def is_on_gpu(self) -> bool:
        """Whether the training runs on a GPU."""
        return self.accelerator != "cpu" and torch.cuda.is_available()


def run_training(
    module: lightning.LightningModule, batches: Iterable[Any], options: TrainerOptions
) -> None:
    """Train ``module`` in place on one pass over ``batches``, and leave it on the CPU.

    Nothing is seeded globally, and Lightning writes no file unless ``options`` name a logger.

    Raises
    ------
    KeyboardInterrupt
        The user stopped it.
    """
    with _quiet(), one_thread(is_on=not options.is_on_gpu):
        try:
            _trainer(options).fit(module, batches)
        except SystemExit as stopped:
            # Lightning makes an exit of an interrupt, which would end a notebook's kernel
            if isinstance(stopped.__context__, KeyboardInterrupt):
                raise stopped.__context__ from None
            raise
        finally:
            module.cpu()


def _trainer(options: TrainerOptions) -> lightning.Trainer:
    is_logged = options.logger is not None
    devices = options.devices if isinstance(options.devices, int) else list(options.devices)
    return lightning.Trainer(
        max_epochs=1,
        accelerator="gpu" if options.is_on_gpu else "cpu",
        devices=devices if options.is_on_gpu else 1,
        precision=cast("Any", options.precision),
        # a job of SLURM is one process here, and its signals are the user's
        plugins=[LightningEnvironment()],
        # barebones: no loggers, checkpoints or bars of its own; it refuses a logger
        barebones=not is_logged,
        logger=options.logger if is_logged else None,
        enable_checkpointing=False if is_logged else None,
        enable_progress_bar=False if is_logged else None,
        enable_model_summary=False if is_logged else None,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back Lightning's banners and advice, which say nothing of the model."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # one pass over an iterable of known batches needs neither workers nor a length
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def one_thread(*, is_on: bool = True) -> Iterator[None]:
    """Run torch on one thread: with networks this small, more of them wait for each other."""
    n_threads = torch.get_num_threads()
    if is_on:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
