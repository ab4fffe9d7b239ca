"""Chains of cells and the paths along them: all that a flow knows before its network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor

from celltraj._typing import Cells, Earlier
from celltraj.models.chains import GapPlans
from celltraj.models.coupling import couple, coupled_gaps
from celltraj.models.interpolants import (
    BrownianBridgeInterpolant,
    Interpolant,
    ReferenceInterpolant,
    sample_path,
    share_of,
)
from celltraj.models.references import Brownian
from celltraj.ot import Solver, Transport
from celltraj.snapshots import Snapshots

_DROPPED = 1e-3  # share of the mass of a row of a plan that chains do without
_TO_FIT = 400  # chains of a gap that an interpolant is fitted to
_DRAWN = 4  # chains drawn for each of these
_FEWEST = 40  # cells of every snapshot, for a law to be learned


@dataclass(frozen=True)
class Course:
    """Hold what paths are drawn along.

    Parameters
    ----------
    snapshots
        Observed clouds.
    plans
        Coupling of every gap.
    interpolant
        Paths through a chain.
    """

    snapshots: Snapshots
    plans: GapPlans
    interpolant: Interpolant

    @classmethod
    def of(
        cls,
        snapshots: Snapshots,
        interpolant: Interpolant,
        *,
        sigma: float,
        coupling: Solver,
        generator: torch.Generator,
        progress: bool = False,
    ) -> Course:
        """Couple neighbouring snapshots and fit the interpolant to chains along the couplings.

        Parameters
        ----------
        snapshots
            Observed clouds, with the growth that is expected.
        interpolant
            Paths through a chain; what it takes from the data is filled in.
        sigma
            Noise of the coupling, in [x]/sqrt([t]): epsilon is ``sigma^2`` times the gap.
        coupling
            Coupling solver.
        generator
            Source of randomness.
        progress
            Whether to show a progress bar over the gaps.

        Examples
        --------
        >>> import torch
        >>> from celltraj.models import SplineInterpolant
        >>> from celltraj.models.course import Course
        >>> from celltraj.ot import solve
        >>> from celltraj.snapshots import Snapshots
        >>> x = torch.linspace(0, 1, 9)[:, None]
        >>> course = Course.of(
        ...     Snapshots((0.0, 1.0), (x, x + 4)), SplineInterpolant(), sigma=0.1, coupling=solve,
        ...     generator=torch.Generator().manual_seed(0),
        ... )
        >>> cells, weights = course.cells_at(0.5, 9, generator=torch.Generator().manual_seed(0))
        >>> bool((cells.mean() - 2.5).abs() < 0.1)
        True
        """
        plans = plans_of(snapshots, sigma, coupling, progress=progress)
        return cls.along(snapshots, plans, interpolant, sigma=sigma, generator=generator)

    @classmethod
    def along(
        cls,
        snapshots: Snapshots,
        plans: GapPlans,
        interpolant: Interpolant,
        *,
        sigma: float,
        generator: torch.Generator,
    ) -> Course:
        """Fit the interpolant to chains along couplings that are known, see :meth:`of`."""
        return cls(snapshots, plans, _fitted(interpolant, snapshots, plans, sigma, generator))

    @property
    def times(self) -> Tensor:
        """Return the ``(T,)`` sampling times."""
        return torch.tensor(self.snapshots.times, dtype=torch.float64)

    def cells_at(self, time: float, n: int, *, generator: torch.Generator) -> tuple[Cells, Earlier]:
        """Draw ``n`` cells ``(n, d)`` of the paths at a time, and their weights of sum 1.

        No network: a trained flow carries its cells to the same places but for its own errors.
        """
        gap = torch.full((n,), self.snapshots.gap_of(time))
        chains = self.plans.draw(gap, generator=generator)
        curves = self.interpolant.curves(self.times, chains.states(self.snapshots), gap)
        rows, t = torch.arange(n), torch.full((n,), time, dtype=torch.float64)
        path = sample_path(self.interpolant, self.times, curves, rows, t, generator=generator)
        mass = self.plans.mass(chains, rows, share_of(self.times, t)[1])
        return path.x, mass / mass.sum()


def plans_of(
    snapshots: Snapshots, sigma: float, coupling: Solver, *, progress: bool = False
) -> GapPlans:
    """Return the plan of every gap under Brownian motion of noise ``sigma``."""
    task = partial(_couple, sigma=sigma, coupling=coupling)
    found = list(coupled_gaps(task, snapshots, progress=progress))
    return GapPlans.along(snapshots, found, drop=_DROPPED)


def _couple(pair: Snapshots, *, sigma: float, coupling: Solver) -> Transport:
    return couple(pair, Brownian(sigma), 0, coupling)[1]


def default_paths(snapshots: Snapshots) -> Interpolant:
    """Return paths of one law of motion, or straight ones where too little is known to learn one.

    One gap alone tells no law, and where a snapshot holds a few dozen cells who becomes whom is
    chance: of small data sets those of up to 34 cells were nearer to straight lines, those of 49
    and more to a law.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.course import default_paths
    >>> from celltraj.snapshots import Snapshots
    >>> few = Snapshots((0.0, 1.0, 2.0), tuple(torch.zeros(n, 2) for n in (100, 20, 100)))
    >>> type(default_paths(few)).__name__
    'BrownianBridgeInterpolant'
    """
    fewest = min(len(x) for x in snapshots.x)
    if len(snapshots.gaps) > 1 and fewest >= _FEWEST:
        return ReferenceInterpolant()
    return BrownianBridgeInterpolant()


def law_of_chains(
    snapshots: Snapshots, *, sigma: float, coupling: Solver, generator: torch.Generator
) -> ReferenceInterpolant:
    """Return paths of the one law of motion that chains of cells follow.

    Parameters
    ----------
    snapshots
        Observed clouds, with the growth that is expected.
    sigma
        Diffusion, in [x]/sqrt([t]).
    coupling
        Coupling solver.
    generator
        Source of randomness.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.course import law_of_chains
    >>> from celltraj.ot import solve
    >>> from celltraj.snapshots import Snapshots
    >>> x = torch.linspace(0, 1, 20)[:, None]
    >>> steady = Snapshots((0.0, 1.0, 2.0), (x, x + 1, x + 2))
    >>> law = law_of_chains(
    ...     steady, sigma=0.1, coupling=solve, generator=torch.Generator().manual_seed(0)
    ... ).law
    >>> bool((law.drift(0.0, torch.ones(1, 1)) - 1).abs() < 0.1)
    True
    """
    paths: Interpolant = ReferenceInterpolant()
    course = Course.of(snapshots, paths, sigma=sigma, coupling=coupling, generator=generator)
    return cast("ReferenceInterpolant", course.interpolant)


def _fitted(
    interpolant: Interpolant,
    snapshots: Snapshots,
    plans: GapPlans,
    sigma: float,
    generator: torch.Generator,
) -> Interpolant:
    """Return the interpolant fitted to chains drawn as the plans send mass."""
    times, chain, gap = chains_to_fit(snapshots, plans, n=_TO_FIT, generator=generator)
    return interpolant.fit(times, chain, gap, sigma=sigma)


def chains_to_fit(
    snapshots: Snapshots, plans: GapPlans, *, n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return times ``(T,)``, ``n`` chains of each gap and the gap of each.

    Drawn as the plans send mass; the chains have states ``(T, n (T - 1), d)``.
    """
    n_gaps, n_drawn = len(snapshots.gaps), _DRAWN * n
    gap = torch.arange(n_gaps).repeat_interleave(n_drawn)
    chains = plans.draw(gap, generator=generator)
    sent = chains.sent.exp().reshape(n_gaps, -1)
    chosen = torch.multinomial(sent, n, generator=generator)
    rows = (chosen + n_drawn * torch.arange(n_gaps)[:, None]).flatten()
    times = torch.tensor(snapshots.times, dtype=torch.float64)
    return times, chains.states(snapshots)[:, rows], gap[rows]
