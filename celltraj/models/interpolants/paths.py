"""Curves of an interpolant as the weighted paths that a law of motion is fitted to."""

from __future__ import annotations

import torch
from torch import Tensor

from celltraj.models.interpolants._curves import Curves
from celltraj.models.references.family import Paths

__all__ = ["STEPS", "Curves", "as_paths", "at_all"]

STEPS = 8  # of a gap, of curves and of the flow of a law


def as_paths(curves: Curves, times: Tensor, gap: Tensor) -> list[Paths]:
    """Return the curves of each gap as equally weighted paths.

    Their nodes are the middles of equal steps, by which neither end of a gap counts more.
    """
    paths = []
    for k in range(len(times) - 1):
        rows = (gap == k).nonzero().flatten()
        if not len(rows):
            continue
        step = (times[k + 1] - times[k]) / STEPS
        grid = times[k] + step * (torch.arange(STEPS + 1, dtype=times.dtype) + 0.5)
        # the last node only closes the last step, and a law is not asked beyond the snapshot
        at = grid.clamp(max=float(times[k + 1]))
        x, v = at_all(curves, rows, at)
        weights = torch.full((len(rows),), 1 / len(rows), dtype=torch.float64)
        paths.append(Paths(grid, x.double(), v[:-1].double(), weights))
    return paths


def at_all(curves: Curves, rows: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
    """Return positions and velocities ``(T, n, d)`` of the curves ``rows (n,)`` at each time."""
    n_times, n_rows = len(times), len(rows)
    # one call: each has its price, whatever the number of points
    both = curves.at(rows.repeat(n_times), times.repeat_interleave(n_rows))
    x, v = (part.reshape(n_times, n_rows, -1) for part in both)
    return x, v
