r"""The semi-dual of entropic transport, balanced or relaxed, and what one pass tells of it.

All potentials here are in units of epsilon. With ``tau = rho / (rho + epsilon)``, 1 where a
marginal is fixed, the dual to maximise is

``sum_i phi_a(f_i) + sum_j phi_b(g_j) - sum_ij P_ij``, ``P_ij = exp(f_i + g_j - C_ij / epsilon)``,

``phi_a(f) = a f`` for tau = 1, else ``-tau / (1 - tau) A exp(-f (1 - tau) / tau)``, where ``A`` is
``a``, or ``a u^((1 - tau) / tau)`` with an entropy relative to ``u v'``. Its gradient vanishes
where ``P 1 = A exp(-f (1 - tau_a) / tau_a)``, ``P' 1 = B exp(-g (1 - tau_b) / tau_b)``. The first
has a solution in closed form for any ``g``,

``f_i = tau_a (log A_i - log sum_j exp(g_j - C_ij / epsilon))``,

which leaves a concave problem in ``g`` alone.

Sources: Cuturi & Peyre, *Semidual regularized optimal transport* (2018); Sejourne et al., *Faster
unbalanced optimal transport* (2022).
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.special import logsumexp

from celltraj._kernels import fill_rows
from celltraj._typing import Earlier, Later
from celltraj.ot._cost import Cost
from celltraj.ot._problem import Problem
from celltraj.ot._solver_stats import SolverStats
from celltraj.ot._tiles import TiledPlan

_PARALLEL = 300_000  # entries of a block above which its rows are shared among threads
_LOST = 1e-200  # column sums below may consist of clamped entries alone

Vector = np.ndarray


class Dual:
    """The semi-dual of one problem, whose weights are all positive; its plan is held whole.

    Parameters
    ----------
    problem
        Two arrays of the size of its cost are held.
    stats
        Where passes and steps are counted.
    plan
        Room for the plan of the last pass.
    """

    def __init__(
        self, problem: Problem, stats: SolverStats, plan: np.ndarray | None = None
    ) -> None:
        self.problem, self.stats = problem, stats
        self.a, self.b = problem.a.numpy(), problem.b.numpy()
        self.log_a, self.log_b = problem.log_a.numpy(), problem.log_b.numpy()
        self.tau_a, self.tau_b = problem.tau_a, problem.tau_b
        self._cost = problem.cost.dense().numpy()
        self._plan = np.empty(self._cost.shape) if plan is None else plan
        self._rows = RowSolver(self.log_a, problem.tau_a, 1 / problem.epsilon)

    def at(self, epsilon: float) -> Dual:
        """Return the semi-dual at another epsilon, in the same room."""
        return Dual(replace(self.problem, epsilon=epsilon), self.stats, self._plan)

    def evaluate(self, f: Vector, g: Vector) -> State:
        """Return the state at ``g`` with the rows solved for, in one pass over the cost.

        ``f`` guards the exponent against overflow; a good guess saves time.
        """
        f, row = f.copy(), np.empty_like(f)
        column = self._rows(self._cost, slice(None), g, self._plan, f, row)
        self.stats.passes += 1
        return State(self, f, g, row, column, self._plan)

    def sweep(self, state: State) -> State:
        """Return the state after one Sinkhorn update of ``g``."""
        self.stats.sweeps += 1
        if state.column.min() > _LOST:
            log_column = np.log(state.column) - state.g
        else:
            self.stats.passes += 1
            f = torch.from_numpy(state.f)
            log_column = log_columns(self.problem.cost, f, self.problem.epsilon).numpy()
        g = self.tau_b * (self.log_b - log_column)
        return self.evaluate(state.f, g - self._shift(state.f, g))

    def _shift(self, f: Vector, g: Vector) -> float:
        """Return the best constant to move from ``g`` to ``f``; the plan does not change.

        Without it relaxed marginals of unequal mass take ``1 / (1 - tau)`` sweeps to settle.
        """
        price_a, price_b = (1 - self.tau_a) / self.tau_a, (1 - self.tau_b) / self.tau_b
        if price_a + price_b == 0:
            return 0.0
        masses = logsumexp(self.log_a - price_a * f), logsumexp(self.log_b - price_b * g)
        return float(masses[0] - masses[1]) / (price_a + price_b)


class RowSolver:
    """Solve for the row potentials of a block, its rows shared among torch's threads.

    Costs are in units of epsilon where ``inverse`` is 1.
    """

    def __init__(self, log_a: Vector, tau: float, inverse: float) -> None:
        self.log_a, self.tau, self.inverse = log_a, tau, inverse
        self.n_threads = torch.get_num_threads()

    def __call__(
        self, cost: np.ndarray, rows: slice, g: Vector, plan: np.ndarray, f: Vector, row: Vector
    ) -> Vector:
        """Fill ``plan``, ``f[rows]`` and ``row[rows]`` of a block; return its column sums."""
        f, row, log_a = f[rows], row[rows], self.log_a[rows]

        def fill(part: slice) -> Vector:
            column = np.zeros_like(g)
            inout = plan[part], f[part], row[part], column
            fill_rows(cost[part], g, self.inverse, log_a[part], self.tau, *inout)
            return column

        n_parts = self.n_threads if cost.size > _PARALLEL else 1
        ends = np.linspace(0, len(cost), n_parts + 1).astype(int)
        parts = [slice(*ends[k : k + 2]) for k in range(n_parts)]
        if n_parts == 1:
            return fill(parts[0])
        with ThreadPoolExecutor(n_parts) as pool:
            return sum(pool.map(fill, parts), np.zeros_like(g))


@runtime_checkable
class Weights(Protocol):
    """What a state must know of its problem."""

    a: Vector
    b: Vector
    log_b: Vector
    tau_a: float
    tau_b: float


@dataclass
class State:
    """Potentials whose rows are right, and what the next step needs to know of their plan."""

    dual: Weights
    f: Vector
    g: Vector
    row: Vector
    column: Vector
    plan: np.ndarray | csr_array | None  # overwritten by the next pass

    def __post_init__(self) -> None:
        self.target = wanted(self.g, self.dual)
        self.gradient = self.target - self.column
        error = float(np.abs(self.gradient).sum())
        self.error = math.inf if math.isnan(error) else error

    @property
    def value(self) -> float:
        """Return the dual, in units of epsilon and up to a constant."""
        dual = self.dual
        rows = _worth(self.f, dual.a, dual.tau_a, self.row)
        return rows + _worth(self.g, dual.b, dual.tau_b, self.target) - float(self.column.sum())


def wanted(g: Vector, dual: Weights) -> Vector:
    """Return the column sums that potentials ask for, ``b`` itself where it is fixed."""
    price = (1 - dual.tau_b) / dual.tau_b
    with np.errstate(over="ignore"):  # a state far from the optimum, whose error is infinite
        return dual.b if price == 0 else np.exp(dual.log_b - price * g)


def _worth(potential: Vector, weights: Vector, tau: float, wanted: Vector) -> float:
    return float(weights @ potential if tau == 1 else -tau / (1 - tau) * wanted.sum())


def log_columns(cost: Cost, f: Earlier, epsilon: float) -> Later:
    """Return ``log sum_i exp(f_i - C_ij / epsilon)``, ``f`` in units of epsilon."""
    zero = torch.zeros(cost.shape[1], dtype=torch.float64)
    return TiledPlan.of(cost, f, zero, epsilon).log_columns()
