"""Laws of motion and how they are fitted, simulated and stored."""

from celltraj.models._couple import couple_gap
from celltraj.models._default_sigma import default_sigma
from celltraj.models._load import load
from celltraj.models._process import (
    Affine,
    FittedProcess,
    GrowingProcess,
    KnownNoise,
    PiecewiseProcess,
    Process,
    ReversibleProcess,
    is_growing,
)
from celltraj.models._representation import Representation
from celltraj.models._simulate import Trajectories, simulate
from celltraj.models.bridge.bridge import Bridge, Round
from celltraj.models.bridge.fit import fit_bridge
from celltraj.models.bridge.options import BridgeOptions
from celltraj.models.bridge.refine import Refinement, refine
from celltraj.models.encoders import (
    DeepSets,
    GraphEncoder,
    Moments,
    PopulationEncoder,
    SetAttention,
)
from celltraj.models.flow.fit import fit_flow
from celltraj.models.flow.flow import FlowMatching
from celltraj.models.flow.likelihood import log_density
from celltraj.models.flow.options import FlowOptions, Penalties
from celltraj.models.genes.knock_out import KnockedOut
from celltraj.models.genes.projection import Projection
from celltraj.models.growth.birth_death import BirthDeath
from celltraj.models.growth.learned import LearnedGrowth, learn_growth
from celltraj.models.growth.population_sizes import population_sizes
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
from celltraj.models.references.family import Parametric, Paths, Reference
from celltraj.models.response.condition import Condition, ConditionCoder, Covariate
from celltraj.models.response.fit import fit_response
from celltraj.models.response.options import ResponseOptions
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
from celltraj.models.training.options import TrainerOptions, Training

__all__ = [
    "Affine",
    "BirthDeath",
    "Bridge",
    "BridgeOptions",
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
    "FittedProcess",
    "FlowMatching",
    "FlowOptions",
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
    "MetaFlowMatching",
    "Midpoint",
    "ModuleReference",
    "Moments",
    "NeuralReference",
    "OneSidedInterpolant",
    "OrnsteinUhlenbeck",
    "Parametric",
    "Paths",
    "Penalties",
    "PiecewiseProcess",
    "PopulationEncoder",
    "Populations",
    "PotentialLandscape",
    "PredictorCorrector",
    "Process",
    "Projection",
    "Reference",
    "ReferenceInterpolant",
    "Refinement",
    "Representation",
    "Repressilator",
    "Response",
    "ResponseOptions",
    "ResponseProcess",
    "ResponseSource",
    "ReversibleProcess",
    "Round",
    "SdeSolver",
    "SetAttention",
    "Simulator",
    "SplineInterpolant",
    "TrainerOptions",
    "Training",
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
