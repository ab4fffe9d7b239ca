r"""How much growth a course can carry before its mass lies on few trajectories.

Follow the plans of all gaps from cell to cell, and a chain carries the mass ``M = prod_k r_k`` of
the cells it passes. Where rates differ by much for long, the end of the course stands on the few
chains that gathered nearly all of it: of ``n`` trajectories only ``e n`` count,

    e = (E M)^2 / E M^2,

and a simulation of such a law says little of anything. The plans tell ``e`` before any model is
trained: a chain is Markov, so that both moments follow from one pass backwards over the plans.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from celltraj.models.coupling import couple
from celltraj.models.references.family import Reference
from celltraj.ot import Solver, Transport
from celltraj.snapshots import Snapshots

_HALVINGS = 8  # of the share of growth that is looked for


def within_budget(
    start: Snapshots, grown: Snapshots, reference: Reference, solver: Solver, *, least: float
) -> float:
    """Return the largest share of a growth under which enough of the trajectories stay effective.

    Parameters
    ----------
    start, grown
        The same clouds, with the growth that was expected before and with all that was learned.
    reference
        Law of motion, sets cost and epsilon of every gap.
    solver
        Solver whose plans hold both marginals.
    least
        Least share of effective trajectories, from the first to the last snapshot.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import Brownian
    >>> from celltraj.models.growth.budget import within_budget
    >>> from celltraj.ot import solve
    >>> from celltraj.snapshots import Snapshots
    >>> x = torch.tensor([[0.0], [9.0]])
    >>> start = Snapshots((0.0, 1.0), (x, x))
    >>> fast = torch.tensor([4.0, 0.0])  # nearly all mass ends in one of the two cells
    >>> grown = Snapshots((0.0, 1.0), (x, x), growth=(fast, fast))
    >>> share = within_budget(start, grown, Brownian(1.0), solve, least=0.8)
    >>> bool(0.2 < share < 0.3)  # r = (1.46, .54) has (r_1 + r_2)^2 / 2 (r_1^2 + r_2^2) = .82
    True
    """
    plans = [couple(grown, reference, k, solver)[1] for k, _ in grown.pairs()]
    if effective_share(grown, plans) >= least:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        is_enough = effective_share(blended(start, grown, middle), plans) >= least
        low, high = (middle, high) if is_enough else (low, middle)
    return low


def blended(start: Snapshots, grown: Snapshots, share: float) -> Snapshots:
    """Return the snapshots with a share of the growth that was learned on top of the first."""
    first = start.growth or tuple(torch.zeros(len(x)) for x in start.x)
    pairs = zip(first, grown.growth, strict=True)
    return start.grown_by([share * (all_ - one) for one, all_ in pairs])


def effective_share(snapshots: Snapshots, plans: Sequence[Transport]) -> float:
    """Return ``(E M)^2 / E M^2`` of the mass along chains, as the snapshots expect growth.

    Parameters
    ----------
    snapshots
        Observed clouds, with the growth that is expected.
    plans
        One plan per gap; where they lead counts, and not what their rows weigh.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.growth.budget import effective_share
    >>> from celltraj.ot import SquaredEuclidean, solve
    >>> from celltraj.snapshots import Snapshots
    >>> x = torch.zeros(3, 1)
    >>> a = torch.full((3,), 1 / 3)
    >>> plan = solve(SquaredEuclidean(x, x), a, a, epsilon=1.0)
    >>> effective_share(Snapshots((0.0, 1.0), (x, x)), [plan])
    1.0
    """
    moments = torch.ones(len(snapshots.x[-1]), 2, dtype=torch.float64)
    for k in reversed(range(len(plans))):
        ratio = _ratio(snapshots.expected(k), snapshots.weights[k])
        moments = _mean_of(plans[k], moments) * torch.stack([ratio, ratio.square()], 1)
    first, second = snapshots.weights[0] @ moments
    return float(first.square() / second)


def _ratio(expected: Tensor, weights: Tensor) -> Tensor:
    return torch.where(weights > 0, expected / weights, torch.zeros_like(weights))


def _mean_of(plan: Transport, values: Tensor) -> Tensor:
    """Return the mean ``(n, k)`` of later ``values (m, k)`` over what each earlier cell sends."""
    row = plan.row_mass[:, None]
    return torch.where(row > 0, plan.pull(values) / row, torch.zeros_like(row))
