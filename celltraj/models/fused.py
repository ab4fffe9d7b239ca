"""Couple snapshots by features and by the distances that cells of each have to each other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from celltraj._parallel import mapped
from celltraj.ot import FusedCoupling, FusedGromov, SquaredEuclidean, Within
from celltraj.snapshots import Snapshots


def couple_fused(
    features: Snapshots,
    distances: Callable[[int], Tensor],
    options: FusedGromov,
    *,
    epsilon: float,
    what: tuple[str, str],
    progress: bool,
) -> tuple[FusedCoupling, ...]:
    """Return the fused Gromov-Wasserstein coupling of each gap.

    Parameters
    ----------
    features
        Snapshots of features, with weights and the growth expected of cells.
    distances
        ``distances(k)`` returns those ``(n_k, n_k)`` within snapshot ``k``.
    options
        How gaps are coupled.
    epsilon
        Regularisation in units of the cost of features; 0 for none.
    what
        What the progress bar says, and of what.
    progress
        Whether to show it.

    Raises
    ------
    ValueError
        There are too many cells, or no distance is positive.
    ConvergenceError
        The iterations ran out.
    """
    n_gaps = len(features.gaps)
    for k in range(n_gaps):  # before any distance is computed
        options.check_size(len(features.x[k]), len(features.x[k + 1]))
    task = partial(_coupled, features, distances, options, epsilon)
    tasks = ((k,) for k in range(n_gaps))
    return tuple(mapped(task, tasks, n_tasks=n_gaps, what=what, progress=progress))


def _coupled(
    features: Snapshots,
    distances: Callable[[int], Tensor],
    options: FusedGromov,
    epsilon: float,
    k: int,
) -> FusedCoupling:
    cost = SquaredEuclidean(*features.x[k : k + 2])
    within = Within(distances(k), distances(k + 1))
    a, b = features.expected(k), features.weights[k + 1]
    return options(cost, a, b, within=within, epsilon=epsilon)
