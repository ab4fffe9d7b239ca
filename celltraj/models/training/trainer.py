"""The one place that builds a Lightning trainer."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytorch_lightning as lightning
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.environments import LightningEnvironment

from celltraj._parallel import one_thread
from celltraj.models.training.options import TrainerOptions
from celltraj.models.training.processes import Processes


def run_training(
    module: lightning.LightningModule,
    batches: Iterable[Any],
    options: TrainerOptions,
    processes: Processes,
) -> None:
    """Train ``module`` in place on one pass over ``batches``, and leave it on the CPU.

    Nothing is seeded globally, and Lightning writes no file unless ``options`` name a logger. To
    Lightning each of several processes trains alone.

    Raises
    ------
    KeyboardInterrupt
        The user stopped it.
    """
    with _quiet(), one_thread(is_on=not options.is_on_gpu):
        try:
            _trainer(options, processes).fit(module, batches)
        except SystemExit as stopped:
            # Lightning makes an exit of an interrupt, which would end a notebook's kernel
            if isinstance(stopped.__context__, KeyboardInterrupt):
                raise stopped.__context__ from None
            raise
        finally:
            module.cpu()


def _trainer(options: TrainerOptions, processes: Processes) -> lightning.Trainer:
    is_logged = options.logger is not None and processes.is_first
    return lightning.Trainer(
        max_epochs=1,
        accelerator="gpu" if options.is_on_gpu else "cpu",
        devices=_device(options, processes) if options.is_on_gpu else 1,
        precision=cast("Any", options.precision),
        # a process of SLURM or torchrun is alone here, and its signals are the user's
        plugins=[LightningEnvironment()],
        # barebones: no loggers, checkpoints or bars of its own; it refuses a logger
        barebones=not is_logged,
        logger=cast("Logger | None", options.logger if is_logged else None),
        enable_checkpointing=False if is_logged else None,
        enable_progress_bar=False if is_logged else None,
        enable_model_summary=False if is_logged else None,
    )


def _device(options: TrainerOptions, processes: Processes) -> int | list[int]:
    """Return the GPU of this process, as Lightning takes it."""
    if not isinstance(options.devices, int):
        return [options.devices[processes.place]]
    return [processes.place] if processes.size > 1 else options.devices


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
