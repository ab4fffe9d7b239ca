"""The one place that builds a Lightning trainer."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable

import pytorch_lightning as lightning


def run_training(
    module: lightning.LightningModule, batches: Iterable, *, max_steps: int, progress: bool
) -> None:
    """Train ``module`` in place on one pass over ``batches``, without files or global seeding.

    The CPU is used: these networks are too small for a transfer per step to pay.
    """
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)  # banners about devices say nothing of the model
    try:
        with warnings.catch_warnings():
            # one pass over an iterable of known batches needs neither workers nor a length
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            trainer = lightning.Trainer(
                max_steps=max_steps, max_epochs=1, accelerator="cpu", devices=1, logger=False,
                enable_checkpointing=False, enable_model_summary=False,
                enable_progress_bar=progress, barebones=False,
            )
            trainer.fit(module, batches)
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
