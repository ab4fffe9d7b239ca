"""Laws of motion and how they are fitted, simulated and stored."""

from celltraj.models._birth_death import BirthDeath
from celltraj.models._bridge import Bridge, Round, default_sigma, fit_bridge
from celltraj.models._checkpoint import remove_checkpoint
from celltraj.models._condition import Condition, ConditionCoder, Covariate
from celltraj.models._displacement import displaced
from celltraj.models._fit import TrainerOptions
from celltraj.models._fit_flow import FlowTraining, fit_flow
from celltraj.models._fit_response import MetaFlow, fit_response
from celltraj.models._flow_losses import Penalties
from celltraj.models._flow_matching import FlowMatching
from celltraj.models._growth import couple_gap, population_sizes
from celltraj.models._growth_law import LearnedGrowth, learn_growth
from celltraj.models._knock_out import KnockedOut
from celltraj.models._landing import land
from celltraj.models._likelihood import log_density
from celltraj.models._lineage import Lineage, band_of, joint_masses
from celltraj.models._load import load
from celltraj.models._meta_flow_matching import MetaFlowMatching
from celltraj.models._neural import NeuralDrift
from celltraj.models._paths import Paths
from celltraj.models._plug_in import PlugInDrift
from celltraj.models._populations import Group, Populations, Treated
from celltraj.models._process import (
    Affine,
    GrowingProcess,
    KnownNoise,
    Parametric,
    Process,
    Reference,
    ReversibleProcess,
    is_growing,
)
from celltraj.models._projection import Projection
from celltraj.models._refine import Refinement, refine
from celltraj.models._response_process import Response, ResponseProcess
from celltraj.models._response_support import ResponseSource
from celltraj.models._response_training import ResponseTraining
from celltraj.models._simulate import Trajectories, simulate
from celltraj.models.encoders import (
    DeepSets,
    GraphEncoder,
    Moments,
    PopulationEncoder,
    SetAttention,
)
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
    "BirthDeath",
    "Bridge",
    "Brownian",
    "BrownianBridgeInterpolant",
    "Condition",
    "ConditionCoder",
    "Covariate",
    "DeepSets",
    "DormandPrince",
    "EncodingDecodingInterpolant",
    "Equation",
    "EulerMaruyama",
    "ExponentialEuler",
    "ExponentialMidpoint",
    "FlowMatching",
    "FlowTraining",
    "GeneRegulation",
    "GraphEncoder",
    "Group",
    "GrowingProcess",
    "Heun",
    "Interpolant",
    "KernelReference",
    "KineticInterpolant",
    "KnockedOut",
    "KnownNoise",
    "LearnedGrowth",
    "Lineage",
    "LinearInterpolant",
    "LotkaVolterra",
    "MetaFlow",
    "MetaFlowMatching",
    "Midpoint",
    "ModuleReference",
    "Moments",
    "NeuralDrift",
    "NeuralReference",
    "OneSidedInterpolant",
    "OrnsteinUhlenbeck",
    "Parametric",
    "Paths",
    "Penalties",
    "PlugInDrift",
    "PopulationEncoder",
    "Populations",
    "PotentialLandscape",
    "PredictorCorrector",
    "Process",
    "Projection",
    "Reference",
    "ReferenceInterpolant",
    "Refinement",
    "Repressilator",
    "Response",
    "ResponseProcess",
    "ResponseSource",
    "ResponseTraining",
    "ReversibleProcess",
    "Round",
    "SdeSolver",
    "SetAttention",
    "Simulator",
    "SplineInterpolant",
    "TrainerOptions",
    "Trajectories",
    "Treated",
    "TrigonometricInterpolant",
    "Vortex",
    "band_of",
    "couple_gap",
    "default_sigma",
    "displaced",
    "fit_bridge",
    "fit_flow",
    "fit_response",
    "is_growing",
    "joint_masses",
    "land",
    "learn_growth",
    "load",
    "log_density",
    "population_sizes",
    "refine",
    "remove_checkpoint",
    "simulate",
    "stack_points",
]
