"""What couples two clouds of cells: the one protocol that every solver satisfies."""

from __future__ import annotations

from inspect import signature
from typing import Protocol, TypeGuard, cast, runtime_checkable

from celltraj._checks import check_option
from celltraj._typing import Earlier, Later
from celltraj.ot._cost import Cost
from celltraj.ot._coupling import Coupling
from celltraj.ot._transport import Transport

_EXAMPLE = "ct.ot.solve or ct.ot.Unbalanced()"


@runtime_checkable
class Solver(Protocol):
    """Optimal transport solver: a frozen dataclass of options that couples two clouds of cells.

    One whose marginals may be missed, ``is_balanced`` False, takes one keyword more, ``base=None``:
    the ``(n,)`` weights of the earlier cells, where ``a`` holds what else is expected of them. A
    bridge asks for a solver that returns a :class:`Coupling`, whose potentials it needs; a flow and
    a response are content with any :class:`Transport`.

    Examples
    --------
    A solver of your own: every cell goes to the nearest one in rank.

    >>> from dataclasses import dataclass
    >>> import torch
    >>> from scipy.sparse import csr_array
    >>> from celltraj import ot
    >>> @dataclass(frozen=True)
    ... class ByRank:
    ...     is_balanced: bool = True
    ...     def __call__(self, cost, a, b, *, epsilon):
    ...         i, j = cost.x[:, 0].argsort(), cost.y[:, 0].argsort()
    ...         return ot.SparseCoupling(csr_array((a[i], (i, j)), shape=cost.shape))
    >>> x, half = torch.tensor([[0.0], [9.0]]), torch.tensor([0.5, 0.5]).double()
    >>> ByRank()(ot.SquaredEuclidean(x, x.flip(0)), half, half, epsilon=1.0).to_dense()
    tensor([[0.0000, 0.5000],
            [0.5000, 0.0000]], dtype=torch.float64)
    >>> isinstance(ByRank(), ot.Solver)
    True
    """

    @property
    def is_balanced(self) -> bool:
        """Return whether every plan has the marginals ``a`` and ``b``, of equal mass."""
        ...

    def __call__(self, cost: Cost, a: Earlier, b: Later, *, epsilon: float) -> Transport:
        """Return the coupling of ``a`` and ``b``.

        Parameters
        ----------
        cost
            ``(n, m)`` ground cost.
        a, b
            ``(n,)`` and ``(m,)`` weights, float64.
        epsilon
            Regularisation in units of the cost; a solver without entropy has no use for it.
        """
        ...


class EntropicSolver(Solver, Protocol):
    """Entropic optimal transport solver: its couplings are given by their potentials."""

    def __call__(self, cost: Cost, a: Earlier, b: Later, *, epsilon: float) -> Coupling:
        """Return the coupling of ``a`` and ``b``."""
        ...


class UnbalancedSolver(Solver, Protocol):
    """Unbalanced transport solver: it tells what is expected of cells from their weights."""

    def __call__(
        self, cost: Cost, a: Earlier, b: Later, *, epsilon: float, base: Earlier | None = None
    ) -> Transport:
        """Return the coupling of ``a`` and ``b``; ``base (n,)`` are weights, by default ``a``."""
        ...


class PlanSolver:
    """Mark a solver that returns the entries of a plan and no potentials."""


def check_solver(solver: object, name: str = "solver") -> None:
    """Raise unless ``solver`` satisfies the protocol.

    Raises
    ------
    TypeError
        It is a class, or a member or an argument is missing; the message says which.
    """
    check_option(solver, Solver, name, _EXAMPLE)
    known = cast("Solver", solver)
    if is_unbalanced(known) and "base" not in signature(known).parameters:
        raise TypeError(
            f"{name} must take base=None, the weights of the earlier cells, since its marginals "
            f"may be missed; found {solver!r} with is_balanced False"
        )


def is_unbalanced(solver: Solver) -> TypeGuard[UnbalancedSolver]:
    """Return whether the marginals of a solver may be missed, so that it is told the weights."""
    return not solver.is_balanced


def check_entropic(solver: object) -> None:
    """Raise where a solver is none, or is known to return plans without potentials.

    Raises
    ------
    TypeError
        It is such a solver.
    """
    check_solver(solver)
    if isinstance(solver, PlanSolver):
        raise _no_potentials(solver, "returns a plan without")


def with_potentials(coupling: Transport, solver: Solver) -> Coupling:
    """Return the coupling that a solver returned, once it is known to have potentials.

    Raises
    ------
    TypeError
        It has none.
    """
    if not isinstance(coupling, Coupling):
        raise _no_potentials(solver, f"returned a {type(coupling).__name__} without")
    return coupling


def _no_potentials(solver: object, found: str) -> TypeError:
    return TypeError(
        f"a bridge needs the potentials of an entropic coupling; {solver!r} {found}. Pass "
        f"{_EXAMPLE}, or fit a flow, which takes any plan: ct.tl.fit_flow(adata, "
        "options=ct.models.FlowOptions(coupling=...))"
    )
