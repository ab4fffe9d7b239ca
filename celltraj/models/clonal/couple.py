"""Couple a gap where clones say how far cells go."""

from __future__ import annotations

from celltraj.models.clonal.drift import ClonalDrift
from celltraj.models.coupling import couple_gap
from celltraj.ot import Coupling, SquaredEuclidean, solve
from celltraj.snapshots import Snapshots


def couple_shifted(
    pair: Snapshots, drift: ClonalDrift | None, strength: float, epsilon: float
) -> Coupling:
    r"""Return the entropic coupling of a gap whose earlier cells are first moved as clones were.

    ``C_ij = |x_i + strength s(x_i) - y_j|^2 / 2``: a prior ``y | x ~ N(x + strength s(x),
    epsilon)``. What all cells are moved by alike changes no plan, so that only differences count.

    Parameters
    ----------
    pair
        Both snapshots.
    drift
        What clones tell; None for nothing.
    strength
        How far they are followed, from 0.
    epsilon
        Regularisation, in [x]^2.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.clonal.couple import couple_shifted
    >>> from celltraj.snapshots import Snapshots
    >>> x = torch.tensor([[0.0], [1.0]])
    >>> couple_shifted(Snapshots((0.0, 1.0), (x, x)), None, 0.0, 0.01).to_dense().round(decimals=3)
    tensor([[0.5000, 0.0000],
            [0.0000, 0.5000]], dtype=torch.float64)
    """
    x, y = (one.double() for one in pair.x)
    start = x if drift is None or strength == 0 else x + strength * drift(x)
    return couple_gap(pair, 0, solve, SquaredEuclidean(start, y), epsilon=epsilon)
