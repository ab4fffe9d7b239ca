"""How large a law of motion says that the population becomes."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from celltraj.models._simulate import simulate
from celltraj.models.process import Process, is_growing
from celltraj.ot.sampling import systematic
from celltraj.snapshots import Snapshots

_PATHS = 2000  # trajectories that predicted sizes are a mean over
_N_STEPS = 20


def predicted_sizes(
    process: Process,
    snapshots: Snapshots,
    *,
    generator: torch.Generator,
    progress: bool = False,
) -> tuple[float, ...]:
    """Return the mean mass ``(T,)`` of trajectories from the first snapshot, 1 at its time.

    Parameters
    ----------
    process
        Law of motion; one without growth keeps the size, and is not simulated.
    snapshots
        Observed clouds: where trajectories start, and the times to tell.
    generator
        Source of randomness.
    progress
        Whether to show a progress bar.

    Examples
    --------
    >>> import torch
    >>> import celltraj as ct
    >>> from celltraj.snapshots import Snapshots
    >>> from celltraj.models.growth.predicted_sizes import predicted_sizes
    >>> snapshots = Snapshots((0.0, 1.0), (torch.zeros(5, 1), torch.zeros(5, 1)))
    >>> predicted_sizes(ct.models.Brownian(0.1), snapshots, generator=torch.Generator())
    (1.0, 1.0)
    """
    if not is_growing(process):
        return (1.0,) * len(snapshots.times)
    start = snapshots.x[0][systematic(snapshots.weights[0], _PATHS, generator)]
    path = simulate(
        process, start, snapshots.times, n_steps=_N_STEPS, generator=generator, progress=progress
    )
    return tuple(cast("Tensor", path.log_mass).exp().mean(1).tolist())
