"""What a law of motion says of a snapshot that it was not fitted to."""

from __future__ import annotations

import numpy as np
import torch

from celltraj.models._simulate import simulate
from celltraj.models.process import Process
from celltraj.snapshots import Snapshots


def predict(
    process: Process, train: Snapshots, time: float, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Push each cell of the last training snapshot before ``time`` to that time once.

    Parameters
    ----------
    process
        Law of motion.
    train
        Observed clouds, without the one at ``time``.
    time
        Held-out time, in the unit of ``train.times``.
    seed
        Seed of the simulated noise.

    Returns
    -------
    The predicted cells ``(n, d)``, and their weights ``(n,)``, which sum to one: those of the
    cells that they started from, times the mass gathered on the way where the process has growth.

    Examples
    --------
    >>> import torch
    >>> import celltraj as ct
    >>> from celltraj.snapshots import Snapshots
    >>> from celltraj.models._predict import predict
    >>> train = Snapshots((0.0, 2.0), (torch.zeros(5, 3), torch.ones(5, 3)))
    >>> cells, weights = predict(ct.models.Brownian(0.1), train, 1.0, seed=0)
    >>> cells.shape, weights.shape
    ((5, 3), (5,))
    """
    k = train.gap_of(time)
    path = simulate(
        process, train.x[k], (train.times[k], time), generator=torch.Generator().manual_seed(seed)
    )
    weights = train.weights[k]
    if path.log_mass is not None:
        weights = torch.softmax(weights.log() + path.log_mass[-1], 0)
    return path.x[-1].numpy(), weights.numpy()
