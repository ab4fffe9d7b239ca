"""What a model says of a time before its network is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from celltraj._typing import Cells, Earlier
from celltraj.models.chains import GapPlans
from celltraj.models.course import Course, plans_of
from celltraj.models.growth.convention import GrowthModel, with_growth
from celltraj.models.interpolants import Interpolant
from celltraj.models.noise_scale import default_sigma
from celltraj.ot import Solver
from celltraj.snapshots import Snapshots


@runtime_checkable
class Drawn(Protocol):
    """Cells at any time between snapshots, for which no network is asked."""

    def cells_at(self, time: float, n: int, *, generator: torch.Generator) -> tuple[Cells, Earlier]:
        """Draw ``n`` cells ``(n, d)`` at a time, and their weights of sum 1."""
        ...


@dataclass(frozen=True)
class Preview:
    """Say what a flow is fitted to: all of it but its network.

    Parameters
    ----------
    paths
        Paths between the cells of such snapshots.
    coupling
        Coupling solver.
    growth
        How much cells divide and die, see
        :func:`celltraj.models.growth.convention.with_growth`.
    sigma
        Noise, in [x]/sqrt([t]); by default :func:`celltraj.models.default_sigma`.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import SplineInterpolant
    >>> from celltraj.models.evaluation import Preview
    >>> from celltraj.ot import solve
    >>> from celltraj.snapshots import Snapshots
    >>> x = torch.linspace(0, 1, 9)[:, None]
    >>> still = Preview(lambda snapshots: SplineInterpolant(), solve, growth=None)
    >>> generator = torch.Generator().manual_seed(0)
    >>> course = still.course(Snapshots((0.0, 1.0), (x, x + 4)), generator=generator)
    >>> cells, _ = course.cells_at(0.5, 9, generator=generator)
    >>> bool((cells.mean() - 2.5).abs() < 0.3)
    True
    """

    paths: Callable[[Snapshots], Interpolant]
    coupling: Solver
    growth: GrowthModel = "auto"
    sigma: float | None = None

    def course(self, train: Snapshots, *, generator: torch.Generator) -> Course:
        """Return the curves that the flow would learn of these snapshots."""
        sigma = self.sigma
        if sigma is None:
            sigma = default_sigma(train, generator=generator)
        grown, plans = self.coupled(train, sigma)
        return Course.along(grown, plans, self.paths(train), sigma=sigma, generator=generator)

    def coupled(self, train: Snapshots, sigma: float) -> tuple[Snapshots, GapPlans]:
        """Return the snapshots with the growth that is expected, and their couplings."""
        grown, _ = with_growth(train, self.growth, sigma=sigma, coupling=self.coupling)
        return grown, plans_of(grown, sigma, self.coupling)
