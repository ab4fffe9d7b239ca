r"""The couplings of a law of motion: where cells of one snapshot land among those of the next.

Each cell of a snapshot is simulated to the next a number of times. A path that ends at ``x`` counts
for the observed cells around it, with weights that fall off with their distance ``d_j``,

    exp(-d_j^2 / 2 h^2),  h the distance of the farthest of the k nearest,

and for the mass that it has gathered. The plan that results is sparse, whatever the law.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.sparse import csr_array
from sklearn.neighbors import NearestNeighbors
from tqdm.auto import tqdm

from celltraj._typing import Cells, Earlier, Targets
from celltraj.models._simulate import simulate
from celltraj.models.lineage.lineage import Lineage
from celltraj.models.process import Process
from celltraj.models.solvers import SdeSolver
from celltraj.ot import SparseCoupling
from celltraj.snapshots import Snapshots

_N_STEPS = 20  # a gap of a smooth law; the neighbours blur more than it misses


def land(
    process: Process,
    snapshots: Snapshots,
    *,
    n_paths: int = 10,
    n_neighbors: int = 10,
    solver: SdeSolver | None = None,
    numbers: Sequence[float] = (),
    generator: torch.Generator,
    progress: bool = False,
) -> Lineage:
    """Couple neighbouring snapshots by simulation.

    Parameters
    ----------
    process
        Law of motion; a deterministic one is simulated once from each cell.
    snapshots
        Observed clouds.
    n_paths
        Paths from each cell over each gap.
    n_neighbors
        Observed cells that the end of a path counts for.
    solver
        How the equation is integrated; by default as of :func:`celltraj.models.simulate`, in 20
        steps for each gap.
    numbers
        ``(T,)`` sizes of the population, in any unit.
    generator
        Source of randomness.
    progress
        Whether to show a progress bar over the gaps.

    Examples
    --------
    >>> import torch
    >>> import celltraj as ct
    >>> from celltraj.snapshots import Snapshots
    >>> x = torch.zeros(5, 1)
    >>> lineage = ct.models.land(
    ...     ct.models.Brownian(0.1), Snapshots((0.0, 1.0), (x, x)), generator=torch.Generator()
    ... )
    >>> round(float(lineage.couplings[0].row_mass.sum()), 6)
    1.0
    """
    gaps = tqdm(list(snapshots.pairs()), desc="landing", unit="gap", disable=not progress)
    couplings = []
    for k, m in gaps:
        span = snapshots.times[k], snapshots.times[m]
        n = n_paths if _is_noisy(process, snapshots, k, m) else 1
        start = snapshots.x[k].repeat_interleave(n, 0)
        path = simulate(process, start, span, solver=solver, n_steps=_N_STEPS, generator=generator)
        mass = snapshots.weights[k].repeat_interleave(n) / n
        if path.log_mass is not None:
            mass = mass * path.log_mass[-1].exp()
        couplings.append(_landed(path.x[-1], mass, snapshots.x[m], n, n_neighbors))
    return Lineage(snapshots.times, tuple(couplings), snapshots.weights, tuple(numbers))


def _is_noisy(process: Process, snapshots: Snapshots, k: int, m: int) -> bool:
    """Whether cells move at random at either end of a gap: noise may depend on time and state."""
    ends = ((snapshots.times[i], snapshots.x[i]) for i in (k, m))
    return any(bool(process.diffusion(t, x).any()) for t, x in ends)


def _landed(
    ends: Cells, mass: Earlier, cells: Targets, n_paths: int, n_neighbors: int
) -> SparseCoupling:
    """Return the plan of paths, ``n_paths`` for each earlier cell, among later cells."""
    near, share = neighbour_shares(ends, cells, n_neighbors)
    values = (share * mass[:, None].numpy()).ravel()
    rows = np.repeat(np.arange(len(ends)) // n_paths, near.shape[1])
    shape = len(ends) // n_paths, len(cells)
    plan = csr_array((values, (rows, near.ravel())), shape=shape)
    plan.sum_duplicates()
    return SparseCoupling(csr_array(plan / plan.sum()))


def neighbour_shares(ends: Cells, cells: Targets, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the ``(n, k)`` cells nearest to each end, and their shares, which sum to 1."""
    tree = NearestNeighbors(n_neighbors=min(k, len(cells))).fit(cells.numpy())
    distance, near = tree.kneighbors(ends.numpy())
    farthest = distance[:, -1:]
    width = np.where(farthest > 0, farthest, 1.0)
    weight = np.exp(-0.5 * (distance / width) ** 2)
    return near, weight / weight.sum(1, keepdims=True)
