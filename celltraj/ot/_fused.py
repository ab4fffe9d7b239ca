"""Fused Gromov-Wasserstein transport of two sides that each have distances of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import ot as pot
from scipy.sparse import csr_array

from celltraj._arrays import ArrayLike
from celltraj._checks import checked_fields
from celltraj._errors import ConvergenceError
from celltraj._memory import check_memory, in_gb
from celltraj.ot._cost import Cost
from celltraj.ot._fused_coupling import FusedCoupling
from celltraj.ot._fused_problem import INNER, FusedProblem
from celltraj.ot._problem import Problem
from celltraj.ot._within import Within
from celltraj.ot.solver import PlanSolver

_OF_PAIR = 80.0  # bytes of a pair of cells: cost, gradient, plan, next plan, and the simplex
_WAY = (
    "ct.ot.Registration() couples more cells, in memory linear in them, and "
    "ct.tl.couple_space(adata) by default"
)


@checked_fields
@dataclass(frozen=True)
class FusedGromov(PlanSolver):
    r"""Fused Gromov-Wasserstein transport: couple by features and by distances within each side.

    ``min (1 - alpha) <C, P> + alpha c sum_ijkl |Dx_ik - Dy_jl|^2 P_ij P_kl + epsilon KL(P | a b')``
    with ``P 1 = a``, ``P' 1 = b``. ``Dx`` and ``Dy`` are divided by their means and ``c`` is the
    mean cost, so that ``alpha`` means the same in any unit, and turning, moving, mirroring or
    enlarging one side changes nothing. The masses of ``a`` and ``b`` count as 1 in the sum.

    The problem is not convex: the plan is the best of those reached from transport by features
    alone, from transport by the profile of distances that each cell has to all others of its side
    (the third lower bound of Mémoli), and from the product ``a b'``, unless a start is given. No
    start is proof of the least one; ``objectives`` tells how far they lie apart. Without entropy
    steps are POT's conditional gradient, else each is entropic transport by the gradient.

    Parameters
    ----------
    alpha
        Weight of distances within sides, in [0, 1]; 0 is plain transport by features, 1
        Gromov-Wasserstein transport.
    max_cells
        Cells of a side above which it is refused: memory grows with the square of their number,
        time faster.
    max_iters
        Steps from each start.
    tol
        Relative change of the objective, or with entropy L1 change of the plan in units of mass, at
        which to stop.
    throw
        Whether to raise where the iterations run out; otherwise ``FusedCoupling.converged`` says
        so.

    Raises
    ------
    ValueError
        ``alpha`` outside [0, 1], or a count or tolerance that is not positive.

    References
    ----------
    Vayer, Chapel, Flamary, Tavenard & Courty, *Optimal transport for structured data with
    application on graphs* (2019), eq. 3; Peyré, Cuturi & Solomon, *Gromov-Wasserstein averaging of
    kernel and distance matrices* (2016), with entropy; Mémoli, *Gromov-Wasserstein distances and
    the metric approach to object matching* (2011), the start from profiles.

    Examples
    --------
    >>> import torch
    >>> from celltraj.ot import DenseCost, FusedGromov, Within
    >>> u = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]]).double()
    >>> turned = torch.stack([-u[:, 1], u[:, 0]], 1)[[2, 0, 1]]
    >>> cost, even = DenseCost(torch.zeros(3, 3)), torch.full((3,), 1 / 3).double()
    >>> found = FusedGromov(alpha=1)(cost, even, even, within=Within.of_coordinates(u, turned))
    >>> found.to_dense().argmax(1)
    tensor([1, 2, 0])
    """

    is_balanced: ClassVar[bool] = True

    alpha: float = 0.5
    max_cells: int = 3000
    max_iters: int = 1000
    tol: float = 1e-9
    throw: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha must lie in [0, 1]; found {self.alpha}")
        if not min(self.max_cells, self.max_iters, self.tol) > 0:
            raise ValueError(
                "max_cells, max_iters and tol must be positive; found "
                f"{self.max_cells}, {self.max_iters} and {self.tol}"
            )

    def __call__(
        self,
        cost: Cost,
        a: ArrayLike,
        b: ArrayLike,
        *,
        within: Within,
        epsilon: float = 0.0,
        start: ArrayLike | None = None,
    ) -> FusedCoupling:
        """Return a coupling of ``a`` and ``b``.

        Parameters
        ----------
        cost
            ``(n, m)`` cost of features.
        a, b
            ``(n,)`` and ``(m,)`` weights of equal mass.
        within
            Distances within the earlier and within the later cells.
        epsilon
            Regularisation in units of ``cost``, or where all costs are zero of the mean squared
            distance; without by default.
        start
            ``(n, m)`` plan to start from, in place of all starts; it is scaled to the mass.

        Raises
        ------
        TypeError
            ``within`` is no :class:`Within`.
        ValueError
            Wrong shapes, weights that are negative or not finite, unequal masses, a negative
            ``epsilon``, a start without mass, or more than ``max_cells`` cells of a side.
        MemoryError
            It would take more than :func:`celltraj.memory_limit` allows.
        ConvergenceError
            The iterations ran out; carries the coupling as ``result``.
        """
        self._check(cost, within, epsilon)
        problem = Problem.of(cost, a, b, epsilon or 1.0)
        task = FusedProblem.of(problem, within, alpha=float(self.alpha), epsilon=float(epsilon))
        starts = task.starts() if start is None else {"given": task.fitted(start)}
        reached = {name: self._descend(task, first) for name, first in starts.items()}
        best = min(reached.values(), key=lambda one: one[1])
        mass = float(problem.a.sum())
        found = FusedCoupling(
            csr_array(best[0] * mass),
            cost,
            problem.a,
            problem.b,
            best[1] * task.scale * mass,
            {name: one[1] * task.scale * mass for name, one in reached.items()},
            float(epsilon),
            best[2],
        )
        if self.throw and not found.converged:
            raise ConvergenceError(
                f"fused Gromov-Wasserstein transport still changed after {self.max_iters} steps; "
                "raise max_iters, tol or epsilon, or pass throw=False",
                found,
            )
        return found

    def _check(self, cost: Cost, within: Within, epsilon: float) -> None:
        if not isinstance(within, Within):
            raise TypeError(
                "within must be ct.ot.Within(Dx, Dy), or ct.ot.Within.of_coordinates(u, v); found "
                f"{type(within).__name__}"
            )
        if not 0 <= epsilon < float("inf"):
            raise ValueError(f"epsilon must be finite and not negative; found {epsilon}")
        self.check_size(*cost.shape)
        if cost.shape != within.shape:
            raise ValueError(
                f"distances within {within.shape[0]} and {within.shape[1]} cells, cost of shape "
                f"{cost.shape}"
            )

    def check_size(self, n: int, m: int) -> None:
        """Raise where ``n`` x ``m`` cells are too many, before their distances are computed.

        Raises
        ------
        ValueError
            There are more than ``max_cells`` cells of a side.
        MemoryError
            It would take more than :func:`celltraj.memory_limit` allows.
        """
        need = _OF_PAIR * n * m + 16.0 * (n * n + m * m)
        if max(n, m) > self.max_cells:
            raise ValueError(
                f"{n:,} x {m:,} cells are more than the {self.max_cells:,} a side that are coupled "
                f"by their distances: it would take about {in_gb(need)}, and time that grows "
                f"faster. {_WAY}; max_cells= allows more here"
            )
        check_memory({"fused Gromov-Wasserstein": need}, ["fewer cells", "ct.ot.Registration()"])

    def _descend(self, task: FusedProblem, start: np.ndarray) -> tuple[np.ndarray, float, bool]:
        """Return the plan reached from a start, its objective, and whether it is stationary."""
        if task.alpha == 0:  # the problem is convex, and its start from features solves it
            return start, task.objective(start), True
        if task.epsilon:
            return _mirror_descent(task, start, self.max_iters, self.tol)
        plan, log = pot.gromov.fused_gromov_wasserstein(
            *(task.cost, task.within[0], task.within[1], task.p, task.q),
            alpha=task.alpha,
            symmetric=True,
            G0=start,
            max_iter=self.max_iters,
            tol_rel=self.tol,
            tol_abs=self.tol,
            numItermaxEmd=10**7,
            log=True,
        )
        return plan, task.objective(plan), len(log["loss"]) <= self.max_iters


def _mirror_descent(
    task: FusedProblem, start: np.ndarray, max_iters: int, tol: float
) -> tuple[np.ndarray, float, bool]:
    """Return the plan at which transport by the gradient returns the plan itself.

    The sum is concave in plans of fixed marginals where distances are of Euclidean or tree type, so
    that each step takes the objective down.
    """
    plan, tol = start, max(tol, 10 * INNER)
    for _ in range(max_iters):
        following = task.entropic(task.gradient(plan))
        change = float(np.abs(following - plan).sum())
        plan = following
        if change <= tol:
            return plan, task.objective(plan), True
    return plan, task.objective(plan), False
