"""Distances between the cells of one side, which Gromov-Wasserstein transport compares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from celltraj._arrays import ArrayLike, Converted, as_array
from celltraj._card import card
from celltraj.ot._cost import convert_fields

_UNEQUAL = 1e-6  # of the largest distance, that two readings of one may differ by


@card()
@dataclass(frozen=True)
class Within:
    """Distances within the earlier and within the later cells, in units that need not agree.

    Parameters
    ----------
    x
        ``(n, n)`` distances between earlier cells: symmetric, not negative; of positions, lineage
        trees, graphs.
    y
        ``(m, m)`` distances between later cells.

    Raises
    ------
    TypeError
        Entries that are no real numbers.
    ValueError
        A matrix that is not square, not symmetric, negative or not finite, or all of whose
        distances are zero.

    Examples
    --------
    >>> from celltraj.ot import Within
    >>> Within.of_coordinates([[0.0, 0.0], [3.0, 4.0]], [[0.0], [1.0]]).x
    tensor([[0., 5.],
            [5., 0.]], dtype=torch.float64)
    """

    x: Converted
    y: Converted

    def __post_init__(self) -> None:
        convert_fields(self, dtype=torch.float64, x="(n, n)", y="(m, m)")
        for name, distances in (("x", self.x), ("y", self.y)):
            _check_distances(name, distances)

    @classmethod
    def of_coordinates(cls, u: ArrayLike, v: ArrayLike) -> Within:
        """Return Euclidean distances.

        Parameters
        ----------
        u, v
            ``(n, k)`` and ``(m, l)`` coordinates of the earlier and of the later cells, each in any
            frame and unit.

        Raises
        ------
        TypeError, ValueError
            Coordinates that are no finite real numbers, or all cells of a side at one point.
        """
        sides = (as_array(points, name, "(n, k)") for name, points in (("u", u), ("v", v)))
        return cls(*(torch.from_numpy(cdist(points, points)) for points in sides))

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(n, m)``."""
        return len(self.x), len(self.y)

    def scaled(self, p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return both matrices over their means under the weights ``p (n,)`` and ``q (m,)``."""
        x, y = self.x.numpy(), self.y.numpy()
        return x / float(p @ x @ p), y / float(q @ y @ q)


def _check_distances(name: str, distances: Tensor) -> None:
    n, m = distances.shape
    if n != m:
        raise ValueError(
            f"{name} must hold a distance for each two cells of a side, (n, n); found ({n}, {m}). "
            "ct.ot.Within.of_coordinates(u, v) takes positions"
        )
    low, high = float(distances.min()), float(distances.max())
    if low < 0:
        raise ValueError(f"{name} holds distances, which are not negative; found {low:g}")
    if not high > 0:
        raise ValueError(
            f"all distances in {name} are zero: the {n} cells of that side lie at one point, so "
            "that nothing of their arrangement is known"
        )
    gap = float((distances - distances.T).abs().max())
    if gap > _UNEQUAL * high:
        raise ValueError(
            f"{name} must be symmetric; found entries that differ by {gap:g} from their mirror "
            "image. (D + D.T) / 2 takes the mean of both"
        )
