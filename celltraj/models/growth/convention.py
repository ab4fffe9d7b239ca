"""One convention of growth for bridges, flows and couplings."""

from __future__ import annotations

from typing import Literal

from celltraj.models.growth.learned import LearnedGrowth, learned
from celltraj.models.references import Brownian
from celltraj.ot import Solver
from celltraj.ot.solver import is_unbalanced
from celltraj.snapshots import Snapshots

_LEAST = 0.55  # of the trajectories: half of those of a trained model then stay effective
GrowthModel = Literal["auto"] | LearnedGrowth | None


def with_growth(
    snapshots: Snapshots,
    growth: GrowthModel,
    *,
    sigma: float,
    coupling: Solver,
    progress: bool = False,
) -> tuple[Snapshots, str | None]:
    """Return the snapshots with the growth that their couplings are to expect, and what it is.

    Parameters
    ----------
    snapshots
        Observed clouds, with the growth that a user expects, if any.
    growth
        ``"auto"`` learns a rate where nothing else says how cells grow, no expectation of the
        user's and no plans that may miss their marginals, and takes as much of it as leaves half of
        the trajectories effective, but not from one gap, which no other one confirms;
        :class:`LearnedGrowth` learns it in any case, on top of what is expected; None takes the
        snapshots as they are.
    sigma
        Noise of the couplings that it is learned from, in [x]/sqrt([t]).
    coupling
        Solver of the couplings that will hold to it.
    progress
        Whether to show a progress bar over the rounds.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.growth.convention import with_growth
    >>> from celltraj.ot import Unbalanced
    >>> from celltraj.snapshots import Snapshots
    >>> x = torch.zeros(5, 1)
    >>> still = Snapshots((0.0, 1.0), (x, x))
    >>> with_growth(still, "auto", sigma=1.0, coupling=Unbalanced())[1] is None
    True
    """
    if growth == "auto":
        if snapshots.growth or is_unbalanced(coupling):
            return snapshots, None
        if len(snapshots.gaps) == 1:
            return snapshots, "none: there is no other gap to foretell growth"
        growth = LearnedGrowth(least_effective=_LEAST)
    if growth is None:
        return snapshots, None
    return learned(snapshots, Brownian(sigma), growth, progress=progress)
