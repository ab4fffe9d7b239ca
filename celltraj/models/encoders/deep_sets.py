"""A population by the mean of a learned function of its cells."""

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


@checked_fields
@dataclass(frozen=True)
class DeepSets:
    r"""Embed a population by the mean of a learned function of its cells.

    ``phi = g(1/n sum_i h(x_i))`` with two networks ``h`` and ``g``: any continuous function of a
    distribution, in the limit of width. Each cell is read by itself.

    Parameters
    ----------
    n_features
        Size of an embedding.
    width
        Width of the hidden layers.

    Raises
    ------
    ValueError
        A number is not a whole number of at least 1.

    References
    ----------
    Zaheer et al., *Deep sets* (2017); here with a mean in place of the sum.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.encoders import DeepSets
    >>> encoder = DeepSets(n_features=3)
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

    def build(self, dim: int, *, generator: torch.Generator) -> CellwiseNetwork:
        """Return the networks before and after the mean."""
        return CellwiseNetwork(dim, self.n_features, width=self.width, generator=generator)


@card()
class CellwiseNetwork(torch.nn.Module):
    """Read each cell by itself, and the mean over cells.

    Parameters
    ----------
    n_in, n_features, width
        Features of a cell, size of an embedding, and width of the hidden layers.
    generator
        Draws the first weights.
    """

    def __init__(
        self, n_in: int, n_features: int, *, width: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.cell = mlp(n_in, width, width=width, generator=generator, n_hidden=1)
        self.population = mlp(width, n_features, width=width, generator=generator, n_hidden=1)

    def forward(self, features: Padded, mask: Mask) -> Embedding:
        """Return one embedding for each population, ``(p, e)``."""
        # a mean of linear outputs is a linear map of the mean: the last layer needs its own bend
        cells = torch.nn.functional.silu(self.cell(hide_padding(features, mask)))
        vectors: Tensor = self.population(mean_of_cells(cells, mask))
        return vectors
