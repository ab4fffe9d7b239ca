"""Weigh measured velocities against snapshots, by snapshots that are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from celltraj._errors import ConvergenceError
from celltraj.metrics import wasserstein
from celltraj.models.bridge.fit import fit_bridge
from celltraj.models.course import Course, default_paths, plans_of
from celltraj.models.interpolants import Curves, ReferenceInterpolant, SplineInterpolant
from celltraj.models.interpolants.paths import as_paths
from celltraj.models.references import Brownian, KernelReference, VelocityReference
from celltraj.models.references.family import Paths, Reference, with_sigma
from celltraj.ot import Solver
from celltraj.snapshots import Snapshots

STRENGTHS = (0.25, 0.5, 0.75, 1.0)
# of the distance without velocities, above which they are not taken: less is within what a few
# snapshots tell by chance, and velocities that were half right there did harm elsewhere
_BETTER = 0.85
_MOST_CELLS = 300  # of a snapshot, on which strengths are compared
_ROUNDS = 3  # alternations of paths and law


@dataclass(frozen=True)
class Weighed:
    """Hold what snapshots that were left out say of velocities.

    Parameters
    ----------
    strength
        Say of the velocities, in [0, 1].
    without, found
        Mean W1 to the snapshots left out, without velocities and with the best strength above 0,
        in [x].
    n_left_out
        Snapshots that were left out.
    """

    strength: float
    without: float
    found: float
    n_left_out: int

    @property
    def in_words(self) -> str:
        """Return what was found."""
        return (
            f"velocities have strength {self.strength:g}: mean W1 to {self.n_left_out} snapshots "
            f"left out is {self.without:.3g} without them, {self.found:.3g} with them at their best"
        )


def law_of_velocity(
    snapshots: Snapshots,
    reference: VelocityReference,
    *,
    coupling: Solver,
    generator: torch.Generator,
) -> KernelReference:
    """Return the smooth law that chains of cells and velocities agree on.

    Parameters
    ----------
    snapshots
        Observed clouds, with the growth that is expected.
    reference
        Velocities with their strength and sigma.
    coupling
        Coupling solver.
    generator
        Source of randomness.
    """
    chains = _Chains.of(snapshots, reference, coupling, generator)
    return chains.law_with(reference)


def weigh_velocity(
    snapshots: Snapshots,
    reference: VelocityReference,
    *,
    coupling: Solver,
    seed: int,
    progress: bool = True,
) -> Weighed:
    """Find the strength of velocities that foretells snapshots that are left out best.

    Each inner snapshot is left out in turn; a bridge over the gap that this leaves, on the law of
    each strength, is compared with it by W1, as is one without velocities. A strength is taken
    where it is better by 15 % in the mean, and better at the median of the snapshots.

    Parameters
    ----------
    snapshots
        Observed clouds.
    reference
        Velocities, with a sigma.
    coupling
        Coupling solver.
    seed
        Seed of everything random, the same for all strengths.
    progress
        Whether to show a bar over the snapshots.

    Raises
    ------
    ValueError
        There are only two snapshots, none of which can be left out.
    """
    if len(snapshots.times) < 3:
        raise ValueError(
            "two snapshots: none can be left out to weigh velocities against them; pass strength= "
            "to ct.models.VelocityReference, 1 to take them as they are"
        )
    few = snapshots.at_most(_MOST_CELLS, seed=seed)
    inner = tqdm(few.times[1:-1], desc="weighing velocities", disable=not progress)
    errors = np.array([errors_left_out(few, time, reference, coupling, seed) for time in inner])
    means = errors.mean(0)
    best = 1 + int(means[1:].argmin())
    is_better = means[best] < _BETTER * means[0]
    is_usual = float(np.median(errors[:, best] - errors[:, 0])) < 0
    strength = STRENGTHS[best - 1] if is_better and is_usual else 0.0
    return Weighed(strength, float(means[0]), float(means[best]), len(errors))


@dataclass(frozen=True)
class _Chains(ReferenceInterpolant):
    """Fit one smooth law to chains of cells, and keep the paths that it gives them.

    Its reference is the family before the fit, and the law of the snapshots alone after it.
    """

    paths: tuple[Paths, ...] = ()

    @classmethod
    def of(
        cls,
        snapshots: Snapshots,
        reference: VelocityReference,
        coupling: Solver,
        generator: torch.Generator,
    ) -> _Chains:
        """Return them fitted along the couplings of the snapshots."""
        sigma, start = reference.sigma or 0.0, cls(reference.law)
        plans = plans_of(snapshots, sigma, coupling)
        course = Course.along(snapshots, plans, start, sigma=sigma, generator=generator)
        return cast("_Chains", course.interpolant)

    def fit(self, times: Tensor, chain: Tensor, gap: Tensor, *, sigma: float) -> _Chains:
        """Return the law of the chains: first of curves through them, then of its own paths."""
        curves: Curves = SplineInterpolant().curves(times, chain, gap)
        generator = torch.Generator().manual_seed(0)
        law, paths = with_sigma(self.law, sigma), as_paths(curves, times, gap)
        for _ in range(_ROUNDS):
            law = law.fit(paths, generator=generator)
            along = ReferenceInterpolant(law, rounds=0, sigma=sigma)
            paths = as_paths(along.curves(times, chain, gap), times, gap)
        return replace(self, reference=law, sigma=sigma, paths=tuple(paths))

    def law_with(self, reference: VelocityReference) -> KernelReference:
        """Return the law that the paths and the velocities agree on."""
        fitted = reference.fit(self.paths, generator=torch.Generator().manual_seed(0))
        return replace(fitted.law, sigma=reference.sigma)


def errors_left_out(
    snapshots: Snapshots,
    time: float,
    reference: VelocityReference,
    coupling: Solver,
    seed: int,
) -> list[float]:
    """Return W1 to the snapshot at ``time`` without velocities, and with each strength.

    Parameters
    ----------
    snapshots
        Observed clouds, that at ``time`` among them.
    time
        An inner time, whose snapshot nothing but the distance sees.
    reference
        Velocities, with a sigma.
    coupling
        Coupling solver.
    seed
        Seed of everything random.
    """
    train = snapshots.without([time])
    chains = _Chains.of(train, reference, coupling, torch.Generator().manual_seed(seed))
    truth = snapshots.x[snapshots.times.index(time)].numpy()
    is_learned = isinstance(default_paths(train), ReferenceInterpolant)
    alone: Reference = chains.law if is_learned else Brownian()
    laws: Sequence[Reference] = [
        with_sigma(alone, reference.sigma or 0.0),
        *(chains.law_with(replace(reference, strength=strength)) for strength in STRENGTHS),
    ]
    return [_error(train.pair(train.gap_of(time)), time, truth, law, coupling) for law in laws]


def _error(
    pair: Snapshots, time: float, truth: np.ndarray, law: Reference, coupling: Solver
) -> float:
    generator = torch.Generator().manual_seed(0)
    try:
        bridge = fit_bridge(
            pair, law, coupling=coupling, training=None, generator=generator, progress=False
        )
    except (ConvergenceError, ValueError, torch.linalg.LinAlgError):
        return float("inf")  # a law that leads from no cell to another foretells none
    drawn = bridge.sample(time, len(truth), generator=generator)
    return wasserstein(drawn.numpy(), truth)
