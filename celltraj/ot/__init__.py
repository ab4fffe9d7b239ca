"""Transport between point clouds: costs, solvers and couplings."""

from celltraj.ot._batch import solve_batch
from celltraj.ot._cost import Cost, DenseCost, GaussianCost, ReferenceCost, SquaredEuclidean
from celltraj.ot._coupling import Coupling, Effort, Transport, systematic
from celltraj.ot._exact import (
    Exact,
    ExactCoupling,
    PlanCoupling,
    check_samples,
    exact_matching,
    probabilities,
    wasserstein,
)
from celltraj.ot._minibatch import Minibatch
from celltraj.ot._multiscale import Multiscale
from celltraj.ot._sinkhorn import Sinkhorn
from celltraj.ot._solve import Solver, Unbalanced, solve
from celltraj.ot._sparse_coupling import SparseCoupling, draw_partners
from celltraj.ot._sparse_newton import SparseNewtonSinkhorn

__all__ = [
    "Cost",
    "Coupling",
    "DenseCost",
    "Effort",
    "Exact",
    "ExactCoupling",
    "GaussianCost",
    "Minibatch",
    "Multiscale",
    "PlanCoupling",
    "ReferenceCost",
    "Sinkhorn",
    "Solver",
    "SparseCoupling",
    "SparseNewtonSinkhorn",
    "SquaredEuclidean",
    "Transport",
    "Unbalanced",
    "check_samples",
    "draw_partners",
    "exact_matching",
    "probabilities",
    "solve",
    "solve_batch",
    "systematic",
    "wasserstein",
]
