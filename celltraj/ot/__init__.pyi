from ._batch import solve_batch as solve_batch
from ._cost import Cost as Cost
from ._cost import DenseCost as DenseCost
from ._cost import GaussianCost as GaussianCost
from ._cost import ReferenceCost as ReferenceCost
from ._cost import SquaredEuclidean as SquaredEuclidean
from ._coupling import Coupling as Coupling
from ._coupling import Effort as Effort
from ._coupling import Transport as Transport
from ._coupling import systematic as systematic
from ._exact import Exact as Exact
from ._exact import ExactCoupling as ExactCoupling
from ._exact import PlanCoupling as PlanCoupling
from ._exact import check_samples as check_samples
from ._exact import exact_matching as exact_matching
from ._exact import probabilities as probabilities
from ._exact import wasserstein as wasserstein
from ._minibatch import Minibatch as Minibatch
from ._multiscale import Multiscale as Multiscale
from ._sinkhorn import Sinkhorn as Sinkhorn
from ._solve import Solver as Solver
from ._solve import Unbalanced as Unbalanced
from ._solve import solve as solve
from ._sparse_coupling import SparseCoupling as SparseCoupling
from ._sparse_coupling import draw_partners as draw_partners
from ._sparse_newton import SparseNewtonSinkhorn as SparseNewtonSinkhorn

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
