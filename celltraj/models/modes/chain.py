r"""The joint plan of two times as the product of the plans of the gaps between them.

``P = diag(w) T_1 ... T_K``, with ``T_ij = P_ij / w_i`` the descendants of a cell over a gap and
``w`` the weights of the first cells, scaled gap by gap to mass 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj.models.lineage.lineage import Lineage
from celltraj.ot import Transport


@dataclass(frozen=True, eq=False)
class Chain:
    """Hold the plans of some gaps that follow each other.

    Parameters
    ----------
    plans
        ``G`` plans.
    per_cell
        ``G`` tensors ``(n_k,)``: one over the weight of each earlier cell, and over what the mass
        of the gap grows by; 0 for a cell without weight.
    reached
        ``G + 1`` tensors ``(n_k,)``: the mass, of sum 1, that reaches each cell.

    Examples
    --------
    >>> import torch
    >>> from scipy.sparse import csr_array
    >>> from celltraj.models import Lineage
    >>> from celltraj.models.modes.chain import Chain
    >>> from celltraj.ot import SparseCoupling
    >>> plan = SparseCoupling(csr_array([[0.5, 0.0], [0.25, 0.25]]))
    >>> half = torch.tensor([0.5, 0.5]).double()
    >>> lineage = Lineage((0.0, 1.0, 2.0), (plan, plan), (half, half, half))
    >>> Chain.of(lineage, 0, 2).product(torch.eye(2).double())
    tensor([[0.5000, 0.0000],
            [0.3750, 0.1250]], dtype=torch.float64)
    """

    plans: tuple[Transport, ...]
    per_cell: tuple[Tensor, ...]
    reached: tuple[Tensor, ...]

    @classmethod
    def of(cls, lineage: Lineage, first: int, last: int) -> Chain:
        """Return the chain from snapshot ``first`` to ``last`` of a lineage."""
        mass = lineage.weights[first].double()
        reached, per_cell = [mass / mass.sum()], []
        for k in range(first, last):
            weights = lineage.weights[k].double()
            inverse = torch.where(weights > 0, 1 / weights, 0.0)
            moved = lineage.couplings[k].push(reached[-1] * inverse)
            grown = moved.sum()
            per_cell.append(inverse / grown)
            reached.append(moved / grown)
        return cls(lineage.couplings[first:last], tuple(per_cell), tuple(reached))

    def product(self, v: Tensor) -> Tensor:
        """Return ``P v``, ``(n, c)``, of ``v (m, c)``."""
        for plan, per_cell in zip(self.plans[::-1], self.per_cell[::-1], strict=True):
            v = plan.pull(v) * per_cell[:, None]
        return v * self.reached[0][:, None]

    def adjoint(self, u: Tensor) -> Tensor:
        """Return ``P' u``, ``(m, c)``, of ``u (n, c)``."""
        u = u * self.reached[0][:, None]
        for plan, per_cell in zip(self.plans, self.per_cell, strict=True):
            u = plan.push(u * per_cell[:, None])
        return u

    def onwards(self, members: Tensor) -> tuple[Tensor, ...]:
        """Return the mass at each time that comes from groups of the first cells.

        ``members (n, c)``; found are ``G + 1`` tensors ``(n_k, c)``.
        """
        found = [members * self.reached[0][:, None]]
        for plan, per_cell in zip(self.plans, self.per_cell, strict=True):
            found.append(plan.push(found[-1] * per_cell[:, None]))
        return tuple(found)

    def means(self, values: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return means over descendants, and which share of the last cells descends from a cell.

        Parameters
        ----------
        values
            ``(m, c)`` of the cells of the last time.

        Returns
        -------
        ``G + 1`` tensors ``(n_k, c)``, NaN for a cell without descendants, and as many ``(n_k,)``,
        each of sum 1.
        """
        there = self.reached[-1] > 0
        means = [torch.where(there[:, None], values, torch.nan)]
        masses, number = [self.reached[-1]], there.double()
        rest = list(zip(self.plans, self.per_cell, self.reached[:-1], strict=True))
        for plan, per_cell, reached in rest[::-1]:
            known = torch.cat([means[0].nan_to_num() * number[:, None], number[:, None]], 1)
            pulled = plan.pull(known) * per_cell[:, None]
            number = pulled[:, -1]
            means.insert(
                0, torch.where(number[:, None] > 0, pulled[:, :-1] / number[:, None], torch.nan)
            )
            mass = reached * number
            masses.insert(0, mass / mass.sum())
            number = number / number.max()
        return tuple(means), tuple(masses)
