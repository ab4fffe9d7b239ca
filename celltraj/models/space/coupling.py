"""Couple slices, by registration or by the distances within them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._parallel import mapped
from celltraj.models.coupling import couple_gap, coupled_gaps
from celltraj.models.fused import couple_fused
from celltraj.models.space.slices import Slices
from celltraj.ot import (
    Coupling,
    FusedGromov,
    Registration,
    Similarity,
    SquaredEuclidean,
    Transport,
    Unbalanced,
)
from celltraj.ot.solver import EntropicSolver
from celltraj.snapshots import Snapshots

T = TypeVar("T")
_EPSILON = 0.02  # of the mean cost: cells of a tissue mix less than those of a culture


@card()
@dataclass(frozen=True)
class CoupledSlices:
    """Hold the couplings of slices, and how they lie upon each other.

    Parameters
    ----------
    couplings
        One for each gap.
    similarities
        What takes each slice onto the next.
    registered
        Places ``(n_k, k)`` of all slices in the frame of the last.
    joint
        Snapshots of weighted features and registered places.
    """

    couplings: tuple[Transport, ...]
    similarities: tuple[Similarity, ...]
    registered: tuple[Tensor, ...]
    joint: Snapshots

    @classmethod
    def of(
        cls,
        slices: Slices,
        couplings: Sequence[Transport],
        similarities: Sequence[Similarity],
        alpha: float,
    ) -> CoupledSlices:
        """Return couplings with the places that similarities lead to."""
        registered = slices.registered(similarities)
        joint = slices.joint(registered, alpha)
        return cls(tuple(couplings), tuple(similarities), registered, joint)


def couple_registered(
    slices: Slices, options: Registration, *, epsilon: float | None, progress: bool
) -> CoupledSlices:
    """Return couplings of slices that are registered first, linear in the cells.

    Parameters
    ----------
    slices
        Cells with features and places.
    options
        How slices are registered; its marginals are those of the couplings.
    epsilon
        Regularisation in units of the cost of features; a fiftieth of the mean cost of each gap
        where it is None.
    progress
        Whether to show progress bars.

    Raises
    ------
    ValueError
        All cells of a slice lie at one point.
    ConvergenceError
        ``epsilon`` is too small for the solver.
    """
    task = partial(slices.register, options=options)
    similarities = _of_gaps(task, slices, progress=progress)
    joint = slices.joint(slices.registered(similarities), options.alpha)
    solver = Unbalanced(*options.tau)
    couple = partial(_couple, epsilon=epsilon, solver=solver)
    couplings = tuple(coupled_gaps(couple, joint, progress=progress))
    return CoupledSlices.of(slices, couplings, similarities, options.alpha)


def couple_by_distances(
    slices: Slices, options: FusedGromov, *, epsilon: float | None, progress: bool
) -> CoupledSlices:
    """Return couplings by fused Gromov-Wasserstein transport, and the similarities they tell.

    Raises
    ------
    ValueError
        There are too many cells, or all of a slice lie at one point.
    ConvergenceError
        The iterations ran out.
    """
    couplings = couple_fused(
        slices.features,
        partial(_apart, slices),
        options,
        epsilon=epsilon or 0.0,
        what=("slices", "gap"),
        progress=progress,
    )
    similarities = [slices.of_plan(k, one) for k, one in enumerate(couplings)]
    return CoupledSlices.of(slices, couplings, similarities, options.alpha)


def _of_gaps(task: Callable[[int], T], slices: Slices, *, progress: bool) -> tuple[T, ...]:
    n_gaps = len(slices.features.gaps)
    tasks = ((k,) for k in range(n_gaps))
    return tuple(mapped(task, tasks, n_tasks=n_gaps, what=("slices", "gap"), progress=progress))


def _couple(pair: Snapshots, *, epsilon: float | None, solver: EntropicSolver) -> Coupling:
    cost = SquaredEuclidean(*pair.x)
    epsilon = _EPSILON * cost.mean() if epsilon is None else epsilon
    return couple_gap(pair, 0, solver, cost, epsilon=epsilon)


def _apart(slices: Slices, k: int) -> Tensor:
    """Return the distances between the places of slice ``k``."""
    places = slices.places[k]
    return torch.cdist(places, places, compute_mode="donot_use_mm_for_euclid_dist")
