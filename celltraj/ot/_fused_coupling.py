"""The plan of fused Gromov-Wasserstein transport, with what it reached from where."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from celltraj._card import card
from celltraj.ot._card_facts import plan_facts
from celltraj.ot._plan_coupling import PlanCoupling


@card(plan_facts)
@dataclass(frozen=True)
class FusedCoupling(PlanCoupling):
    """Fused Gromov-Wasserstein plan: the best of those reached from several starts.

    Parameters
    ----------
    plan
        ``(n, m)`` sparse plan.
    cost
        ``(n, m)`` cost of features.
    a, b
        ``(n,)`` and ``(m,)`` marginals that were asked for.
    objective
        What the plan costs, in units of the cost of features.
    objectives
        The same by start; those of a nonconvex problem may differ.
    epsilon
        Regularisation, in units of the cost; 0 without.
    is_stationary
        Whether the plan stopped changing before the iterations ran out.

    Examples
    --------
    >>> import torch
    >>> from celltraj.ot import FusedGromov, SquaredEuclidean, Within
    >>> x = torch.tensor([[0.0], [1.0], [3.0]]).double()
    >>> even = torch.full((3,), 1 / 3).double()
    >>> cost, within = SquaredEuclidean(x, x), Within.of_coordinates(x, x)
    >>> found = FusedGromov()(cost, even, even, within=within)
    >>> sorted(found.objectives)
    ['features', 'product', 'profiles']
    """

    objective: float
    objectives: Mapping[str, float]
    epsilon: float
    is_stationary: bool

    @property
    def start(self) -> str:
        """Return the start that the plan was reached from."""
        return min(self.objectives, key=lambda name: self.objectives[name])

    @property
    def converged(self) -> bool:
        """Return whether the plan stopped changing and its marginals are met."""
        return self.is_stationary and super().converged

    def report(self) -> dict[str, object]:
        """Return what was reached, one row of a table."""
        spread = max(self.objectives.values()) - self.objective
        return super().report() | {
            "epsilon": self.epsilon,
            "objective": self.objective,
            "start": self.start,
            "worst_start": self.objective + (spread if math.isfinite(spread) else 0.0),
        }
