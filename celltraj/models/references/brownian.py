"""Brownian motion as the reference dynamic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._checks import checked_fields
from celltraj._typing import Cells
from celltraj.models.references.family import Paths, sigma_of


@checked_fields
@dataclass(frozen=True)
class Brownian:
    """Brownian motion: ``dX = sigma dW``.

    Parameters
    ----------
    sigma
        Diffusion, in [x]/sqrt([t]); None takes that of the fit.

    Raises
    ------
    ValueError
        ``sigma`` is not positive and finite.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import Brownian
    >>> Brownian(sigma=2.0).diffusion(0.0, torch.zeros(1, 2))
    tensor([[2., 2.]])
    """

    sigma: float | None = None

    def __post_init__(self) -> None:
        if self.sigma is not None and not 0 < self.sigma < float("inf"):
            raise ValueError(f"sigma must be positive and finite; found {self.sigma}")

    def drift(self, t: float, x: Cells) -> Cells:
        """Return zero, ``(n, d)``."""
        return torch.zeros_like(x)

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return ``sigma`` everywhere, ``(n, d)``."""
        return torch.full_like(x, sigma_of(self))

    @property
    def is_fitted(self) -> bool:
        """Whether the parameters are known: there are none."""
        return True

    def affine(self, dim: int) -> tuple[Tensor, Tensor]:
        """Return zeros ``(dim, dim)`` and ``(dim,)``: nothing pulls."""
        return torch.zeros(dim, dim, dtype=torch.float64), torch.zeros(dim, dtype=torch.float64)

    def estimates(self) -> dict[str, float]:
        """Return nothing: the family has one member."""
        return {}

    def fit(self, paths: Sequence[Paths], *, generator: torch.Generator) -> Brownian:
        """Return this process, the only member of its family."""
        return self
