"""Condition on a direction: the further along it, the more a path counts."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from celltraj._arrays import Converted, as_floats
from celltraj._card import card
from celltraj._typing import Cells, Earlier
from celltraj.models.conditioning.reward import Worth


@card()
@dataclass(frozen=True, eq=False)
class LinearReward:
    r"""Linear reward: weigh the last state by ``e^{a'x}`` (exponential tilting).

    Under a normal law ``N(m, V)``: ``log E e^{a . X} = a . m + a' V a / 2``.

    Parameters
    ----------
    direction
        ``(d,)`` vector ``a``, in 1/[x]; its length says how strong the tilt is.

    Raises
    ------
    ValueError
        A direction that is no vector of finite numbers.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import LinearReward
    >>> LinearReward([2.0, 0.0])(torch.ones(1, 2))
    tensor([2.], dtype=torch.float64)
    """

    direction: Converted

    def __post_init__(self) -> None:
        object.__setattr__(self, "direction", as_floats(self.direction, "direction", "(d,)"))

    def __call__(self, x: Cells) -> Earlier:
        """Return ``a . x``, ``(n,)``."""
        value: Tensor = x.double() @ self.direction
        return value

    def worth(self, mean: Cells, covariance: Tensor) -> Worth:
        """Return ``a . m + a' V a / 2`` and its derivatives by ``m``."""
        a = self.direction
        log_mean = mean @ a + (covariance @ a) @ a / 2
        return Worth(log_mean, a.expand_as(mean), 0.0 * covariance[:1])
