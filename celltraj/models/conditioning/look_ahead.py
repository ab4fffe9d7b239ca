r"""What a path is worth before its end, ``log h(t, x) = log E[e^{r(X_T)} | X_t = x]``, estimated.

Particles are steered along its slope, and weights make up for whatever it misses: any estimate
gives the right law, and a better one more equal weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from celltraj._typing import Cells
from celltraj.models.conditioning.reward import Worth


@runtime_checkable
class LookAhead(Protocol):
    """An estimate of what a path is worth."""

    def __call__(self, t: float, x: Cells) -> Worth:
        """Return ``log h (n,)`` and its derivatives by ``x`` at a time up to the last one."""
        ...


@dataclass(frozen=True)
class Blind:
    """Look at nothing: paths go as they would, and are weighed at their end."""

    def __call__(self, t: float, x: Cells) -> Worth:
        """Return zeros."""
        d = x.shape[1]
        flat = torch.zeros(1, d, d, dtype=x.dtype)
        return Worth(torch.zeros_like(x[:, 0]), torch.zeros_like(x), flat)
