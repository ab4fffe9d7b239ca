"""States of cells where they lie, in memory or in a file, read by blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import issparse

from celltraj._anndata.columns import in_memory

_ENTRIES = 5_000_000  # numbers of a block: 40 MB in double precision
_FEW = 10  # cells that may all be zero by themselves; a chunk of more of them was never written
_FAILED = (OSError, RuntimeError, ValueError, KeyError)  # of h5py, zarr and codecs


@dataclass(frozen=True, eq=False)
class States:
    """Hold the states of cells where they lie, and read them by blocks of rows.

    Parameters
    ----------
    name
        ``"X"`` or a key of ``obsm``.
    values
        ``(n, d)`` numbers: an array or a sparse matrix in memory, or one of a file that slices of
        rows read, as h5py, zarr, dask and backed AnnData have them.
    cells
        ``(n,)`` names of the cells, for messages.

    Raises
    ------
    ValueError
        No variables, values that are no numbers, or chunks of a store that were never written.
    """

    name: str
    values: Any
    cells: pd.Index

    def __post_init__(self) -> None:
        self._check_kind(self.values.dtype)
        if self.dim == 0:
            raise ValueError(f"{self.name} has no variables; pass use_rep= with a representation")
        n_chunks = getattr(self.values, "nchunks", 0)
        # zarr alone says what was never written, and counts chunks of a shard beyond the last row
        n_missing = n_chunks - getattr(self.values, "nchunks_initialized", n_chunks)
        if n_missing > 0:
            raise ValueError(self._missing(f"{n_missing} of {n_chunks} chunks"))

    @classmethod
    def of(cls, adata: AnnData, name: str) -> States:
        """Return the states in ``"X"`` or a key of ``obsm``, nothing of a file read yet."""
        return cls(name, _by_rows(adata.X if name == "X" else adata.obsm[name]), adata.obs_names)

    @property
    def dim(self) -> int:
        """Number of state variables d."""
        return int(self.values.shape[1])

    @property
    def is_in_memory(self) -> bool:
        """Whether nothing is left to be read of a file."""
        return isinstance(self.values, np.ndarray) or issparse(self.values)

    def blocks(self, wanted: np.ndarray | None = None) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield rows and their states ``(k, d)``, dense and in their own dtype.

        With ``wanted``, sorted rows, blocks that hold none of them are not read.

        Raises
        ------
        ValueError
            A file cannot be read, chunks of it are missing or, once all blocks are seen, there are
            values that are not finite numbers.
        """
        is_bad, is_zero = (np.zeros(len(self.cells), dtype=bool) for _ in range(2))
        for first, last in self._spans():
            if wanted is not None and not np.diff(np.searchsorted(wanted, (first, last)))[0]:
                continue
            part = self._loaded(first, last)
            for rows in _slices(first, last, self._most):
                block = part[rows.start - first : rows.stop - first]
                block = block.toarray() if issparse(block) else np.asarray(block)
                self._check_kind(block.dtype)
                is_bad[rows] = ~np.isfinite(block).all(1)
                if not self.is_in_memory:
                    is_zero[rows] = ~block.any(1)
                yield rows, block
        self._check_finite(is_bad)
        self._check_written(is_zero)

    def taken(self, rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the states ``(k, d)`` of several sets of rows, each sorted, as float64."""
        found = [np.empty((len(one), self.dim)) for one in rows]
        for here, block in self.blocks(np.sort(np.concatenate(rows))):
            for states, one in zip(found, rows, strict=True):
                i, j = np.searchsorted(one, (here.start, here.stop))
                states[i:j] = block[one[i:j] - here.start]
        return found

    def whole(self) -> np.ndarray:
        """Return all states ``(n, d)`` as float64, an array of its own."""
        found = np.empty((len(self.cells), self.dim))
        for rows, block in self.blocks():
            found[rows] = block
        return found

    @property
    def _most(self) -> int:
        return max(1, _ENTRIES // self.dim)

    def _spans(self) -> Iterator[tuple[int, int]]:
        """Yield the first row of what is read at once and the one after its last: whole chunks."""
        first = last = 0
        for edge in self._edges()[1:]:
            if edge - first > self._most and last > first:
                yield first, last
                first = last
            last = edge
        if last > first:
            yield first, last

    def _edges(self) -> list[int]:
        """Return the rows at which chunks of a file begin and the last one ends."""
        n, chunks = len(self.cells), getattr(self.values, "chunks", None)
        if not chunks or self.is_in_memory:
            return [rows.start for rows in _slices(0, n, self._most)] + [n]
        if isinstance(chunks[0], tuple):
            return [0, *np.cumsum(chunks[0]).tolist()]
        step = (getattr(self.values, "shards", None) or chunks)[0]
        return [*range(0, n, step), n]

    def _loaded(self, first: int, last: int) -> Any:
        if self.is_in_memory:
            return self.values[first:last]
        try:
            return in_memory(self.values[first:last])
        except _FAILED as error:
            raise ValueError(
                f"the cells {first} to {last - 1} of {self.name} cannot be read, and the file may "
                f"be damaged ({type(error).__name__}: {error}); write it anew"
            ) from error

    def _check_kind(self, dtype: np.dtype) -> None:
        if dtype.kind not in "fiu":
            raise ValueError(
                f"{self.name} has dtype {dtype}, and numbers are needed; "
                "convert it with .astype(float) once every entry is a number"
            )

    def _check_finite(self, is_bad: np.ndarray) -> None:
        if is_bad.any():
            raise ValueError(
                f"{int(is_bad.sum())} cells have NaN or infinite values in {self.name} "
                f"(first: {self.cells[is_bad][0]!r}); drop or impute them"
            )

    def _check_written(self, is_zero: np.ndarray) -> None:
        """Raise where a whole chunk reads as zeros, as one does that is not there."""
        if not (is_zero.any() and getattr(self.values, "chunks", None)):
            return
        for first, last in pairwise(self._edges()):
            if last - first >= _FEW and is_zero[first:last].all():
                raise ValueError(self._missing(f"all variables of the cells {first} to {last - 1}"))

    def _missing(self, what: str) -> str:
        return (
            f"{what} of {self.name} read as zeros, as parts of a file do that were never written; "
            "write it anew, or, where they are zero indeed, load it with adata.to_memory()"
        )


def _by_rows(values: Any) -> Any:
    """Return values whose slices of rows are cheap, what lies in a file left there."""
    if getattr(values, "format", None) == "csc":  # of a file as well
        return (values if issparse(values) else values.to_memory()).tocsr()
    if hasattr(values, "to_memory") and not hasattr(values, "format"):
        values = values.to_memory()  # a table that was opened lazily
    if isinstance(values, pd.DataFrame) or not hasattr(values, "dtype"):
        return np.asarray(values)
    return values


def _slices(first: int, last: int, most: int) -> list[slice]:
    return [slice(i, min(i + most, last)) for i in range(first, last, most)]
