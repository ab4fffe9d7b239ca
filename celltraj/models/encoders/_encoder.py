"""Embeddings of whole populations, which tell a law of motion whose cells it moves."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from celltraj._typing import Cells

Padded = Float[Tensor, "p n f"]
Pooled = Float[Tensor, "p f"]
Mask = Bool[Tensor, "p n"]
Embedding = Float[Tensor, "p e"]


@runtime_checkable
class PopulationEncoder(Protocol):
    """Turn a population of cells into a few numbers, whatever the order of its cells.

    A frozen dataclass of options. What has no weights is computed once, from all cells of a
    population; what has weights is a network on these features of any of the cells, so that a step
    of a training can do with a sample of each population. An embedding is a function of means over
    cells, never of sums: a sample has that of its population up to sampling error.
    """

    @property
    def n_features(self) -> int:
        """Return the size ``e`` of an embedding."""
        ...

    def features(self, x: Cells) -> Tensor:
        """Return what the network reads of each cell; compute it once for a population.

        Parameters
        ----------
        x
            ``(n, d)`` all cells of one population, standardised by the populations of a training.

        Returns
        -------
        Tensor
            ``(n, f)`` float32, one row for each cell, in the order of ``x``.
        """
        ...

    def build(self, dim: int, *, generator: torch.Generator) -> torch.nn.Module:
        """Return the network from features to embeddings.

        Parameters
        ----------
        dim
            Variables ``d`` of a cell.
        generator
            Draws the first weights, all that is random.

        Returns
        -------
        torch.nn.Module
            ``module(features (p, n, f), mask (p, n)) -> (p, e)`` for ``p`` populations of at most
            ``n`` cells each: the mask is True for cells and False for padding, whose content does
            not matter. Every population has a cell.
        """
        ...


def hide_padding(values: Padded, mask: Mask) -> Padded:
    """Return ``values`` with zeros for padding, even where it is NaN or infinite."""
    return torch.where(mask[:, :, None], values, 0.0)


def mean_of_cells(values: Padded, mask: Mask) -> Pooled:
    """Return the mean over the cells of each population; padding must be finite."""
    share = mask.to(values.dtype) / mask.sum(1, keepdim=True)
    return (share[:, None] @ values)[:, 0]
