"""What a field reads of the features that cells carry, as they are or in all orientations alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from celltraj.models.networks.mlp import linear
from celltraj.models.networks.neighbourhood import saturated

_UNUSUAL = 5.0  # standard deviations at which a scalar saturates
_LEAST = 1e-6  # a feature that is the same everywhere has no scale


class Read(NamedTuple):
    """What is read ``(p, n, r)`` and, for gates, the mixed vectors ``(p, n, k, d)``."""

    inputs: Float[Tensor, "p n r"]
    mixed: Float[Tensor, "p n k d"]


class CarriedReader(torch.nn.Module):
    r"""Read vectors and scalars that cells carry.

    Plain: all of them, in units of the training. With ``n_channels`` the vectors are mixed, ``u =
    W v``, and read by ``asinh(u_k . u_l)``: an output ``sum_k a_k u_k`` whose coefficients ``a``
    depend on these and the scalars turns as the cells do.

    Parameters
    ----------
    dim
        Number of state variables d.
    n_vectors, n_scalars
        Features of a cell.
    n_channels
        Mixed vectors; 0 to read the features as they are.
    generator
        Draws the first weights.
    """

    length: Tensor
    centre: Tensor
    scale: Tensor

    def __init__(
        self,
        dim: int,
        n_vectors: int,
        n_scalars: int,
        *,
        n_channels: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.dim, self.n_channels = dim, n_channels
        self.register_buffer("length", torch.ones(n_vectors))
        self.register_buffer("centre", torch.zeros(n_scalars))
        self.register_buffer("scale", torch.ones(n_scalars))
        # of the linear layer the weights alone: a constant vector has a direction
        self.mix = (
            torch.nn.Parameter(linear(n_vectors, n_channels, generator).weight.detach())
            if n_channels
            else None
        )

    @property
    def size(self) -> int:
        """How many numbers are read of a cell."""
        n_vectors, n_scalars = len(self.length), len(self.scale)
        if self.mix is None:
            return n_vectors * self.dim + n_scalars
        return self.n_channels * (self.n_channels + 1) // 2 + n_scalars

    def scale_to(self, populations: Sequence[Tensor]) -> None:
        """Take the units of all features from those of populations ``(n, f)``, all weighing alike.

        Vectors are measured by their root mean square, scalars from their mean.
        """
        parts = [self._split(carried) for carried in populations]
        squares = torch.stack([vectors.square().mean((0, 2)) for vectors, _ in parts])
        centre = torch.stack([scalars.mean(0) for _, scalars in parts]).mean(0)
        spread = torch.stack([(scalars - centre).square().mean(0) for _, scalars in parts])
        self.length.copy_(squares.mean(0).sqrt().clamp(min=_LEAST))
        self.centre.copy_(centre)
        self.scale.copy_(spread.mean(0).sqrt().clamp(min=_LEAST))

    def forward(self, carried: Float[Tensor, "p n f"]) -> Read:
        """Return what is read of cells, and their mixed vectors."""
        vectors, scalars = self._split(carried)
        vectors = saturated(vectors / self.length[:, None])
        scalars = self._usual(scalars)
        if self.mix is None:
            return Read(torch.cat([vectors.flatten(-2), scalars], -1), vectors[..., :0, :])
        mixed = self.mix @ vectors
        i, j = torch.tril_indices(self.n_channels, self.n_channels, device=mixed.device)
        products = (mixed @ mixed.mT)[..., i, j].asinh()
        return Read(torch.cat([products, scalars], -1), mixed)

    def scalars(self, carried: Float[Tensor, "n f"]) -> Float[Tensor, "n s"]:
        """Return the scalars of cells in standard deviations of the training."""
        return self._usual(self._split(carried)[1])

    def _usual(self, scalars: Tensor) -> Tensor:
        return ((scalars - self.centre) / self.scale).clamp(-_UNUSUAL, _UNUSUAL)

    def _split(self, carried: Tensor) -> tuple[Tensor, Tensor]:
        n = len(self.length) * self.dim
        return carried[..., :n].unflatten(-1, (-1, self.dim)), carried[..., n:]
