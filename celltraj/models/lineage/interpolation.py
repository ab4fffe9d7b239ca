"""Displacement along couplings: cells between two snapshots without a law of motion."""

from __future__ import annotations

import torch
from torch import Tensor

from celltraj._typing import Cells
from celltraj.models.growth.path_mass import Masses, pairs_of
from celltraj.models.lineage.lineage import Lineage
from celltraj.snapshots import Snapshots


def displaced(
    lineage: Lineage, snapshots: Snapshots, time: float, n: int, *, generator: torch.Generator
) -> Cells:
    """Draw ``n`` cells ``(n, d)`` on straight lines between coupled cells.

    ``x = (1 - s) x_i + s y_j`` with ``s`` the share of the gap that is gone and ``(i, j)`` drawn by
    the mass of the path between them at ``s``, see :mod:`celltraj.models.growth.path_mass`.

    Parameters
    ----------
    lineage
        Couplings of the snapshots.
    snapshots
        Observed clouds.
    time
        Between the first and the last snapshot, in the user's unit.
    n
        Cells to draw.
    generator
        Source of randomness.

    Raises
    ------
    ValueError
        ``time`` lies outside the observed times.

    References
    ----------
    Schiebinger et al. (2019), on interpolation along transport with growth.

    Examples
    --------
    >>> import torch
    >>> from scipy.sparse import csr_array
    >>> from celltraj.snapshots import Snapshots
    >>> from celltraj.models import Lineage
    >>> from celltraj.models.lineage.interpolation import displaced
    >>> from celltraj.ot import SparseCoupling
    >>> one = Snapshots((0.0, 4.0), (torch.zeros(1, 1), torch.ones(1, 1)))
    >>> lineage = Lineage(one.times, (SparseCoupling(csr_array([[1.0]])),), one.weights)
    >>> displaced(lineage, one, 1.0, 2, generator=torch.Generator()).flatten().tolist()
    [0.25, 0.25]
    """
    k, s, i, j = pairs_at(lineage, snapshots, time, n, generator=generator)
    return (1 - s) * snapshots.x[k][i] + s * snapshots.x[k + 1][j]


def pairs_at(
    lineage: Lineage, snapshots: Snapshots, time: float, n: int, *, generator: torch.Generator
) -> tuple[int, float, Tensor, Tensor]:
    """Draw ``n`` pairs of coupled cells, by the mass of the path between them at a time.

    Returns the number of the gap, the share of it that is gone, and the cells ``(n,)`` of either
    snapshot.

    Raises
    ------
    ValueError
        ``time`` lies outside the observed times.
    """
    first, last = snapshots.times[0], snapshots.times[-1]
    if not first <= time <= last:
        raise ValueError(f"time {time:g} lies outside the observed [{first:g}, {last:g}]")
    k = snapshots.gap_of(time)
    s = (time - snapshots.times[k]) / snapshots.gaps[k]
    both = Snapshots(
        snapshots.times[k : k + 2], snapshots.x[k : k + 2], snapshots.weights[k : k + 2]
    )
    one = lineage.couplings[k]
    masses = Masses.of(both, (one,))
    i, j = pairs_of(masses, one, lineage.weights[k], (0, s), n, generator=generator)
    return k, s, i, j
