"""A population by its mean, spread and covariances."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._checks import check_at_least, checked_fields
from celltraj._typing import Cells
from celltraj.models.encoders._encoder import (
    Embedding,
    Mask,
    Padded,
    hide_padding,
    mean_of_cells,
)
from celltraj.models.networks import mlp

_MOST = 10  # variables up to which covariances are read: their number grows with the square
_LEAST_VARIANCE = 1e-12  # the root of zero has no derivative


@checked_fields
@dataclass(frozen=True)
class Moments:
    r"""Embed a population by means and standard deviations of its variables.

    ``phi = MLP(m, s, C)`` with ``m`` the mean, ``s`` the standard deviations and, for at most ten
    variables, ``C`` the covariances of all pairs. Two populations with the same moments are one to
    it, whatever their shape: the encoder that a richer one has to beat.

    Parameters
    ----------
    n_features
        Size of an embedding.
    width
        Width of the one hidden layer.

    Raises
    ------
    ValueError
        A number is not a whole number of at least 1.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.encoders import Moments
    >>> encoder = Moments(n_features=3)
    >>> cells = encoder.features(torch.zeros(20, 2))
    >>> network = encoder.build(2, generator=torch.Generator())
    >>> network(cells[None], torch.ones(1, 20, dtype=torch.bool)).shape
    torch.Size([1, 3])
    """

    n_features: int = 8
    width: int = 64

    def __post_init__(self) -> None:
        check_at_least(1, n_features=self.n_features, width=self.width)

    def features(self, x: Cells) -> Tensor:
        """Return the cells themselves, ``(n, d)``."""
        return x.float()

    def build(self, dim: int, *, generator: torch.Generator) -> MomentsNetwork:
        """Return the network of the moments."""
        return MomentsNetwork(dim, self.n_features, width=self.width, generator=generator)


@card()
class MomentsNetwork(torch.nn.Module):
    """Read the moments of populations.

    Parameters
    ----------
    dim, n_features, width
        Variables of a cell, size of an embedding, and width of the hidden layer.
    generator
        Draws the first weights.
    """

    def __init__(
        self, dim: int, n_features: int, *, width: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        n_pairs = dim * (dim - 1) // 2 if dim <= _MOST else 0
        self.net = mlp(2 * dim + n_pairs, n_features, width=width, generator=generator, n_hidden=1)

    def forward(self, features: Padded, mask: Mask) -> Embedding:
        """Return one embedding for each population, ``(p, e)``."""
        vectors: Tensor = self.net(moments_of(hide_padding(features, mask), mask))
        return vectors


def moments_of(cells: Padded, mask: Mask) -> Embedding:
    """Return means, standard deviations and covariances, one row for each population."""
    mean = mean_of_cells(cells, mask)
    centred = hide_padding(cells - mean[:, None], mask)
    # unbiased, so that a sample says on average what its population does
    n_free = (mask.sum(1) - 1).clamp(min=1)[:, None]
    spread = (centred.square().sum(1) / n_free).clamp(min=_LEAST_VARIANCE).sqrt()
    parts = [mean, spread]
    d = cells.shape[2]
    if d <= _MOST:
        i, j = torch.tril_indices(d, d, -1, device=cells.device)
        parts.append((centred.mT @ centred)[:, i, j] / n_free)
    return torch.cat(parts, 1)
