"""The one place that builds a Lightning trainer."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable

import pytorch_lightning as lightning
import torch


def run_training(module: lightning.LightningModule, batches: Iterable) -> None:
    """Train ``module`` in place on one pass over ``batches``, without files or global seeding.

    The CPU is used, on one thread: these networks are too small for a transfer per step to pay, and
    more threads only wait for each other. The number of threads is restored afterwards.
    """
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch")]
    levels = [logger.level for logger in loggers]
    n_threads = torch.get_num_threads()
    for logger in loggers:
        logger.setLevel(logging.WARNING)  # banners about devices say nothing of the model
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            # one pass over an iterable of known batches needs neither workers nor a length
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            # barebones: no loggers, checkpoints or bars of its own
            trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", devices=1, barebones=True)
            trainer.fit(module, batches)
    finally:
        torch.set_num_threads(n_threads)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
