"""A population by the neighbourhoods of its cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._checks import check_at_least, checked_fields
from celltraj._typing import Cells
from celltraj.models.encoders.deep_sets import CellwiseNetwork

_FEWEST = 5  # neighbours of a cell in a small population
_BLOCK = 1_000_000  # distances held at once
_SAME = 1e-6  # difference of distances, in standard deviations, that rounding may make


@checked_fields
@dataclass(frozen=True)
class PooledGraphEncoder:
    r"""Embed a population by its cells, what surrounds them, and how densely.

    ``phi = g(1/n sum_i h(x_i, (A x)_i, ..., (A^H x)_i, s_i))``. ``A`` averages over the nearest
    neighbours of a cell in its population, a fixed ``share`` of it, so that the radius does not
    depend on how many cells were measured; ``s`` are the root mean square distances to them in
    each variable. No weight stands between the hops: the graph is built once for a population, and
    a step of a training is a network on samples of its cells, where a graph network would pass
    messages among all of them. What is lost are functions of a cell that are bent before they are
    averaged over its neighbours. Time grows with the square of the number of cells, memory does
    not.

    Parameters
    ----------
    n_features
        Size of an embedding.
    width
        Width of the hidden layers.
    share
        Part of a population that is the neighbourhood of a cell, of five cells where that is more.
    n_hops
        Averages ``H`` that are taken of each other.

    Raises
    ------
    ValueError
        A count is not a whole number of at least 1, or ``share`` not between 0 and 1.

    References
    ----------
    Wu et al., *Simplifying graph convolutional networks* (2019); Frasca et al., *SIGN: scalable
    inception graph neural networks* (2020); Atanackovic et al., *Meta flow matching* (2024), with
    messages among a fixed number of neighbours.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.encoders import PooledGraphEncoder
    >>> encoder = PooledGraphEncoder(n_features=3, share=0.25, n_hops=1)
    >>> x = torch.arange(20.0)[:, None]  # cells on a line
    >>> cells = encoder.features(x)
    >>> cells[10]  # itself, and three neighbours on each side: five, and all of a tie
    tensor([10.0000, 10.0000,  2.1602])
    >>> network = encoder.build(1, generator=torch.Generator())
    >>> network(cells[None], torch.ones(1, 20, dtype=torch.bool)).shape
    torch.Size([1, 3])
    """

    n_features: int = 8
    width: int = 64
    share: float = 0.05
    n_hops: int = 2

    def __post_init__(self) -> None:
        check_at_least(1, n_features=self.n_features, width=self.width, n_hops=self.n_hops)
        if not 0 < self.share < 1:
            raise ValueError(f"share must lie between 0 and 1; found {self.share!r}")

    def features(self, x: Cells) -> Tensor:
        """Return cells, means of their neighbourhoods and distances, ``(n, d (H + 2))``."""
        n, d = x.shape
        cells = x.double()
        # a lone cell is its own neighbour
        k = max(1, min(n - 1, max(_FEWEST, round(self.share * n))))
        first = _averages(cells, k, torch.cat([cells, cells.square()], 1))
        hops = [cells, first[:, :d]]
        # mean of (x_j - x_i)^2 over the neighbours j, which rounding may take below zero
        squares = first[:, d:] - 2 * cells * hops[1] + cells.square()
        for _ in range(self.n_hops - 1):
            hops.append(_averages(cells, k, hops[-1]))
        return torch.cat([*hops, squares.clamp(min=0).sqrt()], 1).float()

    def build(self, dim: int, *, generator: torch.Generator) -> CellwiseNetwork:
        """Return the networks before and after the mean over cells."""
        n_in = dim * (self.n_hops + 2)
        return CellwiseNetwork(n_in, self.n_features, width=self.width, generator=generator)


def _averages(x: Cells, k: int, values: Tensor) -> Tensor:
    """Return the means of ``values (n, v)`` over the ``k`` nearest neighbours of each cell."""
    means = [near @ values / near.sum(1, keepdim=True) for near in _neighbours(x, k)]
    return torch.cat(means)


def _neighbours(x: Cells, k: int) -> Iterator[Tensor]:
    """Yield for blocks of cells which others ``(b, n)`` are as near as the ``k``-th: 1, or 0."""
    n = len(x)
    for rows in torch.arange(n, device=x.device).split(max(1, _BLOCK // n)):
        distances = torch.cdist(x[rows], x)
        if n > 1:
            distances[torch.arange(len(rows), device=x.device), rows] = torch.inf
        reach = distances.topk(k, 1, largest=False, sorted=False).values.amax(1, keepdim=True)
        # all of a tie are neighbours: the first of them would depend on the order of cells
        yield (distances <= reach + _SAME).to(x.dtype)
