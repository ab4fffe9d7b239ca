r"""Sparse Newton steps on the semi-dual of entropic transport.

In the column potentials alone the gradient of the dual is ``t - c``, where ``c = P' 1`` and ``t``
are the column sums that ``g`` asks for, and its Hessian is ``-S``,

``S = diag(c) + (1 - tau_b) / tau_b diag(t) - tau_a P' diag(1 / r) P``, ``r = P 1``.

Near the solution ``P`` is nearly sparse, so that a product with ``S`` is cheap and Newton's steps
converge fast where Sinkhorn's sweeps crawl.

Sources: Tang et al., *Accelerating Sinkhorn algorithm with sparse Newton iterations* (2024); Tang &
Qiu, *Safe and sparse Newton method for entropic-regularized optimal transport* (2024). Deviations:
rows in closed form, entries dropped by mass and not by count, a diagonal from the whole plan, a
lagged factorisation in float32 as preconditioner, damping of columns that hold too little.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.linalg import get_blas_funcs, get_lapack_funcs
from scipy.sparse import csr_array

from celltraj._kernels import count_kept, gram_dense, gram_sparse, subtract_gram, take_kept
from celltraj.ot._dual import Dual, State, Vector
from celltraj.ot._solver_stats import SolverStats

_DENSE_SHARE = 0.15  # share of entries kept above which a dense product is faster
_SPARSE_GRAM = 0.04  # share of entries above which a dense P' P is faster
STEP_CAP = 40.0  # largest change of a potential in one step, in units of epsilon
_FAST = 0.2  # a sweep that leaves less of the error than this is better than a Newton step
_DAMPING = 0.2  # of what a column lacks, added to its diagonal: see damped_diagonal
_LIMIT = 40  # iterations after which a factorisation is cheaper
_SLOW_LIMIT = 300  # iterations where S is too large for one
_NOTHING = 1e-60  # sums below it weigh nothing, and their reciprocals would overflow in float32
_FACTOR_SIZE = 6_000  # columns up to which S is factorised: 144 MB

Operator = Callable[[Vector], Vector]
AnyState = TypeVar("AnyState", bound=State)


def climb(dual: Dual, state: State, *, tol: float, max_steps: int) -> State:
    """Return the best state of Newton steps until the column error is below ``tol``.

    Two sweeps go first, and more while they are fast. Where no step along Newton's direction
    helps, ten sweeps do.
    """
    state = best = _sweep_while_fast(dual, state, tol)
    newton = Newton(dual)
    for _ in range(max_steps):
        if state.error <= tol or not math.isfinite(state.error):
            break
        trial = newton.step(state)
        if trial is None:
            dual.stats.fallbacks.append("sweeps")
            for _ in range(10):
                state = dual.sweep(state)
        else:
            state = trial
        best = min(best, state, key=lambda s: s.error)
    return best if best is state else dual.evaluate(best.f, best.g)


def _sweep_while_fast(dual: Dual, state: State, tol: float) -> State:
    n_sweeps, is_fast = 0, True
    while state.error > tol and (n_sweeps < 2 or is_fast):
        swept = dual.sweep(state)
        n_sweeps, is_fast = n_sweeps + 1, swept.error < _FAST * state.error
        state = swept
    return state


class Newton:
    """Take safeguarded Newton steps; the last factorisation of ``S`` preconditions the next."""

    def __init__(self, dual: Dual) -> None:
        self.dual = dual
        self._factor: Operator | None = None
        # float32 cannot see couplings below 1e-6 of a column; they matter where parts of the plan
        # hardly touch, and float64 then takes over
        fits = len(dual.b) <= _FACTOR_SIZE
        self._precisions: tuple[type, ...] = (np.float32, np.float64) if fits else ()

    def step(self, state: State) -> State | None:
        """Return the state one step up, or nothing if no length along the direction helps."""
        direction = self._direction(state)
        found = line_search(lambda g: self.dual.evaluate(state.f, g), state, direction)
        self.dual.stats.newton_steps += found is not None
        return found

    def _direction(self, state: State) -> Vector:
        """Solve ``S x = t - c``: conjugate gradients, with a factorisation where they are slow."""
        stats = self.dual.stats
        system = System.of(state, stats)
        stop = min(0.3, math.sqrt(state.error)) * np.abs(state.gradient).sum()
        precondition = self._factor or system.jacobi
        limit = _SLOW_LIMIT if not self._precisions else _LIMIT
        x, residual = np.zeros_like(state.g), state.gradient
        for precision in (None, *self._precisions):
            if precision is not None:
                precondition = self._factor = system.factor(precision)
                stats.factorisations += 1
            solved = conjugate_gradients(system.product, residual, precondition, stop, limit)
            x, residual = x + solved.x, solved.residual
            stats.cg_iterations += solved.n_iters
            if solved.is_done:
                break
            if precision is np.float32:
                self._precisions = (np.float64,)
        return x


def line_search(
    evaluate: Callable[[Vector], AnyState], start: AnyState, direction: Vector
) -> AnyState | None:
    """Return the first state along ``direction`` that is better, or nothing.

    Better is a clear drop of the error, or Armijo's rise of the dual; near the optimum the dual has
    no digits left, the error still does.
    """
    slope, largest = float(start.gradient @ direction), float(np.abs(direction).max())
    if not (math.isfinite(largest) and slope > 0):
        return None
    length, value, error = min(1.0, STEP_CAP / largest), start.value, start.error
    for _ in range(4):
        trial = evaluate(start.g + length * direction)
        rises = trial.value >= value + 1e-4 * length * slope and trial.error < 10 * error
        if trial.error < 0.7 * error or (rises and error > 1e-7):
            return trial
        length *= 0.25
    return None


@dataclass(frozen=True)
class System:
    """Newton's system ``S = diag(diagonal) - P' diag(scale) P``, of a plan cut to what matters."""

    plan: np.ndarray | csr_array
    diagonal: Vector
    scale: Vector

    @classmethod
    def of(cls, state: State, stats: SolverStats) -> System:
        """Return the system of a state; the diagonal is that of the whole plan, so that S >= 0."""
        dual, plan = state.dual, state.plan
        if isinstance(plan, np.ndarray):
            share = min(0.1, state.error / 2)
            sparse = largest_entries(plan, state.row, share, limit=_DENSE_SHARE)
            plan = plan if sparse is None else sparse
        if isinstance(plan, csr_array):
            stats.dropped_mass = max(0.0, 1 - float(plan.data.sum() / state.row.sum()))
        return cls(plan, damped_diagonal(state), dual.tau_a / np.maximum(state.row, _NOTHING))

    def product(self, v: Vector) -> Vector:
        """Return ``S v``."""
        out: Vector = self.diagonal * v
        if isinstance(self.plan, np.ndarray):
            gram_dense(self.plan, -self.scale, v, out)
        else:
            sparse = self.plan
            gram_sparse(sparse.indptr, sparse.indices, sparse.data, -self.scale, v, out)
        return out

    def jacobi(self, v: Vector) -> Vector:
        """Return ``v`` over the diagonal."""
        scaled: Vector = v / self.diagonal
        return scaled

    def factor(self, precision: type) -> Operator:
        """Return an approximate inverse: Cholesky of the system scaled to a unit diagonal."""
        cholesky, back_substitute = get_lapack_funcs(("potrf", "potrs"), dtype=precision)
        rank_k = get_blas_funcs("syrk", dtype=precision)
        left, right = np.sqrt(self.scale), 1 / np.sqrt(np.maximum(self.diagonal, _NOTHING))
        m, plan = len(right), self.plan
        if isinstance(plan, csr_array) and plan.nnz < _SPARSE_GRAM * plan.shape[0] * m:
            values = plan.data * np.repeat(left, np.diff(plan.indptr)) * right[plan.indices]
            matrix: np.ndarray = np.zeros((m, m), dtype=precision, order="F")
            subtract_gram(plan.indptr, plan.indices, values.astype(precision), matrix)
        else:
            unit = plan.toarray() if isinstance(plan, csr_array) else plan
            unit = unit.astype(precision) * left[:, None].astype(precision)
            unit *= right.astype(precision)
            matrix = rank_k(-1.0, unit.T, lower=True)
        shift, info = 50 * float(np.finfo(precision).eps), 1
        while info and shift < 1:  # rounding may leave the matrix indefinite
            shifted = matrix.copy(order="F")
            shifted[np.diag_indices(m)] += 1 + shift
            lower, info = cholesky(shifted, lower=True, overwrite_a=True)
            shift *= 30
        if info:
            return self.jacobi

        def solve(v: Vector) -> Vector:
            solved: Vector = (
                right * back_substitute(lower, (right * v).astype(precision), lower=True)[0]
            )
            return solved

        return solve


def damped_diagonal(state: State) -> Vector:
    """Return the diagonal of ``S`` with two shifts that vanish with the error.

    One of Levenberg's kind keeps S definite. The other holds back columns with far too little
    mass: they want ``log(t / c)`` and Newton would move them by ``t / c``.
    """
    relaxed = (1 - state.dual.tau_b) / state.dual.tau_b * state.target
    levenberg = min(0.01, 0.1 * state.error) * state.column
    diagonal: Vector = state.column + relaxed + levenberg + _DAMPING * np.maximum(state.gradient, 0)
    return diagonal


def largest_entries(
    plan: np.ndarray, row: Vector, share: float, *, limit: float
) -> csr_array | None:
    """Return the entries ``P_ij >= share r_i / m``, unless they are more than ``limit`` of all.

    Those left out hold at most ``share`` of a row.
    """
    counts = np.zeros(len(row), dtype=np.int64)
    count_kept(plan, row, share, counts)
    if counts.sum() > limit * plan.size:
        return None
    first = np.concatenate([[0], counts.cumsum()]).astype(np.int32)
    columns, values = np.empty(first[-1] + 1, dtype=np.int32), np.empty(first[-1] + 1)
    take_kept(plan, row, share, columns, values)
    return csr_array((values[:-1], columns[:-1], first), shape=plan.shape)


@dataclass(frozen=True)
class Solved:
    """A solution, what is left of its right-hand side, and what it took."""

    x: Vector
    residual: Vector
    n_iters: int
    is_done: bool


def conjugate_gradients(
    product: Operator, right: Vector, precondition: Operator, stop: float, limit: int
) -> Solved:
    """Solve until the residual's L1 norm is at most ``stop``, or until ``limit`` iterations."""
    x, residual = np.zeros_like(right), right.copy()
    direction, rho = np.zeros_like(right), 1.0
    for k in range(limit):
        if np.abs(residual).sum() <= stop:
            return Solved(x, residual, k, is_done=True)
        scaled = precondition(residual)
        rho, previous = float(residual @ scaled), rho
        direction = scaled + (rho / previous) * direction
        image = product(direction)
        curvature = float(direction @ image)
        if curvature <= 0:
            return Solved(x, residual, k, is_done=False)
        x += (rho / curvature) * direction
        residual -= (rho / curvature) * image
    return Solved(x, residual, limit, is_done=bool(np.abs(residual).sum() <= stop))
