r"""Entropic transport of problems too large for one array, in a few passes over blocks of cost.

The semi-dual (see ``_dual.py``) is climbed by a two-level step. Slow modes of Sinkhorn's iteration
move whole groups of columns. With ``Z`` the ``(m, k)`` membership of columns in groups, their part
of a Newton step solves the ``k x k`` system

``Z' S Z y = Z' (t - c)``, ``Z' S Z = Z' diag(d) Z - tau_a (P Z)' diag(1 / r) (P Z)``,

which one pass gathers block by block. Within a group a Sinkhorn update moves the columns against
each other. Anderson's extrapolation over the last steps makes up for what either neglects. The
start comes from a subsample that is solved whole.

Sources: Feydy, *Geometric data analysis, beyond convolutions* (2020), on multiscale starts; Walker
& Ni, *Anderson acceleration for fixed-point iterations* (2011). The two-level step is our own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from scipy.linalg import lu_factor, lu_solve
from torch import Tensor
from tqdm.auto import tqdm

from celltraj._arrays import ArrayLike
from celltraj._checks import checked_fields
from celltraj._typing import Earlier, Later
from celltraj.ot._cost import Cost, ProductCost
from celltraj.ot._coupling import Coupling
from celltraj.ot._dual import RowSolver, State, Vector, log_columns
from celltraj.ot._gathered import Gram, Kept
from celltraj.ot._ladder import RUNG_TOL, Path, ladder
from celltraj.ot._newton import (
    STEP_CAP,
    Operator,
    System,
    conjugate_gradients,
    damped_diagonal,
    line_search,
)
from celltraj.ot._problem import Problem
from celltraj.ot._solver_stats import SolverStats
from celltraj.ot._sparse_newton import solve_potentials
from celltraj.ot._tiles import SINGLE_SHARE, TiledPlan

_MEMORY = 6  # steps that the extrapolation looks back on
_START = 0.015  # largest first rung, in units of the mean cost
_LEAST_SHARE = 0.02  # of a row, that a Newton step does without: a pass then takes error / 10
_TINY = 1e-300


@checked_fields
@dataclass(frozen=True)
class Multiscale:
    r"""Multiscale Sinkhorn: entropic optimal transport without an ``n x m`` array.

    ``min <C, P> + epsilon sum P (log P - 1)`` with ``P 1 = a``, ``P' 1 = b``. A subsample is solved
    whole and extended by the c-transform; each further pass over the cost takes a Newton step on
    groups of columns, a Sinkhorn update within them, and extrapolates.

    Entries of large plans are float32 where the cost is a product of features and rounding provably
    moves less than a fifth of ``tol``, as at 1e-3 and usual epsilons; sums are float64, and so is
    all that ``marginal_error`` is measured by.

    Parameters
    ----------
    tol
        L1 error of both marginals together, in units of mass, at which to stop.
    n_coarse
        Cells a side of the subsample.
    n_groups
        Groups of columns; a ``n_groups x n_groups`` system is solved at each pass.
    max_passes
        Passes over the cost.
    throw
        Whether to raise when ``tol`` is not reached; otherwise ``Coupling.converged`` says so.
    seed
        Seed of the subsample.
    progress
        Whether to show a progress bar.

    Examples
    --------
    >>> import torch
    >>> from celltraj.ot import Multiscale, SquaredEuclidean
    >>> x = torch.linspace(0, 1, 500, dtype=torch.float64)[:, None]
    >>> a = torch.full((500,), 0.002, dtype=torch.float64)
    >>> cost = SquaredEuclidean(x, x + 1)
    >>> solver = Multiscale(n_coarse=100, n_groups=50, progress=False)
    >>> solver(cost, a, a, epsilon=0.01 * cost.mean()).converged
    True
    """

    is_balanced: ClassVar[bool] = True

    tol: float = 1e-3
    n_coarse: int = 3000
    n_groups: int = 1000
    max_passes: int = 60
    throw: bool = True
    seed: int = 0
    progress: bool = True

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
        f, g = self.solve_potentials(problem, stats)
        return problem.coupling(f, g, stats, tol=self.tol, throw=self.throw)

    def solve_potentials(self, problem: Problem, stats: SolverStats) -> tuple[Earlier, Later]:
        """Return potentials of a problem, ``-inf`` where a weight is zero."""
        inner = problem.without_zeros()
        generator = torch.Generator().manual_seed(self.seed)
        # a subsample says much of large epsilons and little of small ones: these come by a ladder
        mean = inner.cost.mean()
        rungs = [e for e in ladder(mean, inner.epsilon) if e <= _START * mean] or [inner.epsilon]
        first = replace(inner, epsilon=rungs[0])
        rows, f_rows, g = _coarse_start(first, self.n_coarse, stats, generator)
        groups = _group_columns(first, rows[: self.n_groups], f_rows[: self.n_groups])
        order = _order(inner.cost, groups)
        if order is not None:
            inner, groups = inner.take(torch.arange(len(inner.a)), order), groups[order.numpy()]
        path = Path(np.zeros(len(inner.a)), rungs[0] * (g if order is None else g[order]).numpy())
        rung_tol = max(self.tol, RUNG_TOL * float(inner.a.sum()))
        last_pass = stats.passes + self.max_passes
        with tqdm(desc="transport", unit="pass", disable=not self.progress) as bar:
            for epsilon in rungs:
                tol = self.tol if epsilon == inner.epsilon else rung_tol
                passes = _Passes(replace(inner, epsilon=epsilon), groups, stats, tol=tol)
                f, h = _climb(passes, *path.guess(epsilon), tol=tol, last_pass=last_pass, bar=bar)
                path.reach(epsilon, f, h)
        potentials = [problem.epsilon * torch.from_numpy(v) for v in (f, h)]
        if order is not None:
            potentials[1] = potentials[1][order.argsort()]
        return problem.with_zeros(*potentials)


def _order(cost: Cost, groups: Vector) -> Tensor | None:
    """Return an order of columns by group: what matters to a row is then side by side.

    None where columns stay as they are, as those of a cost that would be copied whole.
    """
    by_group = torch.from_numpy(groups.argsort(kind="stable"))
    return by_group if isinstance(cost, ProductCost) else None


def _coarse_start(
    problem: Problem, n: int, stats: SolverStats, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return a subsample of rows, their potentials, and those of all columns (c-transform)."""
    rows, columns = (
        torch.randperm(len(w), generator=generator)[:n] for w in (problem.a, problem.b)
    )
    a, b = _same_mass(problem.a, rows), _same_mass(problem.b, columns)
    if problem.is_balanced:
        b *= a.sum() / b.sum()
    base = problem.base and (
        _same_mass(problem.base[0], rows),
        _same_mass(problem.base[1], columns),
    )
    coarse = replace(problem, cost=problem.cost.take(rows, columns), a=a, b=b, base=base)
    f, _ = solve_potentials(coarse, stats, tol=1e-3 * float(a.sum()), max_steps=30)
    f = f / problem.epsilon
    everywhere = problem.cost.take(rows, torch.arange(len(problem.b)))
    g = problem.tau_b * (problem.log_b - log_columns(everywhere, f, problem.epsilon))
    return rows, f, g


