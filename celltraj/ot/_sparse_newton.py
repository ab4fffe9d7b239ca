"""Entropic transport by sparse Newton steps on a ladder of epsilons."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import ot as pot
import torch

from celltraj._arrays import ArrayLike
from celltraj._checks import checked_fields
from celltraj._typing import Earlier, Later
from celltraj.ot._cost import Cost, DenseCost
from celltraj.ot._coupling import Coupling
from celltraj.ot._dual import Dual, State
from celltraj.ot._ladder import RUNG_TOL, Path, ladder
from celltraj.ot._newton import climb
from celltraj.ot._problem import Problem
from celltraj.ot._solver_stats import SolverStats


@checked_fields
@dataclass(frozen=True)
class SparseNewtonSinkhorn:
    r"""Sparse Newton Sinkhorn: entropic optimal transport by Newton steps on the semi-dual.

    ``min <C, P> + epsilon sum P (log P - 1)`` with ``P 1 = a``, ``P' 1 = b``. Starts on a ladder of
    larger epsilons, and from the exact duals of POT's network simplex where the ladder fails. Two
    ``n x m`` arrays are held; :class:`Multiscale` holds none.

    Parameters
    ----------
    tol
        L1 error of both marginals together, in units of mass, at which to stop.
    max_steps
        Newton steps at the target epsilon, once from the ladder and once from the exact duals.
    throw
        Whether to raise when ``tol`` is not reached; otherwise ``Coupling.converged`` says so.

    References
    ----------
    Tang, Shavlovsky, Rahmanian, Tardini, Thekumparampil, Xiao & Ying, *Accelerating Sinkhorn
    algorithm with sparse Newton iterations* (2024); Tang & Qiu, *Safe and sparse Newton method for
    entropic-regularized optimal transport* (2024).

    Examples
    --------
    >>> import torch
    >>> from celltraj.ot import SparseNewtonSinkhorn, SquaredEuclidean
    >>> x = torch.linspace(0, 1, 50, dtype=torch.float64)[:, None]
    >>> a = torch.full((50,), 0.02, dtype=torch.float64)
    >>> cost = SquaredEuclidean(x, x + 1)
    >>> SparseNewtonSinkhorn(tol=1e-9)(cost, a, a, epsilon=0.002 * cost.mean()).converged
    True
    """

    is_balanced: ClassVar[bool] = True

    tol: float = 1e-6
    max_steps: int = 60
    throw: bool = True

    def __call__(self, cost: Cost, a: ArrayLike, b: ArrayLike, *, epsilon: float) -> Coupling:
        """Return the coupling of ``a`` and ``b`` at ``epsilon``, in units of the cost.

        Raises
        ------
        ValueError
            ``epsilon <= 0``, wrong shapes, weights that are negative or not finite, unequal masses.
        ConvergenceError
            The tolerance was not reached; carries the coupling as ``result``.
        """
        problem, stats = Problem.of(cost, a, b, epsilon), SolverStats()
        f, g = solve_potentials(problem, stats, tol=self.tol, max_steps=self.max_steps)
        return problem.coupling(f, g, stats, tol=self.tol, throw=self.throw)


def solve_potentials(
    problem: Problem, stats: SolverStats, *, tol: float, max_steps: int
) -> tuple[Earlier, Later]:
    """Return potentials of a problem, ``-inf`` where a weight is zero."""
    inner = problem.without_zeros()
    whole = DenseCost(inner.cost.dense())  # once, for all rungs
    dual = Dual(replace(inner, cost=whole), stats)
    goal = 0.9 * tol  # the rest is left to rounding in the rows
    state = _descend(dual, goal, max_steps)
    if state.error > goal and problem.is_balanced:
        stats.fallbacks.append("exact duals")
        exact = _from_exact_duals(dual, goal, max_steps)
        state = min(state, exact, key=lambda s: s.error)
    f, g = (problem.epsilon * torch.from_numpy(v) for v in (state.f, state.g))
    return problem.with_zeros(f, g)


def _descend(dual: Dual, goal: float, max_steps: int) -> State:
    """Return the state at the problem's epsilon, reached on a ladder from larger ones."""
    problem = dual.problem
    n, m = problem.cost.shape
    rung_tol = max(goal, RUNG_TOL * float(problem.a.sum()))
    path = Path(np.zeros(n), np.zeros(m))
    for epsilon in ladder(problem.cost.mean(), problem.epsilon):
        rung, is_last = dual.at(epsilon), epsilon == problem.epsilon
        tol, limit = (goal, max_steps) if is_last else (rung_tol, 10)
        state = climb(rung, rung.evaluate(*path.guess(epsilon)), tol=tol, max_steps=limit)
        path.reach(epsilon, state.f, state.g)
    return state


def _from_exact_duals(dual: Dual, goal: float, max_steps: int) -> State:
    """Return the state reached from the duals of unregularised transport."""
    problem = dual.problem
    b = dual.b * (dual.a.sum() / dual.b.sum())
    _, log = pot.emd(dual.a, b, problem.cost.dense().numpy(), 10**7, log=True)
    state = dual.evaluate(log["u"] / problem.epsilon, log["v"] / problem.epsilon)
    for _ in range(5):
        state = dual.sweep(state)
    return climb(dual, state, tol=goal, max_steps=max_steps)
