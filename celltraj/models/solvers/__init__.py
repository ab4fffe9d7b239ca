"""Solvers of the equations of motion, one per file."""

from celltraj.models.solvers.adaptive_heun import AdaptiveHeun
from celltraj.models.solvers.dormand_prince import DormandPrince
from celltraj.models.solvers.euler_maruyama import EulerMaruyama
from celltraj.models.solvers.exponential_euler import ExponentialEuler
from celltraj.models.solvers.exponential_midpoint import ExponentialMidpoint
from celltraj.models.solvers.heun import Heun
from celltraj.models.solvers.midpoint import Midpoint
from celltraj.models.solvers.predictor_corrector import PredictorCorrector
from celltraj.models.solvers.solver import Equation, SdeSolver

__all__ = [
    "AdaptiveHeun",
    "DormandPrince",
    "Equation",
    "EulerMaruyama",
    "ExponentialEuler",
    "ExponentialMidpoint",
    "Heun",
    "Midpoint",
    "PredictorCorrector",
    "SdeSolver",
]
