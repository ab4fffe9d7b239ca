"""What the clones of cells alike did: a mean over the nearest clonal cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from celltraj._typing import Cells

_PRIOR = 1.0  # clones of which nothing is to be told, at every state
_BLOCK = 20_000  # cells at once


@dataclass(frozen=True, eq=False)
class NearClones:
    r"""Estimate what the clones of a state did, of what is known for each of their cells.

    ``v(x) = sum_a w_a k_a(x) v_a / (sum_a w_a k_a(x) + 1)`` over the nearest clonal cells ``a``,
    with ``k_a(x) = exp(-|x - x_a|^2 / (2 h^2))`` and ``h`` the median distance between a clonal
    cell and the last of its neighbours. The 1 is a clone whose value is 0: far from all of them
    nothing is told.

    Parameters
    ----------
    states
        ``(p, d)`` earlier cells of clones, in [x].
    values
        ``(p, k)`` what is known of each.
    weights
        ``(p,)`` share of a clone that each counts for.
    n_neighbors
        Clonal cells that a state is told by.
    width
        Width of the kernel, in [x].

    References
    ----------
    Nadaraya, *On estimating regression* (1964).

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.clonal.near import NearClones
    >>> x = torch.arange(4.0).double()[:, None]
    >>> near = NearClones.of(x, torch.ones_like(x), torch.ones(4), n_neighbors=4)
    >>> near(x[1:2]) < 1
    tensor([[True]])
    """

    states: Cells
    values: Tensor
    weights: Tensor
    n_neighbors: int
    width: float

    @classmethod
    def of(cls, states: Cells, values: Tensor, weights: Tensor, *, n_neighbors: int) -> NearClones:
        """Return it with the width that so many neighbours have."""
        n = min(n_neighbors, len(states))
        distance = _nearest(cKDTree(states.numpy()), states.numpy(), n)[0]
        width = max(float(np.median(distance[:, -1])), np.finfo(float).tiny)
        return cls(states, values, weights, n, width)

    def __call__(self, x: Cells) -> Tensor:
        """Return what clones tell of cells ``x (n, d)``, ``(n, k)``."""
        tree = cKDTree(self.states.numpy())
        found = x.new_empty((len(x), self.values.shape[1]))
        for start in range(0, len(x), _BLOCK):
            few = slice(start, start + _BLOCK)
            distance, place = _nearest(tree, x[few].numpy(), self.n_neighbors)
            kernel = torch.from_numpy(np.exp(-0.5 * (distance / self.width) ** 2))
            near = torch.from_numpy(place)
            weight = kernel * self.weights[near]
            total = (weight[..., None] * self.values[near]).sum(1)
            found[few] = total / (weight.sum(1, keepdim=True) + _PRIOR)
        return found


def _nearest(tree: cKDTree, x: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return distances and places of the ``n`` nearest points, ``(len(x), n)``."""
    distance, place = tree.query(x, k=np.arange(1, n + 1))
    return distance, place
