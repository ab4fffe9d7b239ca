"""Oracles with known answers, shared by the tests."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.closed_form import GaussianBridge, gaussian_kl

__all__ = ["GaussianBridge", "OrnsteinUhlenbeck", "gaussian_kl", "normal", "uniform"]


@dataclass(frozen=True)
class OrnsteinUhlenbeck:
    """The stationary process ``dX = -X dt + sqrt(2) dW`` with marginal N(0, 1) at every time."""

    def drift(self, t: float, x: Tensor) -> Tensor:
        return -x

    def diffusion(self, t: float, x: Tensor) -> Tensor:
        return torch.full_like(x, math.sqrt(2))

    def score(self, t: float, x: Tensor) -> Tensor:
        return -x


def normal(n: int, d: int, *, seed: int) -> Tensor:
    """Draw ``(n, d)`` standard normal float64 numbers."""
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def uniform(n: int) -> Tensor:
    """Return ``n`` equal weights of total mass one."""
    return torch.full((n,), 1 / n, dtype=torch.float64)
