"""Brownian motion as the reference dynamic."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from celltraj._typing import Cells, Column, Targets
from celltraj.ot import SquaredEuclidean


@dataclass(frozen=True)
class Brownian:
    """Move cells by ``dX = sigma dW``.

    Parameters
    ----------
    sigma
        Diffusion, in [x]/sqrt([t]).

    Raises
    ------
    ValueError
        ``sigma`` is not positive and finite.

    Examples
    --------
    >>> from celltraj.models import Brownian
    >>> Brownian(sigma=2.0).epsilon(3.0)
    12.0
    """

    sigma: float

    def __post_init__(self) -> None:
        if not 0 < self.sigma < float("inf"):
            raise ValueError(f"sigma must be positive and finite; found {self.sigma}")

    def drift(self, t: float, x: Cells) -> Cells:
        """Return zero, ``(n, d)``."""
        return torch.zeros_like(x)

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return ``sigma`` everywhere, ``(n, d)``."""
        return torch.full_like(x, self.sigma)

    def cost(self, x: Cells, y: Targets) -> SquaredEuclidean:
        """Return the ground cost of a gap, ``|x - y|^2 / 2``."""
        return SquaredEuclidean(x, y)

    def epsilon(self, gap: float) -> float:
        """Return the regularisation of a gap, ``sigma^2 (t1 - t0)``."""
        return self.sigma**2 * gap

    def sample_bridge(
        self, s: Column, gap: Column | float, x0: Cells, x1: Cells, *, generator: torch.Generator
    ) -> tuple[Cells, Cells]:
        """Draw ``x_s = (1-s) x0 + s x1 + sigma sqrt(D s (1-s)) z`` and return ``(x_s, z)``.

        Parameters
        ----------
        s
            ``(n, 1)`` fraction of the gap in [0, 1].
        gap
            Length ``D`` of the gap, scalar or ``(n, 1)``, in [t].
        x0, x1
            ``(n, d)`` end points.
        generator
            Source of randomness.
        """
        z = torch.randn(x0.shape, dtype=x0.dtype, generator=generator)
        return (1 - s) * x0 + s * x1 + self.sigma * (gap * s * (1 - s)).sqrt() * z, z
