"""What a design of batches and times can tell: a graph of which batch was seen at which time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from celltraj._errors import listed

WITHIN = "within batches"
THROUGH = "through other times"
CONFOUNDED = "confounded"


@dataclass(frozen=True)
class Design:
    """Hold how many cells of each batch were seen at each time.

    Times and batches are the nodes of a graph, with an edge where a time was seen in a batch. Where
    the state of a cell is a part of its time and a part of its batch, the difference of two times
    is told by the data exactly if a way leads from one to the other.

    Parameters
    ----------
    batches
        ``(B,)`` names.
    times
        ``(T,)`` increasing.
    cells
        ``(B, T)`` numbers of cells.

    References
    ----------
    Searle, *Linear models* (1971), chapter 7, for connected data.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.models.replicates.design import Design
    >>> Design.of(["a", "a", "b", "b"], np.array([0.0, 1.0, 1.0, 2.0])).told(0, 2)
    'through other times'
    """

    batches: tuple[str, ...]
    times: tuple[float, ...]
    cells: np.ndarray

    @classmethod
    def of(cls, batches: Sequence[str], times: np.ndarray) -> Design:
        """Return the design of cells, from the batch and the time of each."""
        table = pd.crosstab(np.asarray(batches, dtype=object), times)
        return cls(tuple(table.index), tuple(map(float, table.columns)), table.to_numpy())

    @property
    def parts(self) -> np.ndarray:
        """Return the ``(T,)`` number of the connected part that each time is in."""
        n = len(self.batches)
        edges = np.zeros((n + len(self.times),) * 2)
        edges[:n, n:] = self.cells > 0
        _, labels = connected_components(csr_array(edges), directed=False)
        return np.unique(labels[n:], return_inverse=True)[1]

    @property
    def is_time(self) -> bool:
        """Whether each batch is of one time and each time of one batch, of two or more."""
        seen = self.cells > 0
        return len(self.times) > 1 and bool((seen.sum(0) == 1).all() and (seen.sum(1) == 1).all())

    def shared(self, j: int, k: int) -> list[str]:
        """Return the batches that two times, by their numbers, were both seen in."""
        both = np.flatnonzero((self.cells[:, [j, k]] > 0).all(1))
        return [self.batches[b] for b in both.tolist()]

    def told(self, j: int, k: int) -> str:
        """Return by what the difference of two times can be told from that of batches."""
        if self.shared(j, k):
            return WITHIN
        return THROUGH if self.parts[j] == self.parts[k] else CONFOUNDED

    def sentences(self) -> list[str]:
        """Return in words what the design tells, and what it cannot."""
        if len(self.batches) == 1:
            return [f"all cells are of the batch {self.batches[0]!r}: no shift to tell from time"]
        if self.is_time:
            return [
                "each time is a batch of its own: a shift between batches cannot be told from what "
                "happens in time, and no method corrects it, since whatever removes the batch "
                "removes time with it. Shares of cell types assigned within each batch are still "
                "comparable; for the rest put cells of each time into two batches or more"
            ]
        return [*self._lonely(), *self._connected(), *self._telling()]

    def _lonely(self) -> list[str]:
        """Say which times were seen in one batch, and which batches at one time."""
        seen = self.cells > 0
        once = [f"{t:g}" for t, n in zip(self.times, seen.sum(0), strict=True) if n == 1]
        alone = [name for name, n in zip(self.batches, seen.sum(1), strict=True) if n == 1]
        found = []
        if once:
            found.append(f"times seen in one batch only: {listed(once)}")
        if alone:
            found.append(f"batches of one time only: {listed(alone)}; they tell no step in time")
        return found

    def _connected(self) -> list[str]:
        parts = self.parts
        if parts.max() == 0:
            way = [
                f"{a:g} to {b:g}"
                for k, (a, b) in enumerate(pairwise(self.times))
                if self.told(k, k + 1) == THROUGH
            ]
            found = "batches and times are connected: steps in time can be told from batches"
            return [f"{found}, {listed(way)} only by way of other times" if way else found]
        groups = [
            [f"{t:g}" for t, own in zip(self.times, parts, strict=True) if own == part]
            for part in range(parts.max() + 1)
        ]
        apart = " | ".join(listed(one) for one in groups)
        return [
            f"no batch ties the times {apart}: between these groups a shift of batches cannot be "
            "told from what happens in time; within each group it can"
        ]

    def _telling(self) -> list[str]:
        """Say at which times the shift between batches can be seen."""
        several = (self.cells > 0).sum(0) > 1
        times = [f"{t:g}" for t, is_one in zip(self.times, several, strict=True) if is_one]
        if not times:
            return ["no time was seen in two batches: how large their shift is cannot be said"]
        return [f"the shift between batches is seen at times {listed(times)}"]
