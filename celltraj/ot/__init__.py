"""Transport between point clouds: costs, solvers and couplings."""

from celltraj.ot._cost import SquaredEuclidean
from celltraj.ot._coupling import Coupling
from celltraj.ot._exact import exact_matching, wasserstein
from celltraj.ot._sinkhorn import Sinkhorn

__all__ = ["Coupling", "Sinkhorn", "SquaredEuclidean", "exact_matching", "wasserstein"]
