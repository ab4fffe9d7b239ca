"""A transport problem: what every solver is given, refuses, and answers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from celltraj._arrays import ArrayLike, as_floats
from celltraj._card import card
from celltraj._errors import ConvergenceError, DataWarning, warn
from celltraj._typing import Earlier, Later
from celltraj.ot._cost import Cost
from celltraj.ot._coupling import Coupling
from celltraj.ot._solver_stats import SolverStats
from celltraj.ot._tiles import marginals_of

# Deaths leave the mass of a plan near 1: what dead cells do not send the others do, since the later
# cells came from somewhere. A hundredth says that pairs pay 4.6 times the prices of both marginals.
LEAST_KEPT = 0.01
# a few cells may be so far from all others that they send nothing, not a tenth of them
_MOST_LOST = 0.1
C = TypeVar("C", bound=Coupling)
_SINGLE, _ROUNDED = (torch.float32, np.float32), 1e-5


@card()
@dataclass(frozen=True)
class Problem:
    r"""Transport with entropy, between marginals that are fixed or relaxed.

    ``min <C, P> + epsilon sum P (log P - 1) + rho_a KL(P 1 | a) + rho_b KL(P' 1 | b)``, or with an
    entropy ``epsilon KL(P | u v')`` that is relative to weights. Fixed marginals have the same plan
    under both.

    Parameters
    ----------
    cost
        ``(n, m)`` ground cost.
    a, b
        ``(n,)`` and ``(m,)`` weights, float64.
    epsilon
        Regularisation, in units of the cost.
    rho_a, rho_b
        Price of missing a marginal, in units of the cost; infinite where it is fixed.
    base
        ``(n,)`` and ``(m,)`` weights ``u`` and ``v`` that the entropy is relative to: two cells of
        half the weight are then the same as one. Without them it counts entries, so that the mass
        of a relaxed plan depends on their number.

    Raises
    ------
    TypeError
        ``cost`` is no :class:`Cost`.
    ValueError
        ``epsilon`` is not positive and finite; weights have another length than the cost, are
        negative, not finite or all zero; both marginals are fixed and their masses differ by more
        than 1e-10.
    """

    cost: Cost
    a: Earlier
    b: Later
    epsilon: float
    rho_a: float = math.inf
    rho_b: float = math.inf
    base: tuple[Earlier, Later] | None = None

    def __post_init__(self) -> None:
        # a float32 epsilon would round every potential
        object.__setattr__(self, "epsilon", float(self.epsilon))
        if not isinstance(self.cost, Cost):
            raise TypeError(
                "cost must be a cost such as ct.ot.SquaredEuclidean(x, y), or "
                f"ct.ot.DenseCost(matrix); found {type(self.cost).__name__}"
            )
        if not (self.epsilon > 0 and math.isfinite(self.epsilon)):
            raise ValueError(f"epsilon must be positive and finite; found {self.epsilon}")
        n, m = len(self.a), len(self.b)
        if (n, m) != self.cost.shape:
            raise ValueError(f"weights of {n} and {m} cells, cost of shape {self.cost.shape}")
        if self.base is not None and len(self.base[0]) != n:
            raise ValueError(f"base holds {len(self.base[0])} weights, a {n}")
        if self.base is not None and bool((self.base[0][self.a > 0] <= 0).any()):
            raise ValueError("base must be positive where a is; it holds the weights of the cells")
        masses = float(self.a.sum()), float(self.b.sum())
        if self.is_balanced and abs(masses[0] - masses[1]) > 1e-10:
            raise ValueError(
                f"masses differ: a sums to {masses[0]!r}, b to {masses[1]!r}; rescale one, or use "
                "Unbalanced where cells divide and die"
            )

    @classmethod
    def of(
        cls,
        cost: Cost,
        a: ArrayLike,
        b: ArrayLike,
        epsilon: float,
        rho: tuple[float, float] = (math.inf, math.inf),
        base: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> Problem:
        """Return the problem of weights in any form; single precision may round their masses.

        Raises
        ------
        TypeError
            Weights that are no real numbers.
        ValueError
            As the problem itself has it.
        """
        is_single = any(getattr(w, "dtype", None) in _SINGLE for w in (a, b))
        left, right = _weights("a", a), _weights("b", b)
        is_balanced = math.isinf(rho[0]) and math.isinf(rho[1])
        if is_single and is_balanced and abs(float(left.sum() / right.sum()) - 1) < _ROUNDED:
            right = right * (left.sum() / right.sum())
        relative_to = None if base is None else (_weights("base", base[0]), _weights("b", base[1]))
        return cls(cost, left, right, epsilon, *rho, relative_to)

    @property
    def is_balanced(self) -> bool:
        """Return whether both marginals are fixed."""
        return math.isinf(self.rho_a) and math.isinf(self.rho_b)

    @property
    def tau_a(self) -> float:
        """Return ``rho_a / (rho_a + epsilon)``, 1 where the rows are fixed."""
        return 1 / (1 + self.epsilon / self.rho_a)

    @property
    def tau_b(self) -> float:
        """Return ``rho_b / (rho_b + epsilon)``, 1 where the columns are fixed."""
        return 1 / (1 + self.epsilon / self.rho_b)

    @property
    def log_a(self) -> Earlier:
        """Return ``log A``, where potentials ask for the row sums ``A exp(-f / rho_a)``.

        Relative to a base ``f`` holds ``epsilon log u``: ``a exp(-(f - epsilon log u) / rho_a)``.
        """
        log_a = self.a.log()
        return (
            log_a if self.base is None else log_a + self.base[0].log() * self.epsilon / self.rho_a
        )

    @property
    def log_b(self) -> Later:
        """Return ``log B``, where potentials ask for the column sums ``B exp(-g / rho_b)``."""
        log_b = self.b.log()
        return (
            log_b if self.base is None else log_b + self.base[1].log() * self.epsilon / self.rho_b
        )

    def without_zeros(self) -> Problem:
        """Return the problem among the cells that carry mass."""
        rows, columns = self.a > 0, self.b > 0
        if bool(rows.all() and columns.all()):
            return self
        return self.take(rows, columns)

    def take(self, rows: Tensor, columns: Tensor) -> Problem:
        """Return the problem among some cells, by index or boolean vectors, with their weights."""
        base = None if self.base is None else (self.base[0][rows], self.base[1][columns])
        cost = self.cost.take(rows, columns)
        return replace(self, cost=cost, a=self.a[rows], b=self.b[columns], base=base)

    def subsample(self, rows: tuple[Tensor, Tensor], columns: tuple[Tensor, Tensor]) -> Problem:
        """Return the problem of some cells that stand for all, each side as cells and ``omega``.

        A cell that stands for ``omega`` has ``omega`` times the weight and a potential higher by
        ``epsilon log omega``: so it takes their part in every sum.
        """
        (i, stand_a), (j, stand_b) = rows, columns
        cost, base, a, b = self.cost.take(i, j), self.base, self.a[i], self.b[j]
        if base is not None:
            base = base[0][i] * stand_a, base[1][j] * stand_b
            return replace(self, cost=cost, a=a * stand_a, b=b * stand_b, base=base)
        a, b = a * stand_a ** (1 / self.tau_a), b * stand_b ** (1 / self.tau_b)
        return replace(self, cost=cost, a=a, b=b)

    def with_zeros(self, f: Tensor, g: Tensor) -> tuple[Earlier, Later]:
        """Return potentials of all cells from those of the cells that carry mass."""
        full_f, full_g = (torch.full_like(w, -torch.inf) for w in (self.a, self.b))
        full_f[self.a > 0], full_g[self.b > 0] = f, g
        return full_f, full_g

    def coupling(
        self,
        f: Earlier,
        g: Later,
        stats: SolverStats,
        *,
        tol: float,
        throw: bool,
        marginals: tuple[Earlier, Later] | None = None,
    ) -> Coupling:
        """Return the coupling of two potentials, with both marginals recomputed from them.

        ``marginals`` are those that were recomputed elsewhere, such as on a GPU.

        Raises
        ------
        ConvergenceError
            Its marginal error exceeds ``tol``, and ``throw`` is set; carries the coupling.
        """
        if marginals is None:
            marginals = marginals_of(self.cost, (f, g), (self.a, self.b), self.epsilon)
        row, column = marginals
        wanted_a = _wanted(f, self.a, self.log_a, self.rho_a)
        wanted_b = _wanted(g, self.b, self.log_b, self.rho_b)
        error = float((row - wanted_a).abs().sum() + (column - wanted_b).abs().sum())
        result = Coupling(
            cost=self.cost,
            f=f,
            g=g,
            a=self.a,
            b=self.b,
            epsilon=self.epsilon,
            marginal_error=error,
            converged=error <= tol,
            n_iters=stats.passes,
            row_mass=row,
            column_mass=column,
            stats=stats,
        )
        return self.checked(result, tol=tol, throw=throw)

    def checked(self, result: C, *, tol: float, throw: bool) -> C:
        """Return a coupling that reached its tolerance and keeps its mass.

        Raises
        ------
        ConvergenceError
            It did not, and ``throw`` is set; carries the coupling.
        """
        if throw and not result.converged:
            raise ConvergenceError(
                f"transport stopped at a marginal error of {result.marginal_error:.1e} (tol "
                f"{tol:.1e}) after {result.stats.passes} passes and {result.stats.sweeps} sweeps "
                f"with {self._scale()}; raise epsilon (or sigma), the solver's limit or tol, or "
                "pass throw=False",
                result,
            )
        if not self.is_balanced:
            self._check_kept(result, throw=throw)
        return result

    def _scale(self) -> str:
        mean = self.cost.mean()
        relative = self.epsilon / mean if mean else math.inf
        return f"epsilon {self.epsilon:.3g} = {relative:.2g} x the mean cost"

    def _check_kept(self, result: Coupling, *, throw: bool) -> None:
        """Raise where nearly all mass vanished, and warn of cells that lost all of theirs."""
        kept = self._kept(result)
        earlier = _lost("earlier cells have no descendants", result.row_mass, self.a)
        later = _lost("later cells have no ancestors", result.column_mass, self.b)
        lost = ", ".join(text for _, text in (earlier, later) if text)
        if throw and (kept < LEAST_KEPT or max(earlier[0], later[0]) > _MOST_LOST):
            raise ConvergenceError(
                f"the coupling keeps {kept:.2g} of the mass{lost and f' ({lost})'}: to move costs "
                f"more than to leave cells out, with {self._scale()}, tau_a {self.tau_a:.3g} and "
                f"tau_b {self.tau_b:.3g}. Raise epsilon (or sigma), to about .05 x the mean cost, "
                "or tau towards 1; throw=False of the solver returns the coupling as it is",
                result,
            )
        if lost:
            warn(
                f"{lost}: they lie hundreds of epsilons from all others, with {self._scale()}; "
                "their fates are NaN, their growth is minus infinity. Raise epsilon (or sigma), or "
                "leave these cells out",
                DataWarning,
            )

    def _kept(self, result: Coupling) -> float:
        """Return the plan's mass over that of a plan between cells that need not move.

        A constant in the cost, such as that of a density, changes the mass and nothing else:
        where little is kept the least cost counts as none.
        """
        price_a, price_b = self.epsilon + self.rho_a, self.epsilon + self.rho_b
        total = price_a + price_b - self.epsilon
        mass = float(result.row_mass.sum())
        if math.isinf(total) or mass == 0:  # a fixed marginal keeps its mass
            return float(mass > 0)
        logs = math.log(float(self.a.sum())), math.log(float(self.b.sum()))
        kept = mass / math.exp((price_a * logs[0] + price_b * logs[1]) / total)
        if kept < LEAST_KEPT:
            least = min(float(block.min()) for _, block in self.cost.blocks())
            kept *= math.exp(min(least / total, 700.0))
        return kept


def _lost(what: str, mass: Tensor, weights: Tensor) -> tuple[float, str]:
    """Return the share of cells that lost all of their mass, and the sentence that says so."""
    n, n_lost = int((weights > 0).sum()), int(((mass == 0) & (weights > 0)).sum())
    return n_lost / n, f"{n_lost} of {n} {what}" if n_lost else ""


def _weights(name: str, weights: ArrayLike) -> Tensor:
    found = as_floats(weights, f"weights {name}", "(n,)")
    if float(found.min()) < 0:
        raise ValueError(f"weights {name} must be non-negative; found {float(found.min())}")
    if not float(found.sum()) > 0:
        raise ValueError(f"weights {name} sum to zero; at least one must be positive")
    return found


def _wanted(potential: Tensor, weights: Tensor, log_weights: Tensor, rho: float) -> Tensor:
    if math.isinf(rho):
        return weights
    return torch.where(weights > 0, (log_weights - potential / rho).exp(), 0.0)
