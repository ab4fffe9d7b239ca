"""Sets of cells that slow modes tell apart, and how many there are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

_GAP = 2.5  # a single well has a mode, and its square, that decays twice as fast
_STARTS = 10  # of k-means
_LEAST = 1e-9  # of the fastest rate, below which a rate counts as zero


def n_sets_of(rates: Tensor, errors: Tensor) -> int:
    """Return how many sets slow modes tell apart: where the largest ratio of rates lies.

    ``k`` sets have ``k - 1`` slow modes, and the next is faster by far. One where no ratio is above
    2.5: even the cells of a single well have modes whose rates are as one to two.

    Parameters
    ----------
    rates
        ``(K,)`` rates of the modes beside the constant one, ascending, in 1/[t].
    errors
        ``(K,)`` their standard errors: no rate counts as slower than that.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.modes.sets import n_sets_of
    >>> rates = torch.tensor([0.1, 0.2, 3.0, 4.0])
    >>> n_sets_of(rates, 0 * rates), n_sets_of(rates[2:], 0 * rates[2:])
    (3, 1)
    """
    there = rates.isfinite()
    if int(there.sum()) < 2:
        return 1
    known = torch.maximum(rates, errors.nan_to_num())[there].cummax(0).values
    known = known.clamp(min=_LEAST * max(float(known.max()), 1e-300))
    ratios = known[1:] / known[:-1]
    best = int(ratios.argmax())
    return best + 2 if float(ratios[best]) > _GAP else 1


@dataclass(frozen=True, eq=False)
class Sets:
    """Hold sets of cells as regions around centres in the space of slow modes.

    Parameters
    ----------
    centres
        ``(k, k - 1)`` values of the modes, the set of the most mass first.
    """

    centres: Tensor

    @property
    def n_sets(self) -> int:
        """How many there are."""
        return len(self.centres)

    @classmethod
    def of(
        cls, functions: Tensor, masses: Tensor, n_sets: int, *, generator: torch.Generator
    ) -> Sets:
        """Return the sets of cells, by k-means on their slow modes.

        Parameters
        ----------
        functions
            ``(n, K)`` modes of the cells, the slowest first, ``K`` at least ``n_sets - 1``.
        masses
            ``(n,)`` how much each cell counts.
        n_sets
            Number of sets.
        generator
            Draws the centres to begin with.

        Raises
        ------
        ValueError
            There are fewer different cells than sets.
        """
        chosen = functions[:, : n_sets - 1]
        if n_sets == 1:
            return cls(chosen.new_zeros(1, 0))
        there = (masses > 0) & chosen.isfinite().all(1)
        x, w = chosen[there].numpy(), masses[there].numpy()
        if len(np.unique(x, axis=0)) < n_sets:
            raise ValueError(f"{n_sets} sets need as many different cells; found {len(x)} cells")
        start = int(torch.randint(2**31 - 1, (1,), generator=generator))
        found = KMeans(n_sets, n_init=_STARTS, random_state=start).fit(x, sample_weight=w)
        order = np.argsort(-np.bincount(found.labels_, weights=w, minlength=n_sets), kind="stable")
        return cls(torch.from_numpy(found.cluster_centers_[order]))

    def distances(self, functions: Tensor) -> Tensor:
        """Return the distances ``(n, k)`` of cells from the centres, by their modes ``(n, K)``."""
        return torch.cdist(functions[:, : self.n_sets - 1].contiguous(), self.centres)

    def labels(self, functions: Tensor) -> Tensor:
        """Return the number ``(n,)`` of the set of each cell, -1 for one without modes."""
        if self.n_sets == 1:
            return torch.zeros(len(functions), dtype=torch.long)
        there = functions[:, : self.n_sets - 1].isfinite().all(1)
        nearest = self.distances(functions.nan_to_num()).argmin(1)
        return torch.where(there, nearest, -1)
