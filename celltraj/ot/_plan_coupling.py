"""Couplings whose plans have few entries, and that know which marginals were asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from celltraj._card import card
from celltraj._typing import Earlier, Later
from celltraj.ot._card_facts import plan_facts
from celltraj.ot._cost import Cost
from celltraj.ot._sparse_coupling import SparseCoupling

_MET = 1e-6  # of the mass, up to which marginals are said to be met


@card(plan_facts)
@dataclass(frozen=True)
class PlanCoupling(SparseCoupling):
    """Sparse transport plan with the cost and the marginals that it was computed for.

    Parameters
    ----------
    plan
        ``(n, m)`` sparse plan.
    cost
        ``(n, m)`` ground cost.
    a, b
        ``(n,)`` and ``(m,)`` marginals that were asked for.

    Examples
    --------
    >>> import torch
    >>> from scipy.sparse import csr_array
    >>> from celltraj.ot import PlanCoupling, SquaredEuclidean
    >>> x, half = torch.tensor([[0.0], [9.0]]).double(), torch.tensor([0.5, 0.5]).double()
    >>> stay = csr_array([[0.5, 0.0], [0.0, 0.5]])
    >>> PlanCoupling(stay, SquaredEuclidean(x, x), half, half).pull(x) / half[:, None]
    tensor([[0.],
            [9.]], dtype=torch.float64)
    """

    cost: Cost
    a: Earlier
    b: Later

    @cached_property
    def marginal_error(self) -> float:
        """Return the L1 distance of both marginals of the plan from those asked for."""
        sides = ((self.plan.sum(1), self.a), (self.plan.sum(0), self.b))
        return float(sum(np.abs(found - wanted.numpy()).sum() for found, wanted in sides))

    @property
    def converged(self) -> bool:
        """Return whether the marginals are met to a millionth of the mass."""
        return self.marginal_error <= _MET * float(self.a.sum())


@card(plan_facts)
@dataclass(frozen=True)
class ExactCoupling(PlanCoupling):
    """Optimal transport plan without entropy; it has at most ``n + m - 1`` entries.

    Parameters
    ----------
    plan
        ``(n, m)`` sparse plan.
    cost
        ``(n, m)`` ground cost.
    a, b
        ``(n,)`` and ``(m,)`` marginals that were asked for.
    f, g
        ``(n,)`` and ``(m,)`` dual potentials: ``f_i + g_j <= C_ij``, equal where mass moves.

    Examples
    --------
    >>> import torch
    >>> from celltraj.ot import Exact, SquaredEuclidean
    >>> x, half = torch.tensor([[0.0], [9.0]]).double(), torch.tensor([0.5, 0.5]).double()
    >>> Exact()(SquaredEuclidean(x, x + 1), half, half).value()
    0.5
    """

    f: Earlier
    g: Later

    def value(self) -> float:
        """Return ``<C, P>``, in units of the cost."""
        return float(self.f @ self.a + self.g @ self.b)

    def report(self) -> dict[str, object]:
        """Return what was reached, one row of a table; without entropy epsilon is 0."""
        return super().report() | {"epsilon": 0.0}
