"""Cells of a law of motion at a time between two snapshots."""

from __future__ import annotations

import torch

from celltraj._typing import Cells
from celltraj.models._simulate import simulate
from celltraj.models.process import Process, is_growing
from celltraj.ot.sampling import systematic
from celltraj.snapshots import Snapshots

_N_STEPS = 20  # of a gap, as a landing has
_DRAWN = 4  # trajectories for each cell that is drawn by their mass


def simulated_between(
    process: Process, snapshots: Snapshots, time: float, n: int, *, generator: torch.Generator
) -> Cells:
    """Draw ``n`` cells ``(n, d)`` at ``time``, simulated from the snapshot before.

    Where cells divide and die, trajectories are drawn by the mass that they have gathered. At the
    time of a snapshot its own cells are drawn.

    Parameters
    ----------
    process
        Law of motion.
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

    Examples
    --------
    >>> import torch
    >>> import celltraj as ct
    >>> from celltraj.snapshots import Snapshots
    >>> from celltraj.models.lineage.between import simulated_between
    >>> snapshots = Snapshots((0.0, 1.0), (torch.zeros(5, 1), torch.ones(5, 1)))
    >>> law = ct.models.Brownian(0.1)
    >>> simulated_between(law, snapshots, 0.5, 3, generator=torch.Generator()).shape
    torch.Size([3, 1])
    """
    first, last = snapshots.times[0], snapshots.times[-1]
    if not first <= time <= last:
        raise ValueError(
            f"time {time:g} lies outside the observed [{first:g}, {last:g}]; "
            "ct.tl.simulate goes beyond the last"
        )
    k = sum(t <= time for t in snapshots.times) - 1
    x, weights = snapshots.x[k], snapshots.weights[k]
    if time == snapshots.times[k]:
        return x[systematic(weights, n, generator)]
    n_starts = _DRAWN * n if is_growing(process) else n
    starts = x[systematic(weights, n_starts, generator)]
    span = snapshots.times[k], time
    path = simulate(process, starts, span, n_steps=_N_STEPS, generator=generator)
    if path.log_mass is None:
        return path.x[-1]
    return path.x[-1][systematic(path.log_mass[-1].softmax(0), n, generator)]
