"""Laws of motion and how they are fitted, simulated and stored."""

from celltraj.models._load import load
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
from celltraj.models._simulate import Trajectories, simulate
from celltraj.models.bridge.bridge import Bridge, Round, default_sigma, fit_bridge
from celltraj.models.bridge.neural import NeuralDrift
from celltraj.models.bridge.plug_in import PlugInDrift
from celltraj.models.bridge.refine import Refinement, refine
from celltraj.models.encoders import (
    DeepSets,
    GraphEncoder,
    Moments,
    PopulationEncoder,
    SetAttention,
)
from celltraj.models.flow.fit import FlowTraining, fit_flow
from celltraj.models.flow.flow import FlowMatching
from celltraj.models.flow.likelihood import log_density
from celltraj.models.flow.losses import Penalties
from celltraj.models.genes.knock_out import KnockedOut
from celltraj.models.genes.projection import Projection
from celltraj.models.growth.birth_death import BirthDeath
from celltraj.models.growth.learned import LearnedGrowth, learn_growth
from celltraj.models.growth.population_sizes import couple_gap, population_sizes
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
from celltraj.models.lineage.interpolation import displaced
from celltraj.models.lineage.lineage import Lineage, band_of, joint_masses
from celltraj.models.lineage.simulated import land
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
from celltraj.models.references._paths import Paths
from celltraj.models.response.batches import ResponseTraining
from celltraj.models.response.condition import Condition, ConditionCoder, Covariate
from celltraj.models.response.fit import MetaFlow, fit_response
from celltraj.models.response.populations import Group, Populations, Treated
from celltraj.models.response.process import Response, ResponseProcess
from celltraj.models.response.response import MetaFlowMatching
from celltraj.models.response.support import ResponseSource
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
from celltraj.models.training.checkpoint import remove_checkpoint
from celltraj.models.training.trainer import TrainerOptions

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
