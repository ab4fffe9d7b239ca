"""A chain that moves cells among their nearest neighbours."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from sklearn.neighbors import NearestNeighbors

NEIGHBOURS = 15  # as scanpy's neighbours


def neighbour_chain(x: np.ndarray, *, neighbours: int = NEIGHBOURS) -> csr_array:
    """Return the ``(n, n)`` probabilities of moving to a neighbour or staying; rows sum to one.

    ``T_ij = W_ij / sum_j W_ij`` with ``W_ij`` the larger one of ``exp(-|x_i - x_j|^2 / s_i^2)``,
    where ``j`` is among the nearest of ``i`` or ``i`` itself, and the same with ``i`` and ``j``
    exchanged; ``s_i`` is the distance to the last of the nearest. Weights are symmetric, so that
    eigenvalues are real, and no cell is without a neighbour.

    Parameters
    ----------
    x
        ``(n, d)`` cells.
    neighbours
        Nearest cells of each, at most ``n - 1``.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.models.neighbour_chain import neighbour_chain
    >>> neighbour_chain(np.array([[0.0], [1.0], [5.0]]), neighbours=1).toarray().round(2)
    array([[0.73, 0.27, 0.  ],
           [0.21, 0.58, 0.21],
           [0.  , 0.27, 0.73]])
    """
    n = len(x)
    k = min(neighbours, n - 1)
    if k < 1:
        return csr_array(np.ones((n, n)))
    distance, nearest = NearestNeighbors(n_neighbors=k).fit(x).kneighbors()
    scale = np.where(distance[:, -1:] > 0, distance[:, -1:], 1.0)  # copies of a cell have none
    columns = np.hstack([np.arange(n)[:, None], nearest])
    weights = np.hstack([np.ones((n, 1)), np.exp(-np.square(distance / scale))])
    starts = np.arange(0, n * (k + 1) + 1, k + 1)
    near = csr_array((weights.ravel(), columns.ravel(), starts), shape=(n, n))
    both = csr_array(near.maximum(near.T))
    shares = both.data / np.repeat(both.sum(1), np.diff(both.indptr))
    return csr_array((shares, both.indices, both.indptr), shape=(n, n))