def _same_mass(weights: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Return the weights of some cells, raised to the mass of all."""
    return weights[chosen] * (weights.sum() / weights[chosen].sum())


def _group_columns(problem: Problem, rows: torch.Tensor, f: torch.Tensor) -> Vector:
    """Return the group of each column: which of ``rows`` sends it most per unit of mass."""
    cost = problem.cost.take(rows, torch.arange(len(problem.b)))
    best = torch.full((len(problem.b),), torch.inf, dtype=torch.float64)
    group = torch.zeros(len(problem.b), dtype=torch.int64)
    for block_rows, block in cost.blocks():
        least, where = (block / problem.epsilon - f[block_rows, None]).min(0)
        group = torch.where(least < best, where + block_rows.start, group)
        best = torch.minimum(best, least)
    groups: np.ndarray = torch.unique(group, return_inverse=True)[1].numpy()
    return groups


@dataclass
class _Point(State):
    """A state, with what couples the groups of columns: tau_a (P Z)' diag(1 / r) (P Z).

    Its error is known to within ``rounding``, in units of mass.
    """

    gram: np.ndarray
    rounding: float


def _share(point: _Point) -> float:
    """Return the share of each row that the plan of the next Newton step may miss."""
    return float(np.clip(point.error / 2, _LEAST_SHARE, 0.1))


class _Passes:
    """Evaluate the semi-dual, its Hessian between groups, and the steps that follow."""

    def __init__(self, problem: Problem, groups: Vector, stats: SolverStats, *, tol: float) -> None:
        self.problem, self.groups, self.stats = problem, groups, stats
        self.n_groups = int(groups.max()) + 1
        self.a, self.b = problem.a.numpy(), problem.b.numpy()
        self.log_b = problem.log_b.numpy()
        self.tau_a, self.tau_b = problem.tau_a, problem.tau_b
        self._kept, self._tol = Kept(problem.cost.shape), SINGLE_SHARE * tol
        f, g = (torch.zeros_like(w) for w in (problem.a, problem.b))
        self._double = TiledPlan.of(problem.cost, f, g, problem.epsilon)
        self._tiles = self._double.rounded(self.a, self.b, self._tol)
        # the equation of f for f plus what cells add to the cost by themselves
        log_a = problem.log_a.numpy() + (1 - self.tau_a) / self.tau_a * self._double.f
        self._rows = RowSolver(log_a, self.tau_a, self._double.inverse)

    def __call__(self, f: Vector, g: Vector, *, share: float) -> _Point:
        """Return what one pass tells of ``g``; ``share`` of each row may miss in its plan.

        The plan of the pass before is gone then. Tiles are float32 where the marginals of that pass
        show that it does.
        """
        tiles, added = self._tiles, (self._double.f, self._double.g)
        f, row, column = f + added[0], np.empty_like(f), np.zeros_like(g)
        gram, kept = Gram(self.groups), self._kept
        kept.start(share)
        room: np.ndarray | None = None
        for rows, block in tiles.blocks():
            room = np.empty(block.shape) if room is None else room
            plan = room[: len(block)]
            column += self._rows(block, rows, g + added[1], plan, f, row)
            gram.add(plan, np.sqrt(self.tau_a / row[rows]))
            kept.add(plan, row[rows])
        self.stats.passes += 1
        rounding = 2 * tiles.moved(row, column) if tiles.is_single else 0.0
        self._tiles = self._double.rounded(row, column, self._tol)
        found = f - added[0], g, row, column, kept.plan(), gram.total(), rounding
        return _Point(self, *found)

    def newton(self, point: _Point) -> _Point | None:
        """Return the point after a Newton step on the sparse plan, solved in two levels."""
        if point.plan is None:
            return None
        system = System.of(point, self.stats)
        between_groups = self._between(point, system.diagonal)

        def precondition(v: Vector) -> Vector:
            scaled: Vector = v / system.diagonal + between_groups(v)
            return scaled

        stop = min(0.3, math.sqrt(point.error)) * point.error
        solved = conjugate_gradients(system.product, point.gradient, precondition, stop, 300)
        self.stats.cg_iterations += solved.n_iters
        share = _share(point)
        found = line_search(lambda g: self(point.f, g, share=share), point, solved.x)
        self.stats.newton_steps += found is not None
        return found

    def two_level(self, point: _Point) -> Vector:
        """Return where a Newton step between groups and an update within them lead."""
        between = self._between(point, damped_diagonal(point))(point.gradient)
        between *= min(1.0, STEP_CAP / max(np.abs(between).max(), _TINY))
        log_column = np.log(np.maximum(point.column, _TINY)) - point.g
        within = self.tau_b * (self.log_b - log_column) - point.g
        mean = self._sum(point.target * within) / self._sum(point.target)
        self.stats.sweeps += 1
        g: Vector = point.g + between + within - mean[self.groups]
        return g

    def _between(self, point: _Point, diagonal: Vector) -> Operator:
        """Return ``Z (Z' S Z)^-1 Z'``."""
        matrix = -point.gram
        matrix[np.diag_indices_from(matrix)] += self._sum(diagonal)
        factor = lu_factor(matrix, overwrite_a=True, check_finite=False)
        return lambda v: lu_solve(factor, self._sum(v), check_finite=False)[self.groups]

    def _sum(self, v: Vector) -> Vector:
        return np.bincount(self.groups, weights=v, minlength=self.n_groups)


def _climb(
    passes: _Passes, f: Vector, g: Vector, *, tol: float, last_pass: int, bar: tqdm
) -> tuple[Vector, Vector]:
    """Return the best potentials found within the passes allowed."""
    stats = passes.stats
    point = passes(f, g, share=0.1)
    f, g, least = point.f, point.g, point.error
    history = _Anderson(passes.b)
    while point.error + point.rounding > 0.9 * tol and stats.passes < last_pass:
        before = stats.passes
        found = passes.newton(point)
        if found is None:
            goal = history.next(point.g, passes.two_level(point))
            found = passes(point.f, goal, share=_share(point))
        point = found
        if point.error > 3 * least:  # extrapolated too far
            stats.fallbacks.append("restart")
            history, point = _Anderson(passes.b), passes(f, g, share=0.1)
        if point.error < least:
            f, g, least = point.f, point.g, point.error
        bar.update(stats.passes - before)
        bar.set_postfix(error=f"{least:.1e}")
    return f, g


class _Anderson:
    """Extrapolate a fixed-point iteration from its last steps."""

    def __init__(self, weights: Vector) -> None:
        self._scale = np.sqrt(weights)
        self._moved: list[Vector] = []
        self._residuals: list[Vector] = []

    def next(self, g: Vector, moved: Vector) -> Vector:
        """Return the next point, where ``moved`` is the image of ``g``."""
        self._moved = [*self._moved[-_MEMORY:], moved]
        self._residuals = [*self._residuals[-_MEMORY:], (moved - g) * self._scale]
        if len(self._moved) == 1:
            return moved
        last = self._residuals[-1]
        differences = np.stack([last - r for r in self._residuals[:-1]], 1)
        mix, *_ = np.linalg.lstsq(differences, last, rcond=1e-10)
        mixed: Vector = moved - sum(
            w * (moved - m) for w, m in zip(mix, self._moved[:-1], strict=True)
        )
        return mixed
