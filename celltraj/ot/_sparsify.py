"""Plans without their smallest entries."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from celltraj._kernels import count_kept, least_kept, take_kept


def drop_smallest(plan: csr_array, mass: float, gone: np.ndarray | None = None) -> csr_array:
    """Return a plan without the smallest entries of each row, ``mass`` of it.

    ``gone (n,)`` of each row is missing already and counts as dropped.
    """
    least = np.full(plan.shape[0], np.inf)
    gone = np.zeros(plan.shape[0]) if gone is None else gone
    least_kept(plan.indptr, plan.data, mass, gone, least)
    stays = plan.data >= np.repeat(least, np.diff(plan.indptr))
    counts = np.concatenate([[0], np.cumsum(stays)])[plan.indptr]
    return csr_array((plan.data[stays], plan.indices[stays], counts), shape=plan.shape)


def sparse_block(plan: np.ndarray, mass: float) -> csr_array:
    """Return a dense block of rows without its smallest entries."""
    row, counts = plan.sum(1), np.zeros(len(plan), dtype=np.int64)
    # what is below this bound holds less than ``mass`` in all, and need not be sorted
    count_kept(plan, row, mass, counts)
    first = np.concatenate([[0], np.cumsum(counts)])
    columns, values = np.empty(first[-1] + 1, dtype=np.int32), np.empty(first[-1] + 1)
    take_kept(plan, row, mass, columns, values)
    kept = csr_array((values[:-1], columns[:-1], first), shape=plan.shape)
    return drop_smallest(kept, mass, gone=np.maximum(row - kept.sum(1), 0))
