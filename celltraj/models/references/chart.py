r"""Coordinates in which noise that depends on the state is the same everywhere.

Where the noise of each variable is ``sigma u(x)`` of its own value, the coordinates
``z = int dx / u(x)`` have constant noise, by Ito's formula with ``u'`` the derivative of ``u``:

    dX = b dt + sigma u(X) dW   <=>   dZ = (b / u - sigma^2 u' / 2) dt + sigma dW

A bridge is a law of paths, and these coordinates name the same paths: what is fitted in ``z`` is
the bridge in ``x``, nothing is approximated by the change. Lamperti (1964); Sarkka & Solin,
*Applied stochastic differential equations* (2019), section 7.2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch

from celltraj._typing import Cells
from celltraj.models.references.family import Reference
from celltraj.snapshots import Snapshots


@runtime_checkable
class Chart(Protocol):
    """Map states to coordinates of constant noise and back, each variable by itself."""

    def straight(self, x: Cells) -> Cells:
        """Return the coordinates ``z (n, d)``; those of the edge for states beyond it."""
        ...

    def curved(self, z: Cells) -> Cells:
        """Return the states ``x (n, d)``, in [x]."""
        ...

    def shape(self, x: Cells) -> Cells:
        """Return ``u(x) = dx/dz (n, d)``, above zero."""
        ...

    def bend(self, x: Cells) -> Cells:
        """Return the derivative of ``u``, ``(n, d)``."""
        ...

    def holds(self, x: Cells) -> torch.Tensor:
        """Return for each number of ``x`` whether the noise there is above zero."""
        ...


@dataclass(frozen=True)
class FlatChart:
    """Leave states as they are: their noise is the same everywhere."""

    def straight(self, x: Cells) -> Cells:
        """Return ``x``."""
        return x

    def curved(self, z: Cells) -> Cells:
        """Return ``z``."""
        return z

    def shape(self, x: Cells) -> Cells:
        """Return ones ``(n, d)``."""
        return torch.ones_like(x)

    def bend(self, x: Cells) -> Cells:
        """Return zeros ``(n, d)``."""
        return torch.zeros_like(x)

    def holds(self, x: Cells) -> torch.Tensor:
        """Return True everywhere."""
        return torch.ones_like(x, dtype=torch.bool)


@dataclass(frozen=True)
class LogChart:
    """Take logarithms, for noise in proportion to the state: ``u = x`` and ``z = log x``."""

    def straight(self, x: Cells) -> Cells:
        """Return ``log x (n, d)``, without unit."""
        return x.clamp(min=torch.finfo(x.dtype).tiny).log()

    def curved(self, z: Cells) -> Cells:
        """Return ``exp z (n, d)``, in [x]."""
        return z.exp()

    def shape(self, x: Cells) -> Cells:
        """Return ``x (n, d)``, in [x]."""
        return x.clamp(min=torch.finfo(x.dtype).tiny)

    def bend(self, x: Cells) -> Cells:
        """Return ones ``(n, d)``, without unit."""
        return torch.ones_like(x)

    def holds(self, x: Cells) -> torch.Tensor:
        """Return where ``x`` is above zero."""
        return x > 0


@dataclass(frozen=True)
class RootChart:
    """Take roots, for noise of variance ``a + c x``: ``z = 2 sqrt(a + c x) / c``.

    Parameters
    ----------
    floor, slope
        Variance ``a`` at zero and its increase ``c``, above zero, for each unit of ``x``.
    """

    floor: float
    slope: float

    def straight(self, x: Cells) -> Cells:
        """Return ``2 sqrt(a + c x) / c (n, d)``."""
        return 2 * self._variance(x).sqrt() / self.slope

    def curved(self, z: Cells) -> Cells:
        """Return ``((c z / 2)^2 - a) / c (n, d)``, in [x]."""
        return ((self.slope * z / 2).square() - self.floor) / self.slope

    def shape(self, x: Cells) -> Cells:
        """Return ``sqrt(a + c x) (n, d)``."""
        return self._variance(x).sqrt()

    def bend(self, x: Cells) -> Cells:
        """Return ``c / (2 u) (n, d)``."""
        return self.slope / (2 * self.shape(x))

    def holds(self, x: Cells) -> torch.Tensor:
        """Return where ``a + c x`` is above zero."""
        return self.floor + self.slope * x > 0

    def _variance(self, x: Cells) -> Cells:
        # a step of a solver may end below zero, where there is neither noise nor a root: a floor
        # has a derivative of zero there, and not the infinite one of a root
        least = torch.finfo(x.dtype).eps * (abs(self.floor) + self.slope)
        return (self.floor + self.slope * x).clamp(min=least)


@runtime_checkable
class ShapedNoise(Reference, Protocol):
    """A reference whose noise is ``sigma`` times a shape of each variable alone."""

    @property
    def chart(self) -> Chart:
        """Return coordinates in which the noise is ``sigma`` everywhere."""
        ...

    def straightened(self) -> Reference:
        """Return the same law of motion in these coordinates."""
        ...


def chart_of(reference: Reference) -> Chart:
    """Return coordinates in which the noise of ``reference`` is the same everywhere."""
    return reference.chart if isinstance(reference, ShapedNoise) else FlatChart()


def straightened(reference: Reference) -> Reference:
    """Return the law of motion in these coordinates; itself where its noise is constant."""
    return reference.straightened() if isinstance(reference, ShapedNoise) else reference


def mapped_snapshots(snapshots: Snapshots, x: tuple[torch.Tensor, ...]) -> Snapshots:
    """Return snapshots of the same cells with other states."""
    moved = replace(snapshots, x=x)
    # they were divided by their sum when it was made: once more would change last digits
    object.__setattr__(moved, "weights", snapshots.weights)
    return moved


def straightened_snapshots(snapshots: Snapshots, reference: Reference | None) -> Snapshots:
    """Return the cells in coordinates in which the noise of ``reference`` is constant.

    Raises
    ------
    ValueError
        Cells where the noise has come to its end, from which no coordinate lies at a finite way.
    """
    if not isinstance(reference, ShapedNoise):
        return snapshots
    chart = reference.chart
    outside = sum(int((~chart.holds(x)).any(1).sum()) for x in snapshots.x)
    if outside:
        raise ValueError(
            f"{type(reference).__name__} has no noise in {outside} of {snapshots.n_cells} cells, "
            "whose variables are at the end of its range (0 without a floor) or beyond; add a "
            "pseudocount, or take ct.models.LinearNoise(drift, floor=...), which has noise at zero"
        )
    return mapped_snapshots(snapshots, tuple(chart.straight(x) for x in snapshots.x))
