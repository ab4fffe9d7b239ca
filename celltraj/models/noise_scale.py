"""The diffusion that couplings and paths take where none is given."""

from __future__ import annotations

import math
from statistics import fmean

import torch

from celltraj.ot import exact_matching
from celltraj.snapshots import Snapshots

FRACTION = 0.01  # of the squared displacement that is noise
_MOST = 10.0  # times the median rate, what a gap counts by


def default_sigma(
    snapshots: Snapshots,
    *,
    generator: torch.Generator,
    fraction: float = FRACTION,
    max_cells: int = 2000,
) -> float:
    """Return the sigma whose variance is a hundredth of the mean squared displacement rate.

    ``sigma^2 = fraction x mean_k W2(x_k, x_{k+1})^2 / (t_{k+1} - t_k)``, with exact transport on at
    most ``max_cells`` cells a side, and no gap counted by more than ten times the median. One rule
    for every data set; choose your own by ``sigma=``.

    Parameters
    ----------
    snapshots
        Observed clouds.
    generator
        Chooses the cells where a cloud is larger than ``max_cells``.
    fraction
        Share of the squared displacement that is noise.
    max_cells
        Cells per snapshot that enter the exact transport.

    Raises
    ------
    ValueError
        All snapshots coincide, so that no scale can be read from them.

    Examples
    --------
    >>> import torch
    >>> from celltraj.snapshots import Snapshots
    >>> from celltraj.models import default_sigma
    >>> x = torch.zeros(5, 1)
    >>> moved_by_two = Snapshots((0.0, 1.0), (x, x + 2))
    >>> default_sigma(moved_by_two, generator=torch.Generator())  # sqrt(.01 x 2^2 / 1)
    0.2
    """
    speed = squared_speed(snapshots, generator=generator, max_cells=max_cells)
    if speed == 0:
        raise ValueError("all snapshots coincide: nothing sets the scale of sigma; pass sigma=")
    return math.sqrt(fraction * speed)


def squared_speed(
    snapshots: Snapshots, *, generator: torch.Generator, max_cells: int = 2000
) -> float:
    """Return the mean squared displacement per unit of time; 0 where all snapshots coincide.

    A gap counts by at most ten times what is usual: one that is short by mistake or by design, a
    second among days, is all scatter and would make noise of the others.
    """
    few, rates = snapshots.thinned(max_cells, generator=generator), []
    for (k0, k1), gap in zip(few.pairs(), few.gaps, strict=True):
        x, y = few.x[k0].numpy(), few.x[k1].numpy()
        plan = exact_matching(x, y, few.weights[k0].numpy(), few.weights[k1].numpy())
        i, j = plan.nonzero()
        rates.append(float((plan[i, j] * ((x[i] - y[j]) ** 2).sum(1)).sum()) / gap)
    moving = sorted(rate for rate in rates if rate > 0)
    if not moving:
        return 0.0
    most = _MOST * moving[(len(moving) - 1) // 2]
    return fmean(min(rate, most) for rate in rates)
