"""Laws of motion and how they are fitted, simulated and stored."""

from celltraj.models._bridge import Bridge, Round, default_sigma, fit_bridge
from celltraj.models._checkpoint import remove_checkpoint
from celltraj.models._fit import TrainerOptions
from celltraj.models._fit_flow import FlowTraining, fit_flow
from celltraj.models._flow_losses import Penalties
from celltraj.models._flow_matching import FlowMatching
from celltraj.models._likelihood import log_density
from celltraj.models._neural import NeuralDrift
from celltraj.models._paths import Paths
from celltraj.models._plug_in import PlugInDrift
from celltraj.models._process import (
    Affine,
    GrowingProcess,
    Parametric,
    Process,
    Reference,
    ReversibleProcess,
)
from celltraj.models._refine import Refinement, refine
from celltraj.models._save import load
from celltraj.models._simulate import Trajectories, simulate
from celltraj.models.interpolants import (
    BrownianBridgeInterpolant,
    EncodingDecodingInterpolant,
    Interpolant,
    KineticInterpolant,
    LinearInterpolant,
    OneSidedInterpolant,
    ReferenceInterpolant,
    SplineInterpolant,
    TrigonometricInterpolant,
)
from celltraj.models.references import (
    Brownian,
    GeneRegulation,
    KernelReference,
    LotkaVolterra,
    ModuleReference,
    NeuralReference,
    OrnsteinUhlenbeck,
    PotentialLandscape,
    Repressilator,
    Simulator,
    Vortex,
    stack_points,
)
from celltraj.models.solvers import (
    DormandPrince,
    Equation,
    EulerMaruyama,
    ExponentialEuler,
    ExponentialMidpoint,
    Heun,
    Midpoint,
    PredictorCorrector,
    SdeSolver,
)

__all__ = [
    "Affine",
    "Bridge",
    "Brownian",
    "BrownianBridgeInterpolant",
    "DormandPrince",
    "EncodingDecodingInterpolant",
    "Equation",
    "EulerMaruyama",
    "ExponentialEuler",
    "ExponentialMidpoint",
    "FlowMatching",
    "FlowTraining",
    "GeneRegulation",
    "GrowingProcess",
    "Heun",
    "Interpolant",
    "KernelReference",
    "KineticInterpolant",
    "LinearInterpolant",
    "LotkaVolterra",
    "Midpoint",
    "ModuleReference",
    "NeuralDrift",
    "NeuralReference",
    "OneSidedInterpolant",
    "OrnsteinUhlenbeck",
    "Parametric",
    "Paths",
    "Penalties",
    "PlugInDrift",
    "PotentialLandscape",
    "PredictorCorrector",
    "Process",
    "Reference",
    "ReferenceInterpolant",
    "Refinement",
    "Repressilator",
    "ReversibleProcess",
    "Round",
    "SdeSolver",
    "Simulator",
    "SplineInterpolant",
    "TrainerOptions",
    "Trajectories",
    "TrigonometricInterpolant",
    "Vortex",
    "default_sigma",
    "fit_bridge",
    "fit_flow",
    "load",
    "log_density",
    "refine",
    "remove_checkpoint",
    "simulate",
    "stack_points",
]
