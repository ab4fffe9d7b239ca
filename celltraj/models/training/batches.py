"""What every training draws its points from."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from celltraj.models.training.early_stop import Validation

DRAWN_AT_ONCE = 50  # steps, in one batch of Lightning's
_CHECKED = 8  # steps whose points an early stop checks
Points = TypeVar("Points")


class Draws(ABC, Generic[Points]):
    """Draw the points of a training on the CPU, the steps of one draw together.

    Iterates over lists of steps. Built afresh from the same seed, with ``first`` and the state of
    ``generator`` set to what they were after some draws, it goes on with the next one.

    Parameters
    ----------
    n_steps
        Steps of the whole training.
    generator
        What every draw draws from.
    """

    def __init__(self, n_steps: int, generator: torch.Generator) -> None:
        self.n_steps, self.generator = n_steps, generator
        self.first = 0  # draw to begin with

    @abstractmethod
    def draw(self, number: int, n_steps: int) -> list[Points]:
        """Return the points of ``n_steps`` steps, those of draw ``number``."""

    @abstractmethod
    def aside(self, n_steps: int, generator: torch.Generator) -> Draws[Points]:
        """Return draws of other points of the same paths."""

    def __len__(self) -> int:  # known, so that Lightning does not draw one in advance
        return math.ceil(self.n_steps / DRAWN_AT_ONCE) - self.first

    def __iter__(self) -> Iterator[list[Points]]:
        for number in range(self.first, self.first + len(self)):
            n_steps = min(self.n_steps - number * DRAWN_AT_ONCE, DRAWN_AT_ONCE)
            yield self.draw(number, n_steps)

    def validation(self, loss: Callable[[Any, Points], Tensor]) -> Validation:
        """Return the mean loss of a network on points drawn aside, once."""
        seed = int(torch.randint(2**31 - 1, (1,), generator=self.generator))
        return self.aside(_CHECKED, torch.Generator().manual_seed(seed)).mean_loss(loss)

    def mean_loss(self, loss: Callable[[Any, Points], Tensor]) -> Validation:
        """Return the mean loss of a network on all of these points, which are drawn once."""
        steps = [points for drawn in self for points in drawn]

        def mean_loss(network: Any) -> float:
            return sum(float(loss(network, points)) for points in steps) / len(steps)

        return mean_loss
