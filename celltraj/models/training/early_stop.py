"""When a training ends that no longer improves."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from celltraj.models.training.processes import Processes

CHECK_EVERY = 250  # steps between checks
Validation = Callable[[Any], float]


class EarlyStop:
    """Keep the best averaged weights, and say when they are good enough or no longer improve.

    Parameters
    ----------
    patience
        Checks without improvement after which it is due.
    validation
        ``validation(network)`` of averaged weights on the CPU; less is better.
    every
        Steps between checks.
    enough
        Value at which it is due at once.
    """

    def __init__(
        self,
        patience: int,
        validation: Validation,
        *,
        every: int = CHECK_EVERY,
        enough: float = -math.inf,
    ) -> None:
        self.patience, self.validation = patience, validation
        self.every, self.enough = every, enough
        self.best, self.waited = math.inf, 0
        self.weights: dict[str, Tensor] = {}

    @property
    def is_due(self) -> bool:
        """Whether the best is good enough, or nothing has improved for long."""
        return self.best <= self.enough or self.waited >= self.patience

    def check(self, averaged: torch.nn.Module, device: torch.device, processes: Processes) -> None:
        """Compare ``averaged`` with the best until now; the first process says how good it is."""
        averaged.cpu()
        with torch.no_grad():
            value = processes.said(lambda: float(self.validation(averaged)))
        self.waited += 1
        if value < self.best or not self.weights:
            self.best, self.waited = value, 0
            self.weights = copy.deepcopy(averaged.state_dict())
        averaged.to(device)
