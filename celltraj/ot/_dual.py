r"""The semi-dual of entropic transport, balanced or relaxed, and what one pass tells of it.

All potentials here are in units of epsilon. With ``tau = rho / (rho + epsilon)``, 1 where a
marginal is fixed, the dual to maximise is

``sum_i phi_a(f_i) + sum_j phi_b(g_j) - sum_ij P_ij``, ``P_ij = exp(f_i + g_j - C_ij / epsilon)``,

``phi_a(f) = a f`` for tau = 1, else ``-tau / (1 - tau) a exp(-f (1 - tau) / tau)``. Its gradient
vanishes where ``P 1 = a exp(-f (1 - tau_a) / tau_a)``, ``P' 1 = b exp(-g (1 - tau_b) / tau_b)``.
The first has a solution in closed form for any ``g``,

``f_i = tau_a (log a_i - log sum_j exp(g_j - C_ij / epsilon))``,

which leaves a concave problem in ``g`` alone.

Sources: Cuturi & Peyre, *Semidual regularized optimal transport* (2018); Sejourne et al., *Faster
unbalanced optimal transport* (2022).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.sparse import csr_array

from celltraj.ot._coupling import Effort
from celltraj._kernels import count_kept, fill_rows, take_kept
from celltraj.ot._problem import Problem

DENSE_LIMIT = 30_000_000  # entries of a plan that is held whole: 240 MB
_SPARSE_LIMIT = 40_000_000  # entries kept of a plan that is not: 480 MB

Vector = np.ndarray


class Dual:
    """The semi-dual of one problem, whose weights are all positive.

    Parameters
    ----------
    problem
        Its cost is a matrix where it has at most ``DENSE_LIMIT`` entries.
    effort
        Where passes and steps are counted.
    buffer
        Room for the plan of the last pass, where that is held whole.
    """

    def __init__(self, problem: Problem, effort: Effort, buffer: np.ndarray | None = None) -> None:
        self.problem, self.effort = problem, effort
        self.a, self.b = problem.a.numpy(), problem.b.numpy()
        self.tau_a = 1 / (1 + problem.epsilon / problem.rho_a)
        self.tau_b = 1 / (1 + problem.epsilon / problem.rho_b)
        n, m = problem.cost.shape
        self.is_dense = n * m <= DENSE_LIMIT
        self._plan = np.empty((n, m)) if self.is_dense and buffer is None else buffer

    def at(self, epsilon: float) -> Dual:
        """Return the semi-dual at another epsilon, in the same room."""
        return Dual(replace(self.problem, epsilon=epsilon), self.effort, self._plan)

    def evaluate(self, f: Vector, g: Vector, *, share: float = 0.1) -> State:
        """Return the state at ``g`` with the rows solved for, in one pass over the cost.

        ``f`` guards the exponent against overflow; a good guess saves time. ``share`` of each
        row's mass may be left out of a plan that is too large to hold whole.
        """
        f, row, column = f.copy(), np.empty_like(f), np.zeros_like(g)
        kept = None if self.is_dense else _Kept(self.problem.cost.shape, share)
        log_a, inverse = np.log(self.a), 1 / self.problem.epsilon
        for rows, cost in _cut(self.problem):
            plan = np.empty(cost.shape) if self._plan is None else self._plan[rows]
            parts = plan, f[rows], row[rows], column
            fill_rows(cost, g, inverse, log_a[rows], self.tau_a, *parts)
            if kept is not None:
                kept.add(plan, row[rows])
        self.effort.passes += 1
        return State(self, f, g, row, column, self._plan if kept is None else kept.plan())

    def sweep(self, state: State, *, share: float = 0.1) -> State:
        """Return the state after one Sinkhorn update of ``g``."""
        self.effort.sweeps += 1
        if state.column.min() > 1e-200:
            log_column = np.log(state.column) - state.g
        else:
            log_column = self._log_columns(state.f)
        return self.evaluate(state.f, self.tau_b * (np.log(self.b) - log_column), share=share)

    def _log_columns(self, f: Vector) -> Vector:
        """Return ``log sum_i exp(f_i - C_ij / epsilon)`` where the sums themselves underflow."""
        result = torch.full((len(self.b),), -torch.inf, dtype=torch.float64)
        for rows, block in self.problem.cost.blocks():
            part = torch.from_numpy(f[rows, None]) - block / self.problem.epsilon
            result = torch.logaddexp(result, torch.logsumexp(part, 0))
        self.effort.passes += 1
        return result.numpy()


@dataclass
class State:
    """Potentials whose rows are right, and what the next step needs to know of their plan."""

    dual: Dual
    f: Vector
    g: Vector
    row: Vector
    column: Vector
    plan: np.ndarray | csr_array | None  # overwritten by the next pass where it is held whole

    def __post_init__(self) -> None:
        self.target = _wanted(self.g, self.dual.b, self.dual.tau_b)
        self.gradient = self.target - self.column
        error = float(np.abs(self.gradient).sum())
        self.error = math.inf if math.isnan(error) else error

    @property
    def value(self) -> float:
        """Return the dual, in units of epsilon and up to a constant."""
        dual = self.dual
        rows = _worth(self.f, dual.a, dual.tau_a, self.row)
        return rows + _worth(self.g, dual.b, dual.tau_b, self.target) - float(self.column.sum())


def _wanted(potential: Vector, weights: Vector, tau: float) -> Vector:
    return weights if tau == 1 else weights * np.exp(-potential * (1 - tau) / tau)


def _worth(potential: Vector, weights: Vector, tau: float, wanted: Vector) -> float:
    return float(weights @ potential if tau == 1 else -tau / (1 - tau) * wanted.sum())


def _cut(problem: Problem) -> Iterator[tuple[slice, np.ndarray]]:
    for rows, block in problem.cost.blocks():
        yield rows, block.numpy()


class _Kept:
    """Collect the entries of a plan that carry its mass, block by block."""

    def __init__(self, shape: tuple[int, int], share: float) -> None:
        self.shape, self.share, self.n_kept = shape, share, 0
        self.parts: list[csr_array] = []

    def add(self, plan: np.ndarray, row: Vector) -> None:
        if self.n_kept <= _SPARSE_LIMIT:
            self.parts.append(largest_entries(plan, row, self.share))
            self.n_kept += self.parts[-1].nnz

    def plan(self) -> csr_array | None:
        """Return the sparse plan, or nothing where too many entries matter."""
        if self.n_kept > _SPARSE_LIMIT:
            return None
        counts = np.concatenate([np.diff(part.indptr) for part in self.parts])
        columns = np.concatenate([part.indices for part in self.parts])
        values = np.concatenate([part.data for part in self.parts])
        return csr_array((values, columns, _ends(counts)), shape=self.shape)


def largest_entries(
    plan: np.ndarray, row: Vector, share: float, *, limit: float = 1.0
) -> csr_array | None:
    """Return the entries ``P_ij >= share r_i / m``; the others hold at most ``share`` of a row.

    Nothing is returned where these are more than ``limit`` of all entries.
    """
    counts = np.zeros(len(row), dtype=np.int64)
    count_kept(plan, row, share, counts)
    if counts.sum() > limit * plan.size:
        return None
    ends = _ends(counts)
    columns, values = np.empty(ends[-1], dtype=np.int32), np.empty(ends[-1])
    take_kept(plan, row, share, columns, values)
    return csr_array((values, columns, ends), shape=plan.shape)


def _ends(counts: Vector) -> Vector:
    return np.concatenate([[0], counts.cumsum()]).astype(np.int32)
