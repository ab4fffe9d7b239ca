"""A coupling given by the entries of its plan."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from scipy.sparse import csr_array
from torch import Tensor

from celltraj._arrays import ArrayLike, as_rows, takes_arrays
from celltraj._card import card
from celltraj._typing import Earlier, Later, Plan
from celltraj.ot._card_facts import plan_facts
from celltraj.ot._sparsify import drop_smallest
from celltraj.ot.sampling import draw_partners, systematic

_ROWS = 1000


@card(plan_facts)
@dataclass(frozen=True)
class SparseCoupling:
    """Sparse transport plan, of which most entries are zero; nothing is known of its cost.

    Parameters
    ----------
    plan
        ``(n, m)`` sparse plan, rows are the earlier cells; not negative.

    Raises
    ------
    ValueError
        An entry is negative or not finite, or all are zero.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from celltraj.ot import SparseCoupling
    >>> SparseCoupling(csr_array([[0.5, 0.0], [0.25, 0.25]])).column_mass
    tensor([0.7500, 0.2500], dtype=torch.float64)
    """

    plan: csr_array

    def __post_init__(self) -> None:
        total = float(self.plan.sum())
        if not 0 < total < float("inf") or self.plan.data.min() < 0:
            raise ValueError(
                "a plan needs finite entries that are not negative and not all zero; found a sum "
                f"of {total:g} and a least entry of {self.plan.data.min(initial=0):g}"
            )

    @cached_property
    def row_mass(self) -> Earlier:
        """Return the ``(n,)`` row sums of the plan."""
        return torch.from_numpy(self.plan.sum(1)).double()

    @cached_property
    def column_mass(self) -> Later:
        """Return the ``(m,)`` column sums of the plan."""
        return torch.from_numpy(self.plan.sum(0)).double()

    @property
    def marginal_error(self) -> float:
        """Return NaN: which marginals were asked for is not known."""
        return math.nan

    @property
    def converged(self) -> bool:
        """Return True: a plan that is given as it is was not solved for."""
        return True

    def report(self) -> dict[str, object]:
        """Return what was reached, one row of a table; NaN for what is not known."""
        return {
            "epsilon": math.nan,
            "marginal_error": self.marginal_error,
            "converged": self.converged,
            "n_iters": 0,
            "mass": float(self.plan.sum()),
        }

    def push(self, v: ArrayLike) -> Tensor:
        """Return ``P' v`` for ``v`` of shape ``(n,)`` or ``(n, k)``."""
        v = as_rows(v, self.plan.shape[0], "v")
        return torch.from_numpy(self.plan.T @ v.numpy())

    def pull(self, v: ArrayLike) -> Tensor:
        """Return ``P v`` for ``v`` of shape ``(m,)`` or ``(m, k)``."""
        v = as_rows(v, self.plan.shape[1], "v")
        return torch.from_numpy(self.plan @ v.numpy())

    def entropy(self) -> Earlier:
        """Return the ``(n,)`` entropy of where each earlier cell goes, in nats; NaN for nowhere."""
        mass = self.plan.copy()
        positive = mass.data > 0
        mass.data[positive] *= -torch.from_numpy(mass.data[positive]).log().numpy()
        total = self.row_mass
        return torch.from_numpy(mass.sum(1)) / total + total.log()

    @takes_arrays
    def sample(
        self, n: int, *, generator: torch.Generator, rows: Earlier | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` index pairs ``(i, j)`` from the plan, each of shape ``(n,)``.

        ``rows (n,)`` are the shares in which earlier cells are drawn, by default those of the plan.
        """
        i = systematic(self.row_mass if rows is None else rows, n, generator)
        uniform = torch.rand(n, dtype=torch.float64, generator=generator).numpy()
        j = torch.from_numpy(draw_partners(self.plan, i.numpy(), uniform)).long()
        order = torch.randperm(n, generator=generator)
        return i[order], j[order]

    def to_dense(self) -> Plan:
        """Return the full ``(n, m)`` plan."""
        return torch.from_numpy(self.plan.toarray())

    def to_sparse(self, *, mass: float = 0.0) -> csr_array:
        """Return the plan as a ``(n, m)`` CSR array, without its smallest entries.

        ``mass`` is the share of each row's mass that may be dropped, in [0, 1).
        """
        return drop_smallest(self.plan, mass) if mass else self.plan

    def sparse_rows(self, *, mass: float = 0.0) -> Iterator[tuple[int, csr_array]]:
        """Yield rows of :meth:`to_sparse` in blocks, each with the number of its first row."""
        for start in range(0, self.plan.shape[0], _ROWS):
            rows = csr_array(self.plan[start : start + _ROWS])
            yield start, drop_smallest(rows, mass) if mass else rows
