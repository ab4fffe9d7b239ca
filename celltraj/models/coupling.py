"""The one place where a gap is coupled, by whatever cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar, overload

from celltraj._parallel import mapped
from celltraj.models.references.family import Reference
from celltraj.models.references.gaussian_law import Flow, gap_flow
from celltraj.ot import Cost, Coupling, Solver, Transport
from celltraj.ot.solver import (
    EntropicSolver,
    check_entropic,
    check_solver,
    is_unbalanced,
    with_potentials,
)
from celltraj.snapshots import Snapshots

T = TypeVar("T")
_DROP = 1e-3  # of the mass of each row, where a plan is kept that would be too large whole
_WHOLE = 1_000_000  # entries of all plans that are kept without dropping any
PLAIN_EPSILON = 0.05  # of the mean cost


def plain_epsilon(cost: Cost) -> float:
    """Return the regularisation of plain transport where none is given, in units of the cost."""
    return PLAIN_EPSILON * cost.mean()


def dropped(n_entries: int) -> float:
    """Return which share of each row plans do without that are kept whole, 0 where they are small.

    Parameters
    ----------
    n_entries
        Entries of all plans together.
    """
    return _DROP if n_entries > _WHOLE else 0.0


def coupled_gaps(
    couple: Callable[[Snapshots], T], snapshots: Snapshots, *, progress: bool
) -> Iterator[T]:
    """Yield what ``couple`` makes of the two snapshots of a gap; none waits for another."""
    n_gaps = len(snapshots.gaps)
    pairs = ((snapshots.pair(k),) for k in range(n_gaps))
    return mapped(couple, pairs, n_tasks=n_gaps, what=("coupling", "gap"), progress=progress)


def couple(
    snapshots: Snapshots, reference: Reference, k: int, solver: Solver
) -> tuple[Flow, Transport]:
    """Return the law of the reference over gap ``k`` and the coupling under it."""
    flow = gap_flow(reference, snapshots.x[k], snapshots.times[k], snapshots.times[k + 1])
    cost, epsilon = flow.problem(snapshots.x[k + 1])
    return flow, couple_gap(snapshots, k, solver, cost, epsilon=epsilon)


def couple_with_potentials(
    snapshots: Snapshots, reference: Reference, k: int, solver: Solver
) -> tuple[Flow, Coupling]:
    """Return the law of the reference over gap ``k`` and the entropic coupling under it.

    Raises
    ------
    TypeError
        The solver is none, or its couplings have no potentials, such as those of ``ct.ot.Exact()``.
    """
    check_entropic(solver)
    flow, coupling = couple(snapshots, reference, k, solver)
    return flow, with_potentials(coupling, solver)


@overload
def couple_gap(
    snapshots: Snapshots, k: int, solver: EntropicSolver, cost: Cost, *, epsilon: float
) -> Coupling: ...


@overload
def couple_gap(
    snapshots: Snapshots, k: int, solver: Solver, cost: Cost, *, epsilon: float
) -> Transport: ...


def couple_gap(
    snapshots: Snapshots, k: int, solver: Solver, cost: Cost, *, epsilon: float
) -> Transport:
    """Return the coupling over gap ``k``, whose earlier cells send what growth is expected of them.

    Where marginals may be missed, only their price holds the cells to that growth: the entropy is
    relative to their weights. Waddington-OT and moscot have it so for equal weights.

    Parameters
    ----------
    snapshots
        Observed clouds, with the growth that is expected.
    k
        Number of the gap.
    solver
        Coupling solver.
    cost
        ``(n_k, n_{k+1})`` cost.
    epsilon
        Regularisation, in units of the cost.

    Raises
    ------
    TypeError
        ``solver`` is no :class:`celltraj.ot.Solver`; the message says what is missing.

    Examples
    --------
    >>> import torch
    >>> from celltraj.snapshots import Snapshots
    >>> from celltraj.models.coupling import couple_gap
    >>> from celltraj.ot import SquaredEuclidean, Unbalanced
    >>> x, fast = torch.zeros(2, 1), torch.tensor([3.0, 1.0]).log()
    >>> snapshots = Snapshots((0.0, 1.0), (x, x), growth=(fast, fast))
    >>> firm = Unbalanced(tau_a=1.0)
    >>> couple_gap(snapshots, 0, firm, SquaredEuclidean(x, x), epsilon=1.0).row_mass
    tensor([0.7500, 0.2500], dtype=torch.float64)
    """
    check_solver(solver)
    a, b = snapshots.expected(k), snapshots.weights[k + 1]
    if is_unbalanced(solver):
        return solver(cost, a, b, epsilon=epsilon, base=snapshots.weights[k])
    return solver(cost, a, b, epsilon=epsilon)
