"""Where the cells of a state go, by what became of their clones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from celltraj._typing import Cells
from celltraj.models.clonal.martingale import ClonePair
from celltraj.models.clonal.near import NearClones

N_FOLDS = 5
_NEIGHBOURS = (5, 10, 20, 40, 80)  # that are tried


@dataclass(frozen=True, eq=False)
class ClonalDrift:
    r"""Estimate how far cells of a state go, from clones that were seen at two times.

    ``s(x) = sum_a w_a k_a(x) d_a / (sum_a w_a k_a(x) + 1)`` over the nearest clonal cells ``a``,
    with ``d_a`` from the cell to the mean of the later cells of its clone, ``w_a`` one over the
    earlier cells of the clone, so that clones count once each, ``k_a(x) = exp(-|x - x_a|^2 / (2
    h^2))`` and ``h`` the median distance between a clonal cell and the last of its neighbours. The
    1 is a clone that stays where it is: a cell far from all of them is not moved.

    Parameters
    ----------
    near
        The clonal cells, with the way ``d_a`` of each, ``(p, d)`` in [x], and its ``w_a``.

    References
    ----------
    Nadaraya, *On estimating regression* (1964).

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.clonal.drift import ClonalDrift
    >>> from celltraj.models.clonal.martingale import ClonePair
    >>> x, clone = torch.arange(4.0).double()[:, None], torch.arange(4)
    >>> pair = ClonePair((0.0, 1.0), x, x + 2, clone, clone, is_ancestor=False)
    >>> ClonalDrift.of(pair, n_neighbors=4)(x[1:2]) < 2
    tensor([[True]])
    """

    near: NearClones

    @classmethod
    def of(cls, pair: ClonePair, *, n_neighbors: int) -> ClonalDrift:
        """Return what the clones of a pair tell."""
        sizes = torch.bincount(pair.clone0, minlength=pair.n_clones).double()
        steps = later_means(pair)[pair.clone0] - pair.x0
        weights = 1 / sizes[pair.clone0]
        return cls(NearClones.of(pair.x0, steps, weights, n_neighbors=n_neighbors))

    @classmethod
    def fitted(cls, pair: ClonePair, folds: Tensor) -> ClonalDrift:
        """Return it with as many neighbours as foretell the clones best that are left out.

        ``folds (n_clones,)`` are numbers below 5; the error is the squared distance of the mean of
        the later cells, averaged over clones. Of fewer than five clones the least number.
        """
        if pair.n_clones < N_FOLDS:
            return cls.of(pair, n_neighbors=_NEIGHBOURS[0])
        errors = [_error(pair, folds, n) for n in _NEIGHBOURS]
        return cls.of(pair, n_neighbors=_NEIGHBOURS[int(np.argmin(errors))])

    def __call__(self, x: Cells) -> Cells:
        """Return how far cells ``x (n, d)`` go, ``(n, d)``."""
        return self.near(x)


def later_means(pair: ClonePair) -> Cells:
    """Return the mean of the later cells of each clone, ``(n_clones, d)``."""
    total = pair.x1.new_zeros((pair.n_clones, pair.x1.shape[1]))
    counts = torch.bincount(pair.clone1, minlength=pair.n_clones)
    return total.index_add_(0, pair.clone1, pair.x1) / counts[:, None]


def some_clones(pair: ClonePair, chosen: Tensor) -> ClonePair:
    """Return the cells of some clones, ``chosen (n_clones,)`` a boolean, numbered anew."""
    numbers = torch.cumsum(chosen.long(), 0) - 1
    here0, here1 = chosen[pair.clone0], chosen[pair.clone1]
    clones = numbers[pair.clone0[here0]], numbers[pair.clone1[here1]]
    return ClonePair(pair.times, pair.x0[here0], pair.x1[here1], *clones, pair.is_ancestor)


def folds_of(n_clones: int, generator: torch.Generator) -> Tensor:
    """Return a fold of each clone, ``(n_clones,)`` numbers below 5, as equal as can be."""
    return torch.randperm(n_clones, generator=generator) % N_FOLDS


def _error(pair: ClonePair, folds: Tensor, n_neighbors: int) -> float:
    """Return the mean squared error of where clones go that were left out."""
    total = 0.0
    for fold in folds.unique():
        drift = ClonalDrift.of(some_clones(pair, folds != fold), n_neighbors=n_neighbors)
        aside = some_clones(pair, folds == fold)
        foretold = drift(aside.x0) + aside.x0
        missed = (foretold - later_means(aside)[aside.clone0]).square().sum(1)
        sizes = torch.bincount(aside.clone0, minlength=aside.n_clones)
        total += float((missed / sizes[aside.clone0]).sum())
    return total / pair.n_clones
