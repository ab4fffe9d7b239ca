from ._balanced import Balanced as Balanced
from ._balanced import solve as solve
from ._batch import solve_batch as solve_batch
from ._cost import Cost as Cost
from ._cost import DenseCost as DenseCost
from ._cost import Factors as Factors
from ._cost import ProductCost as ProductCost
from ._cost import SquaredEuclidean as SquaredEuclidean
from ._coupling import Coupling as Coupling
from ._exact import Exact as Exact
from ._exact import exact_matching as exact_matching
from ._exact import wasserstein as wasserstein
from ._fused import FusedGromov as FusedGromov
from ._fused_coupling import FusedCoupling as FusedCoupling
from ._law_cost import GaussianCost as GaussianCost
from ._law_cost import ReferenceCost as ReferenceCost
from ._minibatch import Minibatch as Minibatch
from ._multiscale import Multiscale as Multiscale
from ._plan_coupling import ExactCoupling as ExactCoupling
from ._plan_coupling import PlanCoupling as PlanCoupling
from ._registration import Registered as Registered
from ._registration import Registration as Registration
from ._similarity import Similarity as Similarity
from ._sinkhorn import Sinkhorn as Sinkhorn
from ._solver_stats import SolverStats as SolverStats
from ._sparse_coupling import SparseCoupling as SparseCoupling
from ._sparse_newton import SparseNewtonSinkhorn as SparseNewtonSinkhorn
from ._stratified import Stratified as Stratified
from ._stratified_coupling import StratifiedCoupling as StratifiedCoupling
from ._transport import Transport as Transport
from ._unbalanced import Unbalanced as Unbalanced
from ._within import Within as Within
from .solver import Solver as Solver

__all__ = [
    "Balanced",
    "Cost",
    "Coupling",
    "DenseCost",
    "Exact",
    "ExactCoupling",
    "Factors",
    "FusedCoupling",
    "FusedGromov",
    "GaussianCost",
    "Minibatch",
    "Multiscale",
    "PlanCoupling",
    "ProductCost",
    "ReferenceCost",
    "Registered",
    "Registration",
    "Similarity",
    "Sinkhorn",
    "Solver",
    "SolverStats",
    "SparseCoupling",
    "SparseNewtonSinkhorn",
    "SquaredEuclidean",
    "Stratified",
    "StratifiedCoupling",
    "Transport",
    "Unbalanced",
    "Within",
    "exact_matching",
    "solve",
    "solve_batch",
    "wasserstein",
]
