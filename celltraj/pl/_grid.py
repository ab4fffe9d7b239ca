"""States on a grid over two components, near the observed cells."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

_REACH = 2.0  # spacings of the grid from a cell beyond which nothing is known


def grid_of_states(
    cells: np.ndarray, components: tuple[int, int], n_grid: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the two axes, states ``(n_grid^2, d)`` over the plane, and which are near a cell.

    Variables other than ``components`` are those of the cell that is nearest in the plane.
    """
    plane = cells[:, list(components)]
    low, high = plane.min(0), plane.max(0)
    margin = 0.05 * (high - low)
    axes = [np.linspace(a - m, b + m, n_grid) for a, b, m in zip(low, high, margin, strict=True)]
    points = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    # measured in spacings, so that neither component counts for more
    spacing = np.array([axis[1] - axis[0] for axis in axes])
    spacing[spacing == 0] = 1.0
    distance, nearest = cKDTree(plane / spacing).query(points / spacing)
    states = cells[nearest].copy()
    states[:, list(components)] = points
    return axes[0], axes[1], states, distance <= _REACH
