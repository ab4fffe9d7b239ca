"""What passes over blocks of a plan gather of it, without the plan itself."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array

from celltraj._kernels import count_kept, sum_groups, take_kept
from celltraj.ot._dual import Vector

_SPARSE_LIMIT = 25_000_000  # entries of a plan that are kept: 200 MB
_SPARSE_SHARE = 0.5  # share of a block's entries above which none are kept
_GRAM_ROWS = 1024  # rows gathered before they enter the coarse matrix


class Kept:
    """Gather the largest entries of a plan, block by block, until they are too many.

    Values are float32: what is left out is far more than what rounding takes. The room is the same
    for all plans, so that one overwrites the other; what is never written takes no memory.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape, self._full_share = shape, 0.0
        self._limit = min(_SPARSE_LIMIT, shape[0] * shape[1])
        self._columns = np.empty(self._limit + 1, dtype=np.int32)
        self._values = np.empty(self._limit + 1, dtype=np.float32)

    def start(self, share: float) -> None:
        """Begin another plan; ``share`` of each row may be left out."""
        self._share, self._n_kept = share, 0
        self._counts: list[np.ndarray] = []
        self._is_full = share <= self._full_share  # it was with fewer entries

    def add(self, plan: np.ndarray, row: Vector) -> None:
        """Add a block of rows."""
        if self._is_full:
            return
        counts = np.zeros(len(row), dtype=np.int64)
        count_kept(plan, row, self._share, counts)
        n_more, used = int(counts.sum()), self._n_kept
        if n_more > _SPARSE_SHARE * plan.size or used + n_more > self._limit:
            self._is_full, self._full_share = True, max(self._share, self._full_share)
            return
        part = slice(used, used + n_more + 1)
        take_kept(plan, row, self._share, self._columns[part], self._values[part])
        self._counts.append(counts)
        self._n_kept = used + n_more

    def plan(self) -> csr_array | None:
        """Return the entries of all blocks until the next start, None where they are too many."""
        if self._is_full:
            return None
        counts = np.concatenate([np.zeros(1, dtype=np.int64), *self._counts])
        first, stop = counts.cumsum().astype(np.int32), self._n_kept
        return csr_array((self._values[:stop], self._columns[:stop], first), shape=self.shape)


class Gram:
    """Gather ``A' A`` of the rows ``A = diag(scale) P Z``, in float32.

    ``Z`` is the membership of columns in ``groups (m,)``.
    """

    def __init__(self, groups: Vector) -> None:
        n_groups = int(groups.max()) + 1
        self._order = groups.argsort(kind="stable")
        self._first = np.searchsorted(groups[self._order], np.arange(n_groups + 1))
        self._total = torch.zeros((n_groups, n_groups))
        self._room, self._used = np.zeros((_GRAM_ROWS, n_groups), dtype=np.float32), 0

    def add(self, plan: np.ndarray, scale: Vector) -> None:
        """Add a block of rows, each times its scale."""
        start = 0
        while start < len(plan):
            stop = min(len(plan), start + _GRAM_ROWS - self._used)
            room = self._room[self._used : self._used + stop - start]
            sum_groups(plan[start:stop], self._order, self._first, scale[start:stop], room)
            self._used, start = self._used + stop - start, stop
            if self._used == _GRAM_ROWS:
                self._flush()

    def _flush(self) -> None:
        rows = torch.from_numpy(self._room)
        self._total.addmm_(rows.T, rows)
        self._room[:], self._used = 0, 0

    def total(self) -> np.ndarray:
        """Return the product of all rows."""
        self._flush()
        return self._total.double().numpy()
