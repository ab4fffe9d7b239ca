r"""Entropic transport of hundreds of thousands of cells, in time linear in their number.

Sinkhorn's iteration asks for row and column sums of the plan, and a few per cent are enough of
them: each is estimated from thousands of cells drawn by importance, see :mod:`_importance`. The
start is a subsample that is solved whole and extended to all cells by the c-transform; two or three
pairs of half-steps then bring all potentials to the error that is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from tqdm.auto import tqdm

from celltraj._arrays import ArrayLike
from celltraj._checks import checked_fields
from celltraj.ot._cost import Cost
from celltraj.ot._importance import SampledPlan, Side, log_sums
from celltraj.ot._problem import Problem
from celltraj.ot._solver_stats import SolverStats
from celltraj.ot._sparse_newton import solve_potentials
from celltraj.ot._stratified_coupling import StratifiedCoupling, marginal_error, sides_of

_PAIRS = 6  # of half-steps at most
_FEWEST = 600  # cells a side of a subsample, and draws
_PART = 6  # a subsample is this part of the cells where they are few
_MORE = 2.5  # draws of the second pair of half-steps over those of the first,
_BROAD = 40.0  # and at least so many over the root of the number of cells
_FALL = 0.8  # power of draws by which errors fall, or more: the cells that matter are all met
_FAR = 0.2  # mean error of a half-step above which epsilon is too small to draw for,
_MANY = 10_000  # if it draws so many


@checked_fields
@dataclass(frozen=True)
class Stratified:
    r"""Stratified Sinkhorn: entropic optimal transport in time linear in the cells.

    ``min <C, P> + epsilon sum P (log P - 1)`` with ``P 1 = a``, ``P' 1 = b``, by Sinkhorn's
    iteration with row and column sums estimated from ``S`` cells that each stratum of cells draws
    by importance: ``O((n + m) S d)`` operations, ``O((n + m) d)`` memory. The error of marginals is
    measured on 1,500 rows and columns against all cells.

    Parameters
    ----------
    tol
        L1 error of both marginals together, in units of mass, at which to stop.
    n_start
        Cells a side of the subsample to start from; at most a sixth of the cells, or 600.
    n_draws
        Cells ``S`` that a stratum draws in the first pair of half-steps, at most as many as that
        too; 2.5 times as many in the second, then as many as the error asks for.
    max_draws
        The most of them.
    throw
        Whether to raise when ``tol`` is not reached; otherwise ``Coupling.converged`` says so.
    seed
        Seed of strata and draws.
    progress
        Whether to show a progress bar over half-steps.

    Raises
    ------
    ValueError
        A number is not positive.

    References
    ----------
    Cuturi, *Sinkhorn distances* (2013), for the iteration.

    Examples
    --------
    >>> import torch
    >>> from celltraj.ot import SquaredEuclidean, Stratified
    >>> x = torch.linspace(0, 1, 2000, dtype=torch.float64)[:, None]
    >>> a = torch.full((2000,), 1 / 2000, dtype=torch.float64)
    >>> cost = SquaredEuclidean(x, x + 1)
    >>> coupling = Stratified(n_start=500, n_draws=500)(cost, a, a, epsilon=0.05 * cost.mean())
    >>> bool(coupling.marginal_error < 0.04)
    True
    """

    is_balanced: ClassVar[bool] = True

    tol: float = 0.04
    n_start: int = 4000
    n_draws: int = 4000
    max_draws: int = 40_000
    throw: bool = True
    seed: int = 0
    progress: bool = field(default=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not min(self.tol, self.n_start, self.n_draws, self.max_draws) > 0:
            raise ValueError(
                "tol, n_start, n_draws and max_draws must be positive; found "
                f"{self.tol}, {self.n_start}, {self.n_draws} and {self.max_draws}"
            )

    def __call__(
        self, cost: Cost, a: ArrayLike, b: ArrayLike, *, epsilon: float
    ) -> StratifiedCoupling:
        """Return the coupling of ``a`` and ``b`` at ``epsilon``, in units of the cost.

        Raises
        ------
        TypeError
            The cost is no product of features: not a squared distance, nor that of a Gaussian law.
        ValueError
            ``epsilon <= 0``, wrong shapes, weights that are negative or not finite, unequal masses.
        ConvergenceError
            The tolerance was not reached; carries the coupling as ``result``.
        """
        return self.coupling(Problem.of(cost, a, b, epsilon))

    def coupling(self, problem: Problem) -> StratifiedCoupling:
        """Return the coupling of a problem, whose marginals may be relaxed.

        Raises
        ------
        TypeError, ConvergenceError
            As a call has it.
        """
        sides, stats = sides_of(problem, self.seed), SolverStats()
        most = max(_FEWEST, min(len(side.cells) for side in sides) // _PART)
        potentials = _start(problem, sides, min(self.n_start, most), stats)
        draws = min(self.n_draws, self.max_draws, most)
        with tqdm(desc="transport", unit="half-step", disable=not self.progress) as bar:
            for pair in range(_PAIRS):
                potentials, far = _pair(sides, potentials, draws, [self.seed, pair])
                stats.sweeps += 2
                bar.update(2)
                bar.set_postfix(error=f"{far:.1e}", draws=draws)
                if pair == 0:  # slow modes of the start are not seen in the marginals of one pair
                    broad = min(_BROAD * math.sqrt(max(len(s.cells) for s in sides)), most)
                    draws = min(self.max_draws, int(max(_MORE * draws, broad)))
                    continue
                error = marginal_error(sides, potentials, [self.seed, pair, 2])[0]
                if error <= self.tol or draws == self.max_draws:
                    break
                if far > _FAR and draws >= _MANY:
                    break
                more = 1.1 * (error / self.tol) ** (1 / _FALL)
                draws = min(self.max_draws, int(max(1.2, more) * draws))
        return StratifiedCoupling.of_sides(
            problem, sides, potentials, stats, tol=self.tol, throw=self.throw, seed=self.seed
        )


def _start(
    problem: Problem, sides: tuple[Side, Side], n: int, stats: SolverStats
) -> tuple[Tensor, Tensor]:
    """Return potentials of all cells, in units of epsilon, from a subsample that is solved whole.

    Slow modes of the iteration move mass between strata far apart, so that each stratum has its
    mass in the subsample: what is wrong there, no few half-steps would mend.
    """
    (earlier, later), draws = sides, [side.spread(n) for side in sides]
    (rows, stand_a), (columns, stand_b) = draws
    few = problem.subsample((earlier.cells[rows], stand_a), (later.cells[columns], stand_b))
    f, _ = solve_potentials(few, stats, tol=1e-3 * float(few.a.sum()), max_steps=30)
    phi = torch.full((len(earlier.cells),), -torch.inf, dtype=torch.float64)
    phi[rows] = f / problem.epsilon
    gamma = _transformed(later, earlier, phi, rows)
    raised = gamma.clone()
    raised[columns] += stand_b.log()
    return _transformed(earlier, later, raised, columns), gamma


def _transformed(targets: Side, sources: Side, potential: Tensor, drawn: Tensor) -> Tensor:
    """Return the c-transform ``(n,)`` of the potential of some of the sources."""
    given = sources.factors(potential, is_source=True)[drawn]
    wanted = targets.factors(-targets.log_weight, is_source=False)
    return -log_sums((wanted, given)) / (1 + targets.relaxed)


def _pair(
    sides: tuple[Side, Side], potentials: tuple[Tensor, Tensor], draws: int, seed: Sequence[int]
) -> tuple[tuple[Tensor, Tensor], float]:
    """Return potentials after a half-step of either side, and how far these were from them.

    Of ``L = log sum exp(phi + gamma) k - log wanted`` a step of the marginal's own price is
    ``gamma - L / (1 + epsilon / rho)``.
    """
    (earlier, later), (phi, gamma) = sides, potentials
    gamma, mass, far_later = _half_step(later, earlier, (gamma, phi), draws, [*seed, 0])
    phi, gamma = _shifted(sides, (phi, gamma), mass)
    phi, mass, far_earlier = _half_step(earlier, later, (phi, gamma), draws, [*seed, 1])
    return _shifted(sides, (phi, gamma), mass), max(far_later, far_earlier)


def _half_step(
    targets: Side,
    sources: Side,
    potentials: tuple[Tensor, Tensor],
    draws: int,
    seed: Sequence[int],
) -> tuple[Tensor, float, float]:
    """Return the new potential of the targets, the mass of the plan and the mean error before."""
    plan = SampledPlan.of(targets, sources, potentials, seed)
    log_sums, old = plan.log_sums(draws, seed), potentials[0]
    asked = targets.log_wanted(old).exp()
    far = float((asked * (log_sums.exp() - 1).abs()).sum() / asked.sum())
    new = old - log_sums / (1 + targets.relaxed)
    mass = float((asked * (log_sums + new - old).exp()).sum())
    return new, mass, far


def _shifted(
    sides: tuple[Side, Side], potentials: tuple[Tensor, Tensor], mass: float
) -> tuple[Tensor, Tensor]:
    """Return potentials with the constants under which the masses of the plan agree.

    Sinkhorn's iteration moves a constant by a small part at a time where both marginals are
    relaxed; the dual is maximal in it in closed form.
    """
    if not any(side.relaxed for side in sides):
        return potentials
    wanted = [
        float(side.log_wanted(one).logsumexp(0))
        for side, one in zip(sides, potentials, strict=True)
    ]
    # the constants (s, t) that solve s e_a + log M + s + t = log A, and so for b: e = epsilon / rho
    e_a, e_b = (side.relaxed for side in sides)
    left, right = (one - math.log(mass) for one in wanted)
    determinant = (1 + e_a) * (1 + e_b) - 1
    s = ((1 + e_b) * left - right) / determinant
    t = ((1 + e_a) * right - left) / determinant
    return potentials[0] + s, potentials[1] + t
