"""Let cells of a chain move among their neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array, dia_array

from celltraj.models.neighbour_chain import neighbour_chain


def with_neighbours(
    matrix: csr_array, rows: Sequence[np.ndarray], x: np.ndarray, share: float
) -> csr_array:
    """Return a chain in which cells that stay where they are move among those of their time.

    Parameters
    ----------
    matrix
        ``(n_obs, n_obs)`` probabilities of becoming a cell of the next time, or of staying.
    rows
        Row numbers of the cells of each time.
    x
        ``(n_obs, d)`` cells, in the representation whose neighbours count.
    share
        How much of the step of a cell that does not stay is among its neighbours.
    """
    n = matrix.shape[0]
    weight = np.where(matrix.diagonal() > 0, 1.0, share)
    parts = []
    for cells in rows:
        if weight[cells].any():
            chain = neighbour_chain(x[cells]).tocoo()
            i, j = (cells[places] for places in chain.coords)
            parts.append((chain.data * weight[i], i, j))
    values, i, j = (np.concatenate(part) for part in zip(*parts, strict=True))
    index = matrix.indices.dtype
    among = csr_array(
        (values.astype(matrix.dtype), (i.astype(index), j.astype(index))), shape=(n, n)
    )
    onwards = dia_array(((1 - weight).astype(matrix.dtype)[None], [0]), shape=(n, n)) @ matrix
    mixed = csr_array(onwards + among)
    mixed.eliminate_zeros()
    return mixed
