"""Mean paths of many chains, each over one gap, ready to be evaluated at any time of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Cells


@runtime_checkable
class Curves(Protocol):
    """Differentiable paths, one of each chain."""

    def at(self, rows: Tensor, t: Tensor) -> tuple[Cells, Cells]:
        """Return positions and velocities ``(m, d)`` of the paths ``rows (m,)`` at ``t (m,)``."""
        ...


@card()
@dataclass(frozen=True)
class HermiteCurves:
    """Cubic pieces between equally spaced nodes of a gap.

    Parameters
    ----------
    start, length
        ``(n,)`` first time of the gap of each path, and its length, in [t].
    x
        ``(S + 1, n, d)`` positions at the nodes, in [x].
    v
        ``(S + 1, n, d)`` velocities there, in [x]/[t].
    """

    start: Tensor
    length: Tensor
    x: Tensor
    v: Tensor

    def at(self, rows: Tensor, t: Tensor) -> tuple[Cells, Cells]:
        """Return positions and velocities ``(m, d)`` of the paths ``rows (m,)`` at ``t (m,)``."""
        n_pieces = len(self.x) - 1
        step = (self.length[rows] / n_pieces)[:, None]
        position = (t - self.start[rows])[:, None] / step
        node = position[:, 0].detach().floor().long().clamp(0, n_pieces - 1)
        s = position - node[:, None]
        (x0, v0), (x1, v1) = ((self.x[at, rows], self.v[at, rows]) for at in (node, node + 1))
        # Hermite's basis and its derivative
        x = (
            (1 + 2 * s) * (1 - s) ** 2 * x0
            + s * (1 - s) ** 2 * step * v0
            + s**2 * (3 - 2 * s) * x1
            + s**2 * (s - 1) * step * v1
        )
        rate = (
            6 * s * (1 - s) * (x1 - x0) / step + (1 - s) * (1 - 3 * s) * v0 + s * (3 * s - 2) * v1
        )
        return x, rate


@dataclass(frozen=True)
class Schedule:
    """Weights of the two ends of a gap along it, and their derivatives by its share ``s``."""

    start: Tensor
    end: Tensor
    d_start: Tensor
    d_end: Tensor


@card()
@dataclass(frozen=True)
class ScheduledCurves:
    """Sums of the two ends, ``x = c(s) + a(s) (x0 - c0) + b(s) (x1 - c1)``.

    Parameters
    ----------
    start, length
        ``(n,)`` first time of the gap of each path, and its length, in [t].
    x0, x1
        ``(n, d)`` ends, in [x].
    c0, c1
        ``(n, d)`` centres that the ends are measured from, ``c(s)`` is on the line between them.
    schedule
        ``s (m,) ->`` the weights a and b, for the paths ``rows``: ``schedule(rows, s)``.
    """

    start: Tensor
    length: Tensor
    x0: Cells
    x1: Cells
    c0: Cells
    c1: Cells
    schedule: Callable[[Tensor, Tensor], Schedule]

    def at(self, rows: Tensor, t: Tensor) -> tuple[Cells, Cells]:
        """Return positions and velocities ``(m, d)`` of the paths ``rows (m,)`` at ``t (m,)``."""
        length = self.length[rows]
        s = (t - self.start[rows]) / length
        weights = self.schedule(rows, s)
        c0, c1 = self.c0[rows], self.c1[rows]
        away0, away1 = self.x0[rows] - c0, self.x1[rows] - c1

        def summed(a: Tensor, b: Tensor) -> Cells:
            return a[:, None] * away0 + b[:, None] * away1

        x = c0 + s[:, None] * (c1 - c0) + summed(weights.start, weights.end)
        rate = c1 - c0 + summed(weights.d_start, weights.d_end)
        return x, rate / length[:, None]


def straight_lines(start: Tensor, length: Tensor, x0: Cells, x1: Cells) -> HermiteCurves:
    """Return straight paths at constant speed."""
    rate = (x1 - x0) / length[:, None]
    return HermiteCurves(start, length, torch.stack([x0, x1]), torch.stack([rate, rate]))
