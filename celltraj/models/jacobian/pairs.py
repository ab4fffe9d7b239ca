r"""Pairs of genes in derivatives of principal components.

The derivative of the velocity of gene ``g`` by gene ``h`` is ``w_g' J w_h`` with the rows ``w`` of
the loadings. The strongest pairs of a mean derivative are found block by block of targets, and only
for them the values of single cells are computed, which tell how far cells agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

_TARGETS = 512  # genes whose derivatives by all genes are formed at once

Pairs = Int[Tensor, "p 2"]


def strongest_pairs(
    mean: Float[Tensor, "d d"], loadings: Float[Tensor, "g d"], n_top: int
) -> Pairs:
    """Return the pairs of different genes of the largest ``|w_g' J w_h|``, the largest first.

    Parameters
    ----------
    mean
        ``(d, d)`` mean derivative of the components, in 1/[t].
    loadings
        ``(g, d)`` rows of the loadings; the identity where the variables are genes.
    n_top
        Number of pairs.

    Returns
    -------
    ``(p, 2)``: target, whose velocity changes, and regulator, in that order.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.jacobian.pairs import strongest_pairs
    >>> mean = torch.tensor([[-9.0, 2.0], [-3.0, 0.0]])
    >>> strongest_pairs(mean, torch.eye(2), 1)  # -9 is that of a gene by itself
    tensor([[1, 0]])
    """
    n_genes = len(loadings)
    values, places = torch.zeros(0, dtype=mean.dtype), torch.zeros(0, dtype=torch.long)
    for first in range(0, n_genes, _TARGETS):
        part = loadings[first : first + _TARGETS]
        size = (part @ mean @ loadings.T).abs()
        rows = torch.arange(len(part))
        size[rows, rows + first] = -1.0  # a gene by itself: its own decay
        best = size.flatten().topk(min(n_top, size.numel()))
        values = torch.cat([values, best.values])
        places = torch.cat([places, best.indices + first * n_genes])
        kept = values.topk(min(n_top, len(values))).indices
        values, places = values[kept], places[kept]
    places = places[values >= 0]
    return torch.stack([places // n_genes, places % n_genes], 1)


def pair_values(
    jacobians: Float[Tensor, "n d d"], loadings: Float[Tensor, "g d"], pairs: Pairs
) -> Float[Tensor, "n p"]:
    """Return ``w_g' J w_h`` of each cell and pair of genes, in 1/[t].

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.jacobian.pairs import pair_values
    >>> pair_values(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.eye(2), torch.tensor([[1, 0]]))
    tensor([[3.]])
    """
    targets, regulators = loadings[pairs[:, 0]], loadings[pairs[:, 1]]
    return torch.einsum("pi,nij,pj->np", targets, jacobians, regulators)


@dataclass
class PairMoments:
    """Gather mean, spread and signs of pairs of genes over cells, block by block.

    Parameters
    ----------
    loadings
        ``(g, d)`` rows of the loadings.
    pairs
        ``(p, 2)`` pairs.
    """

    loadings: Tensor
    pairs: Tensor
    n: int = 0
    _sums: tuple[Tensor, Tensor, Tensor] | None = None

    def add(self, jacobians: Float[Tensor, "n d d"]) -> None:
        """Add the derivatives of some cells."""
        values = pair_values(jacobians, self.loadings, self.pairs)
        found = (values.sum(0), values.square().sum(0), torch.sign(values).sum(0))
        kept = self._sums
        self._sums = (
            found
            if kept is None
            else (
                kept[0] + found[0],
                kept[1] + found[1],
                kept[2] + found[2],
            )
        )
        self.n += len(values)

    @property
    def mean(self) -> Tensor:
        """Mean over cells, ``(p,)``, in 1/[t]."""
        return self._known()[0] / self.n

    @property
    def spread(self) -> Tensor:
        """Standard deviation over cells, ``(p,)``, in 1/[t]."""
        return (self._known()[1] / self.n - self.mean.square()).clamp(min=0).sqrt()

    @property
    def agreement(self) -> Tensor:
        """Share of cells with the sign of the mean, ``(p,)``."""
        return 0.5 + 0.5 * torch.sign(self.mean) * self._known()[2] / self.n

    def _known(self) -> tuple[Tensor, Tensor, Tensor]:
        if self._sums is None:
            raise ValueError("no derivatives were added")
        return self._sums
