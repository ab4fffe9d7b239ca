"""Transport between point clouds: costs, solvers and couplings."""

from celltraj.ot._cost import Cost, DenseCost, ReferenceCost, SquaredEuclidean
from celltraj.ot._coupling import Coupling, Effort
from celltraj.ot._exact import exact_matching, wasserstein
from celltraj.ot._multiscale import Multiscale
from celltraj.ot._sinkhorn import Sinkhorn
from celltraj.ot._sparse_newton import SparseNewtonSinkhorn

__all__ = [
    "Cost",
    "Coupling",
    "DenseCost",
    "Effort",
    "Multiscale",
    "ReferenceCost",
    "Sinkhorn",
    "SparseNewtonSinkhorn",
    "SquaredEuclidean",
    "exact_matching",
    "wasserstein",
]
