"""A transport problem: what every solver is given, refuses, and answers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._errors import ConvergenceError
from celltraj._kernels import sum_rows
from celltraj._typing import Earlier, Later
from celltraj.ot._cost import Cost
from celltraj.ot._coupling import Coupling, Effort


@card()
@dataclass(frozen=True)
class Problem:
    r"""Transport with entropy, between marginals that are fixed or relaxed.

    ``min <C, P> + epsilon sum P (log P - 1) + rho_a KL(P 1 | a) + rho_b KL(P' 1 | b)``

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

    Raises
    ------
    ValueError
        ``epsilon`` is not positive and finite; weights have another length than the cost, are
        negative, not finite, not float64 or all zero; both marginals are fixed and their masses
        differ by more than 1e-10.
    """

    cost: Cost
    a: Earlier
    b: Later
    epsilon: float
    rho_a: float = math.inf
    rho_b: float = math.inf

    def __post_init__(self) -> None:
        # a float32 epsilon would round every potential
        object.__setattr__(self, "epsilon", float(self.epsilon))
        if not (self.epsilon > 0 and math.isfinite(self.epsilon)):
            raise ValueError(f"epsilon must be positive and finite; found {self.epsilon}")
        n, m = len(self.a), len(self.b)
        if (n, m) != self.cost.shape:
            raise ValueError(f"weights of {n} and {m} cells, cost of shape {self.cost.shape}")
        _check_weights("a", self.a)
        _check_weights("b", self.b)
        masses = float(self.a.sum()), float(self.b.sum())
        if self.is_balanced and abs(masses[0] - masses[1]) > 1e-10:
            raise ValueError(
                f"masses differ: a sums to {masses[0]!r}, b to {masses[1]!r}; rescale one, or use "
                "Unbalanced where cells divide and die"
            )

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

    def without_zeros(self) -> Problem:
        """Return the problem among the cells that carry mass."""
        rows, columns = self.a > 0, self.b > 0
        if bool(rows.all() and columns.all()):
            return self
        cost = self.cost.take(rows, columns)
        return replace(self, cost=cost, a=self.a[rows], b=self.b[columns])

    def with_zeros(self, f: Tensor, g: Tensor) -> tuple[Earlier, Later]:
        """Return potentials of all cells from those of the cells that carry mass."""
        full_f, full_g = (torch.full_like(w, -torch.inf) for w in (self.a, self.b))
        full_f[self.a > 0], full_g[self.b > 0] = f, g
        return full_f, full_g

    def coupling(
        self, f: Earlier, g: Later, effort: Effort, *, tol: float, throw: bool
    ) -> Coupling:
        """Return the coupling of two potentials, with both marginals recomputed from them.

        Raises
        ------
        ConvergenceError
            Its marginal error exceeds ``tol``, and ``throw`` is set; carries the coupling.
        """
        row, column = self._marginals(f, g)
        wanted_a, wanted_b = _wanted(f, self.a, self.rho_a), _wanted(g, self.b, self.rho_b)
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
            n_iters=effort.passes,
            row_mass=row,
            column_mass=column,
            effort=effort,
        )
        if throw and not result.converged:
            relative = self.epsilon / self.cost.mean() if self.cost.mean() else math.inf
            raise ConvergenceError(
                f"transport stopped at a marginal error of {error:.1e} (tol {tol:.1e}) after "
                f"{effort.passes} passes with epsilon {self.epsilon:.3g} = {relative:.2g} x the "
                "mean cost; raise epsilon (or sigma), the solver's limit or tol, or pass "
                "throw=False",
                result,
            )
        return result

    def _marginals(self, f: Earlier, g: Later) -> tuple[Earlier, Later]:
        row, column = torch.zeros_like(f), torch.zeros_like(g)
        scaled_f, scaled_g = (f / self.epsilon).numpy(), (g / self.epsilon).numpy()
        for rows, block in self.cost.blocks():
            sums = row[rows].numpy(), column.numpy()
            sum_rows(block.numpy(), scaled_f[rows], scaled_g, 1 / self.epsilon, *sums)
        column[torch.isneginf(g)] = 0  # the kernel clamps exponents
        return row, column


def _check_weights(name: str, weights: Tensor) -> None:
    if not (isinstance(weights, Tensor) and weights.dtype == torch.float64):
        found = f"{type(weights).__name__} of {weights.dtype}"
        raise ValueError(
            f"weights {name} must be a torch tensor of float64; found {found}; "
            "torch.as_tensor(weights, dtype=torch.float64) makes one"
        )
    if not bool(torch.isfinite(weights).all()):
        raise ValueError(f"weights {name} must be finite; found NaN or infinite values")
    if float(weights.min()) < 0:
        raise ValueError(f"weights {name} must be non-negative; found {float(weights.min())}")
    if not float(weights.sum()) > 0:
        raise ValueError(f"weights {name} sum to zero; at least one must be positive")


def _wanted(potential: Tensor, weights: Tensor, rho: float) -> Tensor:
    if math.isinf(rho):
        return weights
    return torch.where(weights > 0, weights * (-potential / rho).exp(), 0.0)
