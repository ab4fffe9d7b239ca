"""Moments of many genes, a block of them at a time and as sparse as they are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csc_array, issparse, sparray, spmatrix

_BLOCK = 1 << 22  # numbers held at once
_ROUNDING = 1e-13  # spread over mean, below which a gene differs from cell to cell by rounding only
_NOTHING = 1e-12  # weight, where nothing is left but rounding


def blocks(
    x: np.ndarray | spmatrix | sparray,
) -> Iterator[tuple[slice, np.ndarray | csc_array]]:
    """Yield blocks of genes in float64, as sparse as they are; at least one, maybe empty."""
    n, g = x.shape
    columns = csc_array(x) if issparse(x) else x
    width = max(1, _BLOCK // max(1, n))
    for first in range(0, max(g, 1), width):
        part = slice(first, first + width)
        block = columns[:, part].astype(float)
        if not isinstance(block, np.ndarray):
            block.sum_duplicates()
        yield part, block


def moments(block: np.ndarray | csc_array, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of every column, 0 where it is rounding.

    In two passes: one of squares alone would lose a small spread about a large mean.
    """
    mean = w @ block
    if isinstance(block, np.ndarray):
        square = w @ (block - mean) ** 2
    else:
        gene = np.repeat(np.arange(len(mean)), np.diff(block.indptr))
        inside = w[block.indices]
        rest = 1 - np.bincount(gene, inside, len(mean))  # of the cells whose zeros are not stored
        square = np.bincount(gene, inside * (block.data - mean[gene]) ** 2, len(mean))
        square += np.where(rest > _NOTHING, rest, 0) * mean**2
    sd = np.sqrt(square)
    return mean, np.where(sd <= _ROUNDING * np.abs(mean), 0.0, sd)


def covariances(
    x: np.ndarray | spmatrix | sparray, moved: np.ndarray, mean: np.ndarray
) -> np.ndarray:
    """Return ``(g, m)`` sums of centred expression times numbers that carry the weights."""
    parts = [block.T @ moved for _, block in blocks(x)]
    rates: np.ndarray = np.concatenate(parts) - mean[:, None] * moved.sum(0)
    return rates
