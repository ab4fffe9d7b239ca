"""The diffusion that couplings and paths take where none is given."""

from __future__ import annotations

import math

import torch

from celltraj.ot import exact_matching
from celltraj.snapshots import Snapshots


def default_sigma(
    snapshots: Snapshots,
    *,
    generator: torch.Generator,
    fraction: float = 0.01,
    max_cells: int = 2000,
) -> float:
    """Return the sigma whose variance is a hundredth of the mean squared displacement rate.

    ``sigma^2 = fraction x mean_k W2(x_k, x_{k+1})^2 / (t_{k+1} - t_k)``, with exact transport on at
    most ``max_cells`` cells a side. One rule for every data set; choose your own by ``sigma=``.

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
    few, rates = snapshots.thinned(max_cells, generator=generator), []
    for (k0, k1), gap in zip(few.pairs(), few.gaps, strict=True):
        x, y = few.x[k0].numpy(), few.x[k1].numpy()
        plan = exact_matching(x, y, few.weights[k0].numpy(), few.weights[k1].numpy())
        i, j = plan.nonzero()
        rates.append(float((plan[i, j] * ((x[i] - y[j]) ** 2).sum(1)).sum()) / gap)
    if sum(rates) <= 0:
        raise ValueError("all snapshots coincide: nothing sets the scale of sigma; pass sigma=")
    return math.sqrt(fraction * sum(rates) / len(rates))
