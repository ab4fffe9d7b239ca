"""The plan that minibatches of cells amount to, for comparison."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import ot as pot
import torch
from scipy.sparse import coo_array, csr_array

from celltraj._arrays import ArrayLike
from celltraj._checks import checked_fields
from celltraj._typing import Earlier, Later
from celltraj.ot._cost import Cost
from celltraj.ot._plan_coupling import PlanCoupling
from celltraj.ot._problem import Problem
from celltraj.ot.sampling import systematic
from celltraj.ot.solver import PlanSolver

_SCALINGS = 200
_EVEN = 1e-6


@checked_fields
@dataclass(frozen=True)
class Minibatch(PlanSolver):
    """Minibatch optimal transport: the mean of exact plans between random batches of cells.

    A flow that couples each of its minibatches anew follows this plan, which is that of exact
    transport blurred: more so the smaller the batches. Here it is computed once, so that the two
    can be compared. The few draws in which a cell is missing are made up for by scaling.

    Parameters
    ----------
    size
        Cells of a batch.
    rounds
        Times that all cells are divided into batches.
    seed
        Seed of the batches.

    Raises
    ------
    ValueError
        ``size`` or ``rounds`` is not positive.

    References
    ----------
    Fatras et al., *Learning with minibatch Wasserstein* (2020); Tong et al., *Improving and
    generalizing flow-based generative models with minibatch optimal transport* (2024).

    Examples
    --------
    >>> import torch
    >>> from celltraj.ot import Minibatch, SquaredEuclidean
    >>> x = torch.linspace(0, 1, 60).double()[:, None]
    >>> even = torch.full((60,), 1 / 60).double()
    >>> coupling = Minibatch(size=10)(SquaredEuclidean(x, x), even, even, epsilon=1.0)
    >>> coupling.plan.nnz > 60  # cells do not only meet themselves
    True
    """

    is_balanced: ClassVar[bool] = True

    size: int = 256
    rounds: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size < 1 or self.rounds < 1:
            raise ValueError(
                f"size and rounds must be positive; found {self.size} and {self.rounds}"
            )

    def __call__(
        self, cost: Cost, a: ArrayLike, b: ArrayLike, *, epsilon: float = 0.0
    ) -> PlanCoupling:
        """Return the mean coupling of ``a`` and ``b``; ``epsilon`` has no use here.

        Raises
        ------
        ValueError
            Wrong shapes, weights that are negative or not finite, unequal masses.
        """
        problem = Problem.of(cost, a, b, epsilon=1.0)  # refuses what no solver takes
        generator = torch.Generator().manual_seed(self.seed)
        rows, columns, values = [], [], []
        for _ in range(self.rounds):
            for i, j in self._batches(problem.a, problem.b, generator):
                matching = pot.emd([], [], cost.take(i, j).dense().numpy())
                k, m = matching.nonzero()
                rows.append(i.numpy()[k])
                columns.append(j.numpy()[m])
                values.append(matching[k, m] * len(i))
        entries = (np.concatenate(rows), np.concatenate(columns))
        plan = csr_array(coo_array((np.concatenate(values), entries), shape=cost.shape))
        plan.sum_duplicates()
        return _scaled(cost, problem.a, problem.b, plan)

    def _batches(
        self, a: Earlier, b: Later, generator: torch.Generator
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield rows and columns of batches in which all cells occur by their weight."""
        n = max(len(a), len(b))
        drawn = [
            systematic(w, n, generator)[torch.randperm(n, generator=generator)] for w in (a, b)
        ]
        return zip(*(rows.split(self.size) for rows in drawn), strict=True)


def _scaled(cost: Cost, a: Earlier, b: Later, plan: csr_array) -> PlanCoupling:
    """Return the plan with its rows and columns scaled to the marginals in turn."""
    weights = a.numpy(), b.numpy()
    error = np.inf
    for _ in range(_SCALINGS):
        for axis, wanted in ((1, weights[0]), (0, weights[1])):
            found = np.asarray(plan.sum(axis)).ravel()
            scale = np.divide(wanted, found, out=np.zeros_like(found), where=found > 0)
            entries = plan.tocoo()
            plan.data = entries.data * scale[entries.coords[1 - axis]]
        error = sum(
            np.abs(np.asarray(plan.sum(axis)).ravel() - wanted).sum()
            for axis, wanted in ((1, weights[0]), (0, weights[1]))
        )
        if error < _EVEN:
            break
    return PlanCoupling(plan, cost, a, b)
