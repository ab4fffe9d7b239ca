"""How much memory it takes to couple two clouds, by whatever solver."""

from __future__ import annotations

from celltraj.ot._balanced import DENSE_LIMIT, DRAWN_LIMIT, Balanced
from celltraj.ot._exact import Exact
from celltraj.ot._minibatch import Minibatch
from celltraj.ot._multiscale import Multiscale
from celltraj.ot._need import PAIR, is_within_limit, side_within_limit
from celltraj.ot._sinkhorn import Sinkhorn
from celltraj.ot._sparse_newton import SparseNewtonSinkhorn
from celltraj.ot._stratified import Stratified
from celltraj.ot._unbalanced import Unbalanced
from celltraj.ot.solver import Solver

_OF_PAIR = {SparseNewtonSinkhorn: PAIR, Sinkhorn: 32.0, Exact: 36.0}
_KEPT = 25_000_000 * 8.0  # entries of a plan that blocks keep at most
_OF_VALUE = 24.0  # of a variable of a cell: factors of the cost, in double and in single precision
_OF_CELL = 200.0  # weights, potentials, orders


def solving_bytes(solver: Solver, n: int, m: int, dim: int) -> float:
    """Return how many bytes a solver takes for ``n x m`` cells, besides their states.

    Within a factor of two where it is of this package; of a solver of yours nothing is known.

    Parameters
    ----------
    solver
        Coupling solver.
    n, m
        Cells of either cloud.
    dim
        State variables.

    Examples
    --------
    >>> from celltraj import ot
    >>> from celltraj.ot.memory import solving_bytes
    >>> f"{solving_bytes(ot.Exact(), 100_000, 100_000, 50):.1e}"
    '3.6e+11'
    """
    of_cells = (n + m) * (_OF_VALUE * dim + _OF_CELL)
    for kind, of_pair in _OF_PAIR.items():
        if isinstance(solver, kind):
            return of_pair * n * m + of_cells
    if isinstance(solver, Multiscale):
        return _blocks(n, m, solver.n_coarse) + of_cells
    if isinstance(solver, Stratified):
        return _subsample(n, m, solver.n_start) + of_cells
    if isinstance(solver, Minibatch):
        return 24.0 * solver.rounds * max(n, m) + 36.0 * solver.size**2
    if isinstance(solver, Balanced | Unbalanced):
        return _by_size(n, m) + of_cells
    return 0.0


def _by_size(n: int, m: int) -> float:
    """Return what the way takes that is chosen by the number of pairs and the limit."""
    if n * m <= DENSE_LIMIT and is_within_limit(n, m):
        return PAIR * n * m
    blocks = _blocks(n, m, side_within_limit(Multiscale.n_coarse))
    if n * m < DRAWN_LIMIT:
        return blocks
    # blocks are what is left where epsilon is too small to draw for
    return max(blocks, _subsample(n, m, side_within_limit(Stratified.n_start)))


def _blocks(n: int, m: int, n_coarse: int) -> float:
    return PAIR * min(n, n_coarse) * min(m, n_coarse) + min(_KEPT, 8.0 * n * m)


def _subsample(n: int, m: int, n_start: int) -> float:
    side = min(n_start, max(600, min(n, m) // 6))
    return PAIR * side**2
