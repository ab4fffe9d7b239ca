"""Unbalanced entropic transport: marginals may be missed, for a price."""

from __future__ import annotations

import math
from dataclasses import dataclass

from celltraj._arrays import ArrayLike
from celltraj._checks import checked_fields
from celltraj.ot._balanced import BLOCK_TOL, DENSE_LIMIT, WHOLE_TOL, solved_by_draws
from celltraj.ot._cost import Cost
from celltraj.ot._coupling import Coupling
from celltraj.ot._multiscale import Multiscale
from celltraj.ot._need import is_held_whole, side_within_limit
from celltraj.ot._problem import Problem
from celltraj.ot._solver_stats import SolverStats
from celltraj.ot._sparse_newton import solve_potentials


@checked_fields
@dataclass(frozen=True)
class Unbalanced:
    r"""Unbalanced optimal transport with entropy: marginals may be missed, for a price.

    ``min <C, P> + epsilon KL(P | u b') + rho_a KL(P 1 | a) + rho_b KL(P' 1 | b)``, ``rho = tau
    epsilon / (1 - tau)``; ``tau = 1`` fixes a marginal. The plan's marginals are ``row_mass`` and
    ``column_mass`` of the coupling, ``growth()`` is what each cell sends over what it was given.
    Expected growth enters as ``a``, the mass a cell is to send, while ``u`` stays the weight of the
    cell itself. Nothing depends on how many cells were sampled: two cells of half the weight are
    the same as one.

    With ``J`` the objective of the plan scaled to mass 1, the plan's own mass is
    ``exp(-J / (epsilon + rho_a + rho_b))`` for ``a`` and ``b`` of sum 1: nearly 1 where moving is
    cheap beside the prices of missing a marginal, next to nothing where it is dear. A plan that
    keeps less than a hundredth, or leaves a tenth of the cells with nothing, is refused.

    Parameters
    ----------
    tau_a, tau_b
        How firmly the marginals hold, in (0, 1], as in moscot and OTT.
    tol
        L1 error of both optimality conditions together, in units of mass, at which to stop; by
        default as for :func:`solve`, 1e-6 where the plan is held whole, else 1e-3.
    reg_type
        ``"kl"`` as above (POT), or ``"entropy"``: ``epsilon sum P (log P - 1)`` (OTT, moscot),
        whose plan is the same but for one factor where weights are equal. That factor grows with
        the numbers of cells.
    max_steps
        Newton steps at the target epsilon (problems held whole).
    throw
        Whether to raise when ``tol`` is not reached or nearly all mass is lost; otherwise
        ``Coupling.converged`` and its masses say so.

    References
    ----------
    Chizat, Peyre, Schmitzer & Vialard, *Scaling algorithms for unbalanced optimal transport
    problems* (2018); Sejourne, Vialard & Peyre, *Faster unbalanced optimal transport* (2022).

    Examples
    --------
    >>> import torch
    >>> from celltraj.ot import SquaredEuclidean, Unbalanced
    >>> x = torch.tensor([[0.0], [1.0]]).double()
    >>> a, b = torch.tensor([0.5, 0.5]).double(), torch.tensor([0.9, 0.1]).double()
    >>> coupling = Unbalanced(tau_a=0.9)(SquaredEuclidean(x, x), a, b, epsilon=0.1)
    >>> bool(coupling.growth()[0] > 1 > coupling.growth()[1])  # the first cell's fate is common
    True
    """

    tau_a: float = 0.95
    tau_b: float = 0.99
    tol: float | None = None
    reg_type: str = "kl"
    max_steps: int = 60
    throw: bool = True

    def __post_init__(self) -> None:
        for name, tau in (("tau_a", self.tau_a), ("tau_b", self.tau_b)):
            if not 0 < tau <= 1:
                raise ValueError(f"{name} must lie in (0, 1]; found {tau}")
        if self.reg_type not in ("entropy", "kl"):
            raise ValueError(f'reg_type must be "entropy" or "kl"; found {self.reg_type!r}')

    @property
    def is_balanced(self) -> bool:
        """Return whether both marginals are fixed."""
        return self.tau_a == self.tau_b == 1

    def __call__(
        self,
        cost: Cost,
        a: ArrayLike,
        b: ArrayLike,
        *,
        epsilon: float,
        base: ArrayLike | None = None,
    ) -> Coupling:
        """Return the coupling of ``a`` and ``b`` at ``epsilon``, in units of the cost.

        ``base (n,)`` are the weights ``u`` of the earlier cells, where ``a`` holds what else is
        expected of them; ``a`` by default. ``reg_type="entropy"`` has no use for them.

        Raises
        ------
        ValueError
            ``epsilon <= 0``, wrong shapes, weights that are negative or not finite; masses differ
            where both marginals are fixed; a base of zero where ``a`` is not.
        ConvergenceError
            The tolerance was not reached, or less than a hundredth of the mass is kept; carries the
            coupling as ``result``.
        """
        problem = self.problem(cost, a, b, epsilon=epsilon, base=base)
        if (drawn := solved_by_draws(problem, self.tol)) is not None:
            return drawn
        stats = SolverStats()
        is_whole = is_held_whole(cost, DENSE_LIMIT)
        tol = (WHOLE_TOL if is_whole else BLOCK_TOL) if self.tol is None else self.tol
        if is_whole:
            f, g = solve_potentials(problem, stats, tol=tol, max_steps=self.max_steps)
        else:
            side = side_within_limit(Multiscale.n_coarse)
            blocks = Multiscale(tol=tol, n_coarse=side, progress=False)
            f, g = blocks.solve_potentials(problem, stats)
        return problem.coupling(f, g, stats, tol=tol, throw=self.throw)

    def problem(
        self,
        cost: Cost,
        a: ArrayLike,
        b: ArrayLike,
        *,
        epsilon: float,
        base: ArrayLike | None = None,
    ) -> Problem:
        """Return the problem that a call solves: prices and entropy of these marginals."""
        rho = tuple(
            math.inf if tau == 1 else tau * float(epsilon) / (1 - tau)
            for tau in (self.tau_a, self.tau_b)
        )
        relative_to = (a if base is None else base, b) if self.reg_type == "kl" else None
        return Problem.of(cost, a, b, epsilon, (rho[0], rho[1]), relative_to)
