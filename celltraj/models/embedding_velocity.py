"""Mean velocity of cells under a process, and its picture in an embedding of them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import softmax
from sklearn.neighbors import NearestNeighbors
from tqdm.auto import tqdm

from celltraj._typing import Cells
from celltraj.models.bridge.bridge import Bridge
from celltraj.models.process import Process

_WIDTH = 0.1  # of the kernel over cosines: a neighbour straight ahead outweighs one aside e^10 to 1
_BLOCK = 2048  # cells at once, each with its neighbours


@runtime_checkable
class _Moving(Protocol):
    """A process that knows the mean velocity of its cells, besides the drift of its SDE."""

    def velocity(self, t: float, x: Cells) -> Cells: ...


def mean_velocity(process: Process, t: float, x: Cells) -> Cells:
    """Return the mean velocity ``(n, d)`` of cells, in [x]/[t].

    That of a bridge or a flow; of any other process its drift. After its last snapshot a bridge is
    its reference, whose drift it then is.

    Parameters
    ----------
    process
        Law of motion.
    t
        Time, in the user's unit.
    x
        ``(n, d)`` states.

    Returns
    -------
    ``(n, d)`` velocities.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import Brownian
    >>> from celltraj.models.embedding_velocity import mean_velocity
    >>> mean_velocity(Brownian(0.1), 0.0, torch.ones(1, 2))
    tensor([[0., 0.]])
    """
    is_after = isinstance(process, Bridge) and t > process.snapshots.times[-1]
    with torch.no_grad():
        if isinstance(process, _Moving) and not is_after:
            return process.velocity(t, x)
        return process.drift(t, x)


def projected_velocity(
    x: Float[np.ndarray, "n d"],
    velocity: Float[np.ndarray, "n d"],
    embedding: Float[np.ndarray, "n e"],
    *,
    n_neighbors: int,
    progress: bool = False,
) -> Float[np.ndarray, "n e"]:
    r"""Project velocities onto an embedding that has no equation, by the neighbours of each cell.

    With ``d_j = x_j - x_i`` and ``y_j`` likewise in the embedding, for the ``k`` neighbours of a
    cell ``i`` of velocity ``v``,

    ``p_j(v) = softmax_j cos(d_j, v) / 0.1`` and
    ``u = |v| s sum_j (p_j(v) - p_j(-v)) / 2 y_j / |y_j|``:

    the mean direction of what lies ahead less that of what lies behind. The papers below take off
    the mean of all neighbours instead, which likewise takes off what tells of the density alone,
    but at the rim of the cells turns ``u`` outwards. ``s``, the median of ``|y_j|`` over that of
    ``|d_j|``, is how far the embedding stretches the surroundings of the cell, so that lengths are
    in units of it per time. They fall short where few neighbours lie ahead, above all in many
    dimensions, and vanish where none tells of ``v``.

    Parameters
    ----------
    x, velocity
        ``(n, d)`` states, in [x], and their velocities, in [x]/[t].
    embedding
        ``(n, e)`` the same cells, in [y].
    n_neighbors
        Neighbours ``k`` of each cell in ``x`` (count).
    progress
        Whether to show a bar over blocks of cells.

    Returns
    -------
    ``(n, e)`` velocities in the embedding, in [y]/[t].

    Raises
    ------
    ValueError
        Fewer than two neighbours, or as many as there are cells.

    References
    ----------
    La Manno et al., *RNA velocity of single cells* (2018); Bergen et al., *Generalizing RNA
    velocity to transient cell states through dynamical modeling* (2020).

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.models.embedding_velocity import projected_velocity
    >>> x = np.arange(5.0)[:, None]
    >>> wide = projected_velocity(x, 0 * x + 3, 2 * x, n_neighbors=2)
    >>> wide[2].round(5)  # twice as wide, twice as fast
    array([6.])
    """
    if not 2 <= n_neighbors < len(x):
        raise ValueError(
            f"n_neighbors must lie between 2 and {len(x) - 1}, one less than the cells; "
            f"found {n_neighbors}"
        )
    near = NearestNeighbors(n_neighbors=n_neighbors).fit(x)
    projected = np.empty(embedding.shape, dtype=np.float64)
    starts = range(0, len(x), _BLOCK)
    for start in tqdm(starts, desc="projection", unit="block", disable=not progress):
        rows = np.arange(start, min(start + _BLOCK, len(x)))
        others = _others(near.kneighbors(x[rows], n_neighbors + 1, return_distance=False), rows)
        steps = x[others] - x[rows, None]
        shifts = embedding[others] - embedding[rows, None]
        projected[rows] = _projected(steps, velocity[rows], shifts)
    return projected


def _others(found: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return neighbours ``(b, k)`` without the cell itself, which its copies may have hidden."""
    is_other = found != rows[:, None]
    is_other[is_other.all(1), -1] = False  # the farthest makes room
    others: np.ndarray = found[is_other].reshape(len(found), -1)
    return others


def _projected(steps: np.ndarray, velocity: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Return ``(b, e)`` of velocities ``(b, d)``; steps ``(b, k, d)``, shifts ``(b, k, e)``."""
    speed = np.linalg.norm(velocity, axis=1)
    towards = _unit(velocity)
    cosine = (_unit(steps) @ towards[:, :, None])[..., 0]
    weight = (softmax(cosine / _WIDTH, 1) - softmax(-cosine / _WIDTH, 1)) / 2
    near = np.median(np.linalg.norm(steps, axis=2), axis=1)
    far = np.median(np.linalg.norm(shifts, axis=2), axis=1)
    # among copies of one cell nothing tells of a direction
    stretch = np.divide(far, near, out=np.zeros_like(far), where=near > 0)
    projected: np.ndarray = (speed * stretch)[:, None] * (weight[:, None] @ _unit(shifts))[:, 0]
    return projected


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of length one, zero where they were zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: np.ndarray = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return unit
