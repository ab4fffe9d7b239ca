"""Balanced entropic transport by the solver that suits its size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from celltraj._arrays import ArrayLike
from celltraj._checks import checked_fields
from celltraj._errors import DataWarning, warn
from celltraj.ot._cost import Cost, ProductCost
from celltraj.ot._coupling import Coupling
from celltraj.ot._multiscale import Multiscale
from celltraj.ot._need import is_held_whole, side_within_limit
from celltraj.ot._problem import Problem
from celltraj.ot._sparse_newton import SparseNewtonSinkhorn
from celltraj.ot._stratified import Stratified
from celltraj.ot._stratified_coupling import StratifiedCoupling

DENSE_LIMIT = 36_000_000  # entries of a cost that is held whole, once itself and once as a plan
WHOLE_TOL, BLOCK_TOL = 1e-6, 1e-3  # of the mass: as SparseNewtonSinkhorn and Multiscale have it
DRAWN_LIMIT, DRAWN_TOL = 100_000_000, 0.04  # pairs, from which a few of them are drawn
_LEAST_DRAWN_TOL = 0.01  # which takes more draws than all pairs cost
_QUADRATIC = 1_000_000_000  # pairs, above which to take all of them is told


@checked_fields
@dataclass(frozen=True)
class Balanced:
    """Entropic optimal transport between fixed marginals, by the solver that suits its size.

    ``min <C, P> + epsilon sum P (log P - 1)`` with ``P 1 = a``, ``P' 1 = b``:
    :class:`SparseNewtonSinkhorn` up to 36 million pairs (6,000 x 6,000 cells), where two arrays of
    that size are held; :class:`Multiscale` above, where none is; from 100 million pairs on
    :class:`Stratified`, in time linear in the cells, where the cost is a product of features and
    ``tol`` allows. Where ``epsilon`` is too small to draw for, :class:`Multiscale` again, in
    quadratic time. A plan that would take more than half of :func:`celltraj.memory_limit` is not
    held whole, however small. ``ct.ot.solve`` is this solver with its defaults.

    Parameters
    ----------
    tol
        L1 error of both marginals together, in units of mass; by default 1e-6 where the plan is
        held whole, 1e-3 up to 100 million pairs and .04 above. Below .01 every pair counts.
    throw
        Whether to raise when ``tol`` is not reached; otherwise ``Coupling.converged`` says so.
    progress
        Whether to show a progress bar over the passes of a problem solved in blocks.

    Examples
    --------
    >>> import torch
    >>> from celltraj import ot
    >>> x = torch.linspace(0, 1, 50, dtype=torch.float64)[:, None]
    >>> a = torch.full((50,), 0.02, dtype=torch.float64)
    >>> cost = ot.SquaredEuclidean(x, x + 1)
    >>> ot.Balanced(tol=1e-9)(cost, a, a, epsilon=0.01 * cost.mean()).converged
    True
    >>> ot.solve
    Balanced(tol=None, throw=True)
    """

    is_balanced: ClassVar[bool] = True

    tol: float | None = None
    throw: bool = True
    progress: bool = field(default=False, repr=False, compare=False)

    def __call__(
        self, cost: Cost, a: ArrayLike, b: ArrayLike, *, epsilon: float, **options: object
    ) -> Coupling:
        """Return the coupling of ``a`` and ``b`` at ``epsilon``, in units of the cost.

        Raises
        ------
        TypeError
            ``tol``, ``throw`` or ``progress``, which are fields of the solver.
        ValueError
            ``epsilon <= 0``, wrong shapes, weights that are negative or not finite, unequal masses.
        ConvergenceError
            The tolerance was not reached; carries the coupling as ``result``.
        """
        if options:
            given = ", ".join(f"{name}={value!r}" for name, value in options.items())
            raise TypeError(
                f"a call takes cost, a, b and epsilon; found {given}. Options are fields of the "
                f"solver: ct.ot.Balanced({given})(cost, a, b, epsilon=...)"
            )
        if is_held_whole(cost, DENSE_LIMIT):
            tol = WHOLE_TOL if self.tol is None else self.tol
            return SparseNewtonSinkhorn(tol, throw=self.throw)(cost, a, b, epsilon=epsilon)
        problem = Problem.of(cost, a, b, epsilon)
        if (drawn := solved_by_draws(problem, self.tol, progress=self.progress)) is not None:
            return drawn
        tol = BLOCK_TOL if self.tol is None else self.tol
        side = side_within_limit(Multiscale.n_coarse)
        blocks = Multiscale(tol, n_coarse=side, throw=self.throw, progress=self.progress)
        return blocks(cost, a, b, epsilon=epsilon)


def solved_by_draws(
    problem: Problem, tol: float | None, *, progress: bool = False
) -> StratifiedCoupling | None:
    """Return the coupling of a large problem from a few of its pairs.

    None where it is small, its cost no product of features, ``tol`` too small, or ``epsilon`` so
    small that the cells that matter to one are too few to be drawn.
    """
    n_pairs = problem.cost.shape[0] * problem.cost.shape[1]
    tol = DRAWN_TOL if tol is None else tol
    is_product = isinstance(problem.cost, ProductCost)
    if n_pairs < DRAWN_LIMIT or tol < _LEAST_DRAWN_TOL or not is_product:
        return None
    side = side_within_limit(Stratified.n_start)
    found = Stratified(tol, n_start=side, throw=False, progress=progress).coupling(problem)
    if found.converged:
        return found
    if n_pairs > _QUADRATIC:
        warn(
            f"{found.epsilon:.3g} is too small an epsilon to draw for: marginals are missed by "
            f"{found.marginal_error:.2g}, where {tol:.2g} is asked for. All of the "
            f"{n_pairs:.1g} pairs are now passed several times, which takes long; raise epsilon "
            "(or sigma) to some per cent of the mean cost, or take fewer cells",
            DataWarning,
        )
    return None


solve = Balanced()
