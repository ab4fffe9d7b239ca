"""Balanced entropic transport by the solver that suits its size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from celltraj._arrays import ArrayLike
from celltraj._checks import checked_fields
from celltraj.ot._cost import Cost
from celltraj.ot._coupling import Coupling
from celltraj.ot._multiscale import Multiscale
from celltraj.ot._sparse_newton import SparseNewtonSinkhorn

DENSE_LIMIT = 36_000_000  # entries of a cost that is held whole, once itself and once as a plan
WHOLE_TOL, BLOCK_TOL = 1e-6, 1e-3  # of the mass: as SparseNewtonSinkhorn and Multiscale have it


@checked_fields
@dataclass(frozen=True)
class Balanced:
    """Entropic optimal transport between fixed marginals, by the solver that suits its size.

    ``min <C, P> + epsilon sum P (log P - 1)`` with ``P 1 = a``, ``P' 1 = b``:
    :class:`SparseNewtonSinkhorn` up to 36 million pairs (6,000 x 6,000 cells), where two arrays of
    that size are held, :class:`Multiscale` above, where none is. ``ct.ot.solve`` is this solver
    with its defaults.

    Parameters
    ----------
    tol
        L1 error of both marginals together, in units of mass; by default 1e-6 where the plan is
        held whole, else 1e-3.
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
        if cost.shape[0] * cost.shape[1] <= DENSE_LIMIT:
            tol = WHOLE_TOL if self.tol is None else self.tol
            return SparseNewtonSinkhorn(tol, throw=self.throw)(cost, a, b, epsilon=epsilon)
        tol = BLOCK_TOL if self.tol is None else self.tol
        blocks = Multiscale(tol, throw=self.throw, progress=self.progress)
        return blocks(cost, a, b, epsilon=epsilon)


solve = Balanced()
