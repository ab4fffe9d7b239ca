"""What passes over blocks of a plan gather of it, without the plan itself."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array

from celltraj._kernels import sum_groups
from celltraj.ot._dual import Vector
from celltraj.ot._newton import largest_entries

_SPARSE_LIMIT = 40_000_000  # entries of a plan that are kept: 480 MB, twice that while joined
_SPARSE_LEAST = 10_000_000  # that are kept whatever their share
_SPARSE_PLAN = 0.1  # share of a plan's entries above which a pass more costs less than to keep them
_SPARSE_SHARE = 0.5  # share of a block's entries above which none are kept
_GRAM_ROWS = 1024  # rows gathered before they enter the coarse matrix


class Kept:
    """Gather the largest entries of a plan, block by block, until they are too many."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape, self.n_kept, self.is_full = shape, 0, False
        worth = max(_SPARSE_LEAST, int(_SPARSE_PLAN * shape[0] * shape[1]))
        self.limit = min(_SPARSE_LIMIT, worth)
        self.parts: list[csr_array] = []

    def add(self, plan: np.ndarray, row: Vector, share: float) -> None:
        """Add a block of rows; ``share`` of each may be left out."""
        if self.is_full:
            return
        part = largest_entries(plan, row, share, limit=_SPARSE_SHARE)
        if part is None or self.n_kept + part.nnz > self.limit:
            self.is_full, self.parts = True, []
            return
        self.n_kept += part.nnz
        self.parts.append(part)

    def plan(self) -> csr_array | None:
        """Return the entries of all blocks, None where they are too many."""
        if not self.parts:
            return None
        counts = np.concatenate([np.diff(part.indptr) for part in self.parts])
        first = np.concatenate([[0], counts.cumsum()])
        columns = np.concatenate([part.indices for part in self.parts])
        values = np.concatenate([part.data for part in self.parts])
        return csr_array((values, columns, first), shape=self.shape)


class Gram:
    """Gather ``A' A`` of the rows ``A = diag(scale) P Z``, in float32."""

    def __init__(self, n_groups: int) -> None:
        self._total = torch.zeros((n_groups, n_groups))
        self._room, self._used = np.zeros((_GRAM_ROWS, n_groups), dtype=np.float32), 0

    def add(self, plan: np.ndarray, groups: Vector, scale: Vector) -> None:
        """Add a block of rows, each times its scale."""
        start = 0
        while start < len(plan):
            stop = min(len(plan), start + _GRAM_ROWS - self._used)
            room = self._room[self._used : self._used + stop - start]
            sum_groups(plan[start:stop], groups, scale[start:stop], room)
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
