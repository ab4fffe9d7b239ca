"""The noise of a law that moves all cells alike, from how fast clouds widen."""

from __future__ import annotations

import math

import torch

from celltraj.snapshots import Snapshots


def sigma_of_spread(snapshots: Snapshots) -> float:
    """Return the diffusion under which variances grow as those of the snapshots do, in [x]/sqrt[t].

    Where the drift is the same for all cells, ``Var x_i(t) = Var x_i(t_0) + sigma^2 (t - t_0)``
    whatever the first cloud is: ``sigma^2`` is the common slope of the variances of all variables,
    by least squares in which each counts by its sampling error ``Var sqrt(2 / n)``. No coupling
    enters. 0 where clouds do not widen.

    Parameters
    ----------
    snapshots
        Observed clouds.
    """
    clouds = zip(snapshots.x, snapshots.weights, strict=True)
    spread = torch.stack([_variance(x, w) for x, w in clouds])  # (T, d)
    n = torch.tensor([1 / float(w.square().sum()) for w in snapshots.weights]).double()
    times = torch.tensor(snapshots.times, dtype=torch.float64)
    fitted = spread.clamp(min=torch.finfo(torch.float64).tiny)
    slope = 0.0
    for _ in range(3):  # the errors belong to the variances that are fitted, not to those observed
        weights = n[:, None] / fitted.square()
        share = weights / weights.sum(0)
        t = times[:, None] - share.T @ times
        slope = float((weights * t * spread).sum() / (weights * t.square()).sum())
        line = (share * spread).sum(0) + slope * t
        fitted = torch.maximum(line, spread.mean(0) / 1e3).clamp(min=torch.finfo(line.dtype).tiny)
    return math.sqrt(max(slope, 0.0))


def _variance(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    centred = x - weights @ x
    unbiased: torch.Tensor = weights @ centred.square() / (1 - weights.square().sum())
    return unbiased
