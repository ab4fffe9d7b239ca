"""Condition on a state: the nearer the end of a path, the more it counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._arrays import Converted, as_floats
from celltraj._card import card
from celltraj._typing import Cells, Earlier
from celltraj.models.conditioning.reward import Worth, worth_near


@card()
@dataclass(frozen=True, eq=False)
class QuadraticReward:
    r"""Quadratic reward: weigh the last state by ``exp(-|x - m*|^2 / 2 width^2)``.

    As if the last state had been seen at ``m*`` with normal noise of that width. Under a normal law
    ``N(m, V)`` its mean is normal too, with the variance ``V + width^2``.

    Parameters
    ----------
    target
        ``(d,)`` state ``m*``, in [x].
    width
        How near to it counts as near, in [x].

    Raises
    ------
    ValueError
        A target that is no vector of finite numbers, or a width that is not positive.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import QuadraticReward
    >>> QuadraticReward([1.0], width=0.5)(torch.zeros(1, 1))
    tensor([-2.], dtype=torch.float64)
    """

    target: Converted
    width: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", as_floats(self.target, "target", "(d,)"))
        if not 0 < self.width < math.inf:
            raise ValueError(f"width must be positive and finite; found {self.width!r}")

    def __call__(self, x: Cells) -> Earlier:
        """Return ``-|x - m*|^2 / 2 width^2``, ``(n,)``."""
        value: Tensor = -(x.double() - self.target).square().sum(1) / (2 * self.width**2)
        return value

    def worth(self, mean: Cells, covariance: Tensor) -> Worth:
        """Return the log of the normal mean and its derivatives by ``m``."""
        spread = self.width**2 * torch.eye(mean.shape[1], dtype=mean.dtype)
        return worth_near(mean, covariance, self.target, spread)
