"""A population by what learned queries find among its cells."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from celltraj._card import card
from celltraj._checks import check_at_least, checked_fields
from celltraj._typing import Cells
from celltraj.models.encoders._encoder import Embedding, Mask, Padded, hide_padding
from celltraj.models.networks import mlp


@checked_fields
@dataclass(frozen=True)
class SetAttention:
    r"""Embed a population by what learned seeds find among its cells.

    Seeds attend to all cells, cells attend to what these seeds have found, and further seeds attend
    to the cells that know of each other by now; a network reads these. Attention is a weighted mean
    over cells, hence independent of their number; its time grows with cells times seeds.

    Parameters
    ----------
    n_features
        Size of an embedding.
    width
        Width of cells, seeds and hidden layers.
    n_heads
        Weighted means of each attention, which share ``width``.
    n_seeds
        Seeds of each of the two sets.

    Raises
    ------
    ValueError
        A number is not a whole number of at least 1, or ``width`` no multiple of ``n_heads``.

    References
    ----------
    Lee et al., *Set transformer* (2019): induced attention, then pooling by attention; here without
    normalisation of layers.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.encoders import SetAttention
    >>> encoder = SetAttention(n_features=3)
    >>> cells = encoder.features(torch.zeros(20, 2))
    >>> network = encoder.build(2, generator=torch.Generator())
    >>> network(cells[None], torch.ones(1, 20, dtype=torch.bool)).shape
    torch.Size([1, 3])
    """

    n_features: int = 8
    width: int = 64
    n_heads: int = 4
    n_seeds: int = 8

    def __post_init__(self) -> None:
        check_at_least(1, n_features=self.n_features, width=self.width)
        check_at_least(1, n_heads=self.n_heads, n_seeds=self.n_seeds)
        if self.width % self.n_heads:
            raise ValueError(
                f"width must be a multiple of n_heads; found {self.width} and {self.n_heads}"
            )

    def features(self, x: Cells) -> Tensor:
        """Return the cells themselves, ``(n, d)``."""
        return x.float()

    def build(self, dim: int, *, generator: torch.Generator) -> AttentionNetwork:
        """Return the network of seeds and cells."""
        return AttentionNetwork(dim, self, generator=generator)


@card()
class AttentionNetwork(torch.nn.Module):
    """Let seeds and cells attend to each other.

    Parameters
    ----------
    dim
        Variables of a cell.
    options
        Sizes of the parts.
    generator
        Draws the first weights.
    """

    def __init__(self, dim: int, options: SetAttention, *, generator: torch.Generator) -> None:
        super().__init__()
        width, n_heads, n_seeds = options.width, options.n_heads, options.n_seeds
        self.cell = mlp(dim, width, width=width, generator=generator, n_hidden=1)
        self.seeds = torch.nn.Parameter(_uniform(2, n_seeds, width, generator=generator))
        self.collect = Attention(width, n_heads, generator=generator)
        self.spread = Attention(width, n_heads, generator=generator)
        self.pool = Attention(width, n_heads, generator=generator)
        self.population = mlp(
            n_seeds * width, options.n_features, width=width, generator=generator, n_hidden=1
        )

    def forward(self, features: Padded, mask: Mask) -> Embedding:
        """Return one embedding for each population, ``(p, e)``."""
        cells = self.cell(hide_padding(features, mask))
        first, second = self.seeds[:, None].expand(-1, len(cells), -1, -1)
        cells = self.spread(cells, self.collect(first, cells, mask))
        vectors: Tensor = self.population(self.pool(second, cells, mask).flatten(1))
        return vectors


class Attention(torch.nn.Module):
    """Add to each query what it finds, a weighted mean for each head, and a function of the sum.

    Parameters
    ----------
    width, n_heads
        Width of queries and of what is asked, and weighted means that share it.
    generator
        Draws the first weights.
    """

    def __init__(self, width: int, n_heads: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.n_heads = n_heads
        # without biases: that of the keys would cancel in the weights
        self.queries, self.keys, self.values = (
            torch.nn.Parameter(_uniform(width, width, generator=generator)) for _ in range(3)
        )
        self.net = mlp(width, width, width=width, generator=generator, n_hidden=1)

    def forward(self, queries: Tensor, asked: Tensor, mask: Mask | None = None) -> Tensor:
        """Return the queries ``(p, m, width)`` after a look at ``asked (p, n, width)``."""
        found = scaled_dot_product_attention(
            self._heads(queries @ self.queries),
            self._heads(asked @ self.keys),
            self._heads(asked @ self.values),
            attn_mask=None if mask is None else mask[:, None, None],
        )
        joined = queries + found.transpose(1, 2).flatten(2)
        attended: Tensor = joined + self.net(joined)
        return attended

    def _heads(self, vectors: Tensor) -> Tensor:
        heads: Tensor = vectors.unflatten(2, (self.n_heads, -1)).transpose(1, 2)
        return heads


def _uniform(*shape: int, generator: torch.Generator) -> Tensor:
    bound = 1 / math.sqrt(shape[-1])
    return torch.empty(*shape).uniform_(-bound, bound, generator=generator)
