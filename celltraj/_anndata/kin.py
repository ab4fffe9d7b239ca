"""Read how far the cells of a time are from each other in their lineages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from scipy.sparse import issparse
from torch import Tensor

from celltraj._anndata.lineage import rows_of
from celltraj._errors import some
from celltraj.models.lineage_tree import LineageTree


@dataclass(frozen=True, eq=False)
class LineageDistances:
    """Hold where distances within times are read from: ``(n_k, n_k)`` of each time when asked.

    Parameters
    ----------
    key
        Name of the matrix or of the trees.
    labels
        Name of each time.
    source
        Blocks of a matrix of distances, or trees with the names of the cells.
    """

    key: str
    labels: tuple[str, ...]
    source: tuple[Any, ...]

    def __call__(self, k: int) -> Tensor:
        """Return the distances within time ``k``.

        Raises
        ------
        ValueError
            Cells are no leaves of the tree, or entries of a sparse matrix are missing.
        """
        one = self.source[k]
        try:
            found = one[0].distances(one[1]) if isinstance(one, tuple) else _whole(one)
        except ValueError as error:
            raise ValueError(f"{self.key!r} at time {self.labels[k]}: {error}") from error
        return torch.from_numpy(np.asarray(found, dtype=float))


def read_kin(adata: AnnData, lineage_key: str, time_key: str) -> LineageDistances:
    """Return distances within the lineages of each time.

    Raises
    ------
    KeyError
        Neither ``obsp`` nor ``uns`` has them, or a time has no tree.
    ValueError
        A tree is no Newick string.
    """
    rows = rows_of(adata, time_key)
    labels = tuple(str(adata.obs[time_key].iloc[r[0]]) for r in rows)
    if lineage_key in adata.obsp:
        matrix = adata.obsp[lineage_key]
        return LineageDistances(lineage_key, labels, tuple(matrix[r][:, r] for r in rows))
    if lineage_key not in adata.uns:
        raise KeyError(
            f"neither obsp[{lineage_key!r}] with distances nor uns[{lineage_key!r}] with Newick "
            f"trees; found obsp {some(adata.obsp)} and uns {some(adata.uns)}"
        )
    names = adata.obs_names.to_numpy(dtype=object)
    trees = _trees(adata.uns[lineage_key], labels, lineage_key)
    cells = (names[r].tolist() for r in rows)
    return LineageDistances(lineage_key, labels, tuple(zip(trees, cells, strict=True)))


def _trees(found: Any, labels: Sequence[str], key: str) -> list[LineageTree]:
    """Return the tree of each time: one for all, or by the label or the number of the time."""
    if isinstance(found, str):
        return [LineageTree.of_newick(found)] * len(labels)
    if not isinstance(found, Mapping):
        raise ValueError(
            f"uns[{key!r}] must be a Newick string, or a dict of them by time; found "
            f"{type(found).__name__}"
        )
    by_label = {_label(time): text for time, text in found.items()}
    if missing := [label for label in labels if _label(label) not in by_label]:
        raise KeyError(f"uns[{key!r}] has no tree of the times {missing}; found {list(found)}")
    return [LineageTree.of_newick(str(by_label[_label(label)])) for label in labels]


def _label(time: object) -> str:
    """Return a time as text, numbers alike however they are written."""
    try:
        return f"{float(str(time)):g}"
    except ValueError:
        return str(time)


def _whole(block: Any) -> np.ndarray:
    """Return a block as an array; of a sparse one every pair of cells must be there."""
    if not issparse(block):
        return np.asarray(block)
    n = block.shape[0]
    stored = block.nnz - int((block.diagonal() != 0).sum())
    if stored < n * (n - 1):
        raise ValueError(
            f"the matrix is sparse and holds {stored:,} of {n * (n - 1):,} pairs of cells: what is "
            "absent reads as a distance of zero. Store all distances, as an array"
        )
    dense: np.ndarray = block.toarray()
    return dense
