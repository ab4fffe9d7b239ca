"""The plan of two potentials, whose sums are estimated from cells drawn by importance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from celltraj._arrays import ArrayLike, as_rows, takes_arrays
from celltraj._card import card
from celltraj._typing import Earlier
from celltraj.ot._card_facts import coupling_facts
from celltraj.ot._cost import ProductCost
from celltraj.ot._coupling import Coupling
from celltraj.ot._importance import Block, SampledPlan, Side, log_sums, plan_factors
from celltraj.ot._problem import Problem
from celltraj.ot._solver_stats import SolverStats
from celltraj.ot.checks import check_mass
from celltraj.ot.sampling import draw_columns, systematic

_CHECKED = 1500  # rows, and columns, whose sums are taken over all cells
_ROWS = 10_000  # of a sparse plan at once
_DRAWS = 2000  # cells that a stratum draws to be asked by users of a plan


@card(coupling_facts)
@dataclass(frozen=True)
class StratifiedCoupling(Coupling):
    """Entropic optimal transport plan, held by its potentials and asked in linear time.

    ``P_ij = exp((f_i + g_j - C_ij) / epsilon)``. What is asked of a cell is a mean over 2,000 cells
    of the other side, drawn by importance for its stratum, times its mass; ``to_dense``,
    ``to_sparse`` and ``extend`` take every pair.

    Parameters
    ----------
    rows, columns
        The plan as the earlier and as the later cells see it.
    error_sd
        Standard error of ``marginal_error``, which is measured on 1,500 rows and columns.
    seed
        Seed of the draws.
    """

    rows: SampledPlan
    columns: SampledPlan
    error_sd: float
    seed: int

    @classmethod
    def of_sides(
        cls,
        problem: Problem,
        sides: tuple[Side, Side],
        potentials: tuple[Tensor, Tensor],
        stats: SolverStats,
        *,
        tol: float,
        throw: bool,
        seed: int,
    ) -> StratifiedCoupling:
        """Return the plan of potentials ``(n,)`` and ``(m,)`` of the cells in their strata.

        Raises
        ------
        ConvergenceError
            Its marginal error exceeds ``tol``, and ``throw`` is set.
        """
        full: list[Tensor] = []
        for side, potential, weights in zip(sides, potentials, (problem.a, problem.b), strict=True):
            f, mass = torch.full_like(weights, -torch.inf), torch.zeros_like(weights)
            f[side.cells] = potential * problem.epsilon
            mass[side.cells] = side.log_wanted(potential).exp()
            full += [f, mass]
        error, sd = marginal_error(sides, potentials, [seed, 1])
        rows, columns = _views(sides, potentials, seed)
        found = cls(
            cost=problem.cost,
            f=full[0],
            g=full[2],
            a=problem.a,
            b=problem.b,
            epsilon=problem.epsilon,
            marginal_error=error,
            converged=error <= tol,
            n_iters=stats.passes,
            row_mass=full[1],
            column_mass=full[3],
            stats=stats,
            rows=rows,
            columns=columns,
            error_sd=sd,
            seed=seed,
        )
        return problem.checked(found, tol=tol, throw=throw)

    @classmethod
    def of_coupling(cls, one: Coupling, *, seed: int = 0) -> StratifiedCoupling:
        """Return a plan that is known by its potentials, to be asked in linear time.

        Raises
        ------
        TypeError
            Its cost is no product of features.
        """
        later_mass = one.column_mass * (one.row_mass.sum() / one.column_mass.sum())
        problem = Problem(one.cost, one.row_mass, later_mass, one.epsilon)
        sides = sides_of(problem, seed)
        phi, gamma = (
            potential[side.cells] / one.epsilon
            for side, potential in zip(sides, (one.f, one.g), strict=True)
        )
        rows, columns = _views(sides, (phi, gamma), seed)
        known = {name: getattr(one, name) for name in (field.name for field in fields(Coupling))}
        return cls(
            **known,
            rows=rows,
            columns=columns,
            error_sd=math.nan,
            seed=seed,
        )

    def push(self, v: ArrayLike) -> Tensor:
        """Return ``P' v`` for ``v`` of shape ``(n,)`` or ``(n, k)``."""
        return self._mean(self.columns, as_rows(v, len(self.f), "v"), self.column_mass)

    def pull(self, v: ArrayLike) -> Tensor:
        """Return ``P v`` for ``v`` of shape ``(m,)`` or ``(m, k)``."""
        return self._mean(self.rows, as_rows(v, len(self.g), "v"), self.row_mass)

    def _mean(self, plan: SampledPlan, v: Tensor, mass: Tensor) -> Tensor:
        """Return means of ``v`` over what each target sees, times its mass."""
        found = torch.zeros((len(mass), *v.shape[1:]), dtype=v.dtype)
        values = v[plan.sources.cells]
        found[plan.targets.cells] = plan.asked(_means, _DRAWS, [self.seed, 4], values)
        return found * (mass if v.ndim == 1 else mass[:, None])

    def entropy(self) -> Earlier:
        """Return the ``(n,)`` entropy of where each earlier cell goes, in nats; NaN for nowhere."""
        found = torch.full_like(self.f, torch.nan)
        seen = self.rows.asked(_entropies, _DRAWS, [self.seed, 4])
        found[self.rows.targets.cells] = seen.to(found.dtype)
        return found

    def to_sparse(self, *, mass: float = 1e-3) -> csr_array:
        """Return the plan with so many later cells drawn for each that ``mass`` is told apart.

        A tenth of ``1 / mass`` of them, 100 by default; with ``mass=0`` every entry.
        """
        check_mass(mass)
        return self.drawn(math.ceil(0.1 / mass)) if mass > 0 else super().to_sparse(mass=0)

    def sparse_rows(self, *, mass: float = 1e-3) -> Iterator[tuple[int, csr_array]]:
        """Yield rows of :meth:`to_sparse` in blocks, each with the number of its first row."""
        if mass == 0:
            yield from super().sparse_rows(mass=0)
            return
        plan = self.to_sparse(mass=mass)
        for start in range(0, plan.shape[0], _ROWS):
            yield start, plan[start : start + _ROWS]

    def report(self) -> dict[str, object]:
        """Return what was reached and what it took, one row of a table."""
        return super().report() | {"marginal_error_sd": self.error_sd}

    @takes_arrays
    def sample(
        self, n: int, *, generator: torch.Generator, rows: Earlier | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` index pairs ``(i, j)`` from the plan, each of shape ``(n,)``.

        ``rows (n,)`` are the shares in which earlier cells are drawn, by default those of the plan.
        """
        i = systematic(self.row_mass if rows is None else rows, n, generator)
        seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
        order = torch.randperm(n, generator=generator)
        return i[order], self.partners(i, seed)[order]

    def partners(self, i: Tensor, seed: int) -> Tensor:
        """Return for each earlier cell ``i (n,)`` a later one, drawn from its row of the plan."""
        return _partners(self.rows, len(self.f), i, [self.seed, 5, seed])

    def drawn(self, n: int) -> csr_array:
        """Return the plan with ``n`` later cells drawn for each earlier one, ``(n, m)`` CSR."""
        rows = self.rows.targets.cells.repeat_interleave(n)
        columns = self.partners(rows, 0)
        mass = (self.row_mass / n)[rows]
        plan = csr_array((mass.numpy(), (rows.numpy(), columns.numpy())), shape=self.cost.shape)
        plan.sum_duplicates()
        return plan


def sides_of(problem: Problem, seed: int) -> tuple[Side, Side]:
    """Return both sides of a problem whose cost is a product of features.

    Raises
    ------
    TypeError
        It is none.
    """
    cost = problem.cost
    if not isinstance(cost, ProductCost):
        raise TypeError(
            f"a {type(cost).__name__} is no product of features of two cells; take "
            "ct.ot.SquaredEuclidean(x, y) or the cost of a Gaussian law, or a solver of any cost, "
            "ct.ot.Multiscale()"
        )
    factors, (x, y) = cost.factors(), cost.ends
    e, rng = problem.epsilon, np.random.default_rng([seed, 0])
    earlier = -factors.left / e, -factors.u / e, problem.log_a
    later = factors.right, -factors.v / e, problem.log_b
    rows, columns = (weights.nonzero().flatten() for weights in (problem.a, problem.b))
    return (
        Side.of(x, rows, earlier, e / problem.rho_a, rng),
        Side.of(y, columns, later, e / problem.rho_b, rng),
    )


def _views(
    sides: tuple[Side, Side], potentials: tuple[Tensor, Tensor], seed: int
) -> tuple[SampledPlan, SampledPlan]:
    """Return the plan as its rows and as its columns see it."""
    return (
        SampledPlan.of(*sides, potentials, [seed, 2]),
        SampledPlan.of(*sides[::-1], potentials[::-1], [seed, 3]),
    )


def marginal_error(
    sides: tuple[Side, Side], potentials: tuple[Tensor, Tensor], seed: Sequence[int]
) -> tuple[float, float]:
    """Return the L1 error of both marginals together, and its standard error.

    Over 1,500 cells of each side, drawn by the mass that is asked of them, and all of the other.
    """
    generator = torch.Generator().manual_seed(int(np.random.default_rng(seed).integers(2**31)))
    error = variance = 0.0
    pairs = [(*sides, *potentials), (*sides[::-1], *potentials[::-1])]
    for targets, sources, wanted, given in pairs:
        asked = targets.log_wanted(wanted).exp()
        places = systematic(asked, _CHECKED, generator)
        parts = plan_factors(targets, sources, (wanted, given))
        missed = (log_sums((parts[0][places], parts[1])).exp() - 1).abs()
        mass = float(asked.sum())
        error += mass * float(missed.mean())
        variance += mass**2 * float(missed.var()) / len(places)
    return error, variance**0.5


def _means(block: Block, values: Tensor) -> Tensor:
    """Return the means of ``values`` over what each target of a block sees."""
    part, found = values[block.drawn], []
    part = part if values.ndim > 1 else part[:, None]
    part = torch.cat([part, torch.ones_like(part[:, :1])], 1)  # one product sums the entries too
    for _, entries in block.tiles():
        sums = entries.to(part.dtype) @ part
        found.append(sums[:, :-1] / sums[:, -1:])
    means = torch.cat(found)
    return means if values.ndim > 1 else means[:, 0]


def _entropies(block: Block) -> Tensor:
    """Return the entropies of what each target of a block sees, in nats."""
    found = []
    for _, entries in block.tiles():
        seen = entries.double()
        total = seen.sum(1)
        logs = torch.special.xlogy(seen, seen).sum(1) + seen @ block.log_inclusion
        found.append(total.log() - logs / total)
    return torch.cat(found)


def _partners(plan: SampledPlan, n: int, i: Tensor, seed: Sequence[int]) -> Tensor:
    """Return a source for each of the targets ``i``, by the inverse of the summed entries."""
    place = torch.full((n,), -1)
    place[plan.targets.cells] = torch.arange(len(plan.targets.cells))
    at, order = place[i].sort(stable=True)
    uniform = torch.from_numpy(np.random.default_rng(seed).random(len(i)))
    found = torch.empty_like(at)
    for block in plan.blocks(_DRAWS, seed):
        for rows, entries in block.tiles():
            start, stop = torch.searchsorted(at, torch.tensor([rows.start, rows.stop])).tolist()
            if start == stop:
                continue
            hit = draw_columns(entries, at[start:stop] - rows.start, uniform[start:stop])
            found[start:stop] = plan.sources.cells[block.drawn[hit]]
    drawn = torch.empty_like(found)
    drawn[order] = found
    return drawn
