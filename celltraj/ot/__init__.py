"""Optimal transport between point clouds: costs, solvers and couplings."""

from celltraj.ot._balanced import Balanced, solve
from celltraj.ot._batch import solve_batch
from celltraj.ot._cost import Cost, DenseCost, SquaredEuclidean
from celltraj.ot._coupling import Coupling
from celltraj.ot._exact import Exact, exact_matching, wasserstein
from celltraj.ot._law_cost import GaussianCost, ReferenceCost
from celltraj.ot._minibatch import Minibatch
from celltraj.ot._multiscale import Multiscale
from celltraj.ot._plan_coupling import ExactCoupling, PlanCoupling
from celltraj.ot._sinkhorn import Sinkhorn
from celltraj.ot._solver_stats import SolverStats
from celltraj.ot._sparse_coupling import SparseCoupling
from celltraj.ot._sparse_newton import SparseNewtonSinkhorn
from celltraj.ot._transport import Transport
from celltraj.ot._unbalanced import Unbalanced
from celltraj.ot.solver import Solver

__all__ = [
    "Balanced",
    "Cost",
    "Coupling",
    "DenseCost",
    "Exact",
    "ExactCoupling",
    "GaussianCost",
    "Minibatch",
    "Multiscale",
    "PlanCoupling",
    "ReferenceCost",
    "Sinkhorn",
    "Solver",
    "SolverStats",
    "SparseCoupling",
    "SparseNewtonSinkhorn",
    "SquaredEuclidean",
    "Transport",
    "Unbalanced",
    "exact_matching",
    "solve",
    "solve_batch",
    "wasserstein",
]


def __getattr__(name: str) -> object:
    if name == "Effort":
        raise AttributeError("ct.ot.Effort is now ct.ot.SolverStats")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
