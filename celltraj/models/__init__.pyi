from ._load import load as load
from ._simulate import Trajectories as Trajectories
from ._simulate import simulate as simulate
from .action.options import LeastAction as LeastAction
from .action.path import ActionPath as ActionPath
from .action.path import least_action as least_action
from .arms.arms import Arms as Arms
from .bridge.bridge import Bridge as Bridge
from .bridge.fit import fit_bridge as fit_bridge
from .bridge.options import BridgeOptions as BridgeOptions
from .bridge.refine import Refinement as Refinement
from .bridge.refine import refine as refine
from .conditioning.add_moves import add_moves as add_moves
from .conditioning.composed import Composed as Composed
from .conditioning.condition import Conditioned as Conditioned
from .conditioning.condition import condition as condition
from .conditioning.linear_reward import LinearReward as LinearReward
from .conditioning.quadratic_reward import QuadraticReward as QuadraticReward
from .conditioning.reward import Reward as Reward
from .conditioning.reward import Worth as Worth
from .encoders import CellEncoder as CellEncoder
from .encoders import DeepSets as DeepSets
from .encoders import GraphEncoder as GraphEncoder
from .encoders import Moments as Moments
from .encoders import PooledGraphEncoder as PooledGraphEncoder
from .encoders import PopulationEncoder as PopulationEncoder
from .encoders import SetAttention as SetAttention
from .flow.fit import fit_flow as fit_flow
from .flow.flow import FlowMatching as FlowMatching
from .flow.likelihood import log_density as log_density
from .flow.options import FlowOptions as FlowOptions
from .flow.options import Penalties as Penalties
from .genes.knock_out import KnockedOut as KnockedOut
from .genes.projection import Projection as Projection
from .growth.birth_death import BirthDeath as BirthDeath
from .growth.learned import LearnedGrowth as LearnedGrowth
from .growth.learned import learn_growth as learn_growth
from .interpolants import BrownianBridgeInterpolant as BrownianBridgeInterpolant
from .interpolants import EncodingDecodingInterpolant as EncodingDecodingInterpolant
from .interpolants import Interpolant as Interpolant
from .interpolants import KineticInterpolant as KineticInterpolant
from .interpolants import LinearInterpolant as LinearInterpolant
from .interpolants import OneSidedInterpolant as OneSidedInterpolant
from .interpolants import ReferenceInterpolant as ReferenceInterpolant
from .interpolants import SplineInterpolant as SplineInterpolant
from .interpolants import TrigonometricInterpolant as TrigonometricInterpolant
from .lineage.lineage import Lineage as Lineage
from .lineage.simulated import land as land
from .mean_field.bridges import MeanFieldBridges as MeanFieldBridges
from .noise_scale import default_sigma as default_sigma
from .process import Affine as Affine
from .process import FittedProcess as FittedProcess
from .process import GrowingProcess as GrowingProcess
from .process import KnownNoise as KnownNoise
from .process import PiecewiseProcess as PiecewiseProcess
from .process import Process as Process
from .process import ReversibleProcess as ReversibleProcess
from .references import Brownian as Brownian
from .references import CoxIngersollRoss as CoxIngersollRoss
from .references import GeneRegulation as GeneRegulation
from .references import Geometric as Geometric
from .references import KernelReference as KernelReference
from .references import LinearNoise as LinearNoise
from .references import LotkaVolterra as LotkaVolterra
from .references import ModuleReference as ModuleReference
from .references import NeuralReference as NeuralReference
from .references import OrnsteinUhlenbeck as OrnsteinUhlenbeck
from .references import PotentialLandscape as PotentialLandscape
from .references import Repressilator as Repressilator
from .references import Simulator as Simulator
from .references import VelocityReference as VelocityReference
from .references import Vortex as Vortex
from .references.crowd import Crowd as Crowd
from .references.family import Parametric as Parametric
from .references.family import Paths as Paths
from .references.family import Reference as Reference
from .references.mean_field import MeanField as MeanField
from .references.mean_field_process import MeanFieldProcess as MeanFieldProcess
from .representation import Representation as Representation
from .response.condition import Condition as Condition
from .response.condition import ConditionCoder as ConditionCoder
from .response.condition import Covariate as Covariate
from .response.fit import fit_response as fit_response
from .response.neighbours import Moves as Moves
from .response.neighbours import NeighbourTransfer as NeighbourTransfer
from .response.options import ResponseOptions as ResponseOptions
from .response.populations import Group as Group
from .response.populations import Populations as Populations
from .response.populations import Treated as Treated
from .response.process import Response as Response
from .response.process import ResponseProcess as ResponseProcess
from .response.response import MetaFlowMatching as MetaFlowMatching
from .response.support import ResponseSource as ResponseSource
from .solvers import AdaptiveHeun as AdaptiveHeun
from .solvers import DormandPrince as DormandPrince
from .solvers import Equation as Equation
from .solvers import EulerMaruyama as EulerMaruyama
from .solvers import ExponentialEuler as ExponentialEuler
from .solvers import ExponentialMidpoint as ExponentialMidpoint
from .solvers import Heun as Heun
from .solvers import Midpoint as Midpoint
from .solvers import PredictorCorrector as PredictorCorrector
from .solvers import SdeSolver as SdeSolver
from .training.checkpoint import remove_checkpoint as remove_checkpoint
from .training.options import TrainerOptions as TrainerOptions
from .training.options import Training as Training

__all__ = [
    "ActionPath",
    "AdaptiveHeun",
    "Affine",
    "Arms",
    "BirthDeath",
    "Bridge",
    "BridgeOptions",
    "Brownian",
    "BrownianBridgeInterpolant",
    "CellEncoder",
    "Composed",
    "Condition",
    "ConditionCoder",
    "Conditioned",
    "Covariate",
    "CoxIngersollRoss",
    "Crowd",
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
    "Geometric",
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
    "LeastAction",
    "Lineage",
    "LinearInterpolant",
    "LinearNoise",
    "LinearReward",
    "LotkaVolterra",
    "MeanField",
    "MeanFieldBridges",
    "MeanFieldProcess",
    "MetaFlowMatching",
    "Midpoint",
    "ModuleReference",
    "Moments",
    "Moves",
    "NeighbourTransfer",
    "NeuralReference",
    "OneSidedInterpolant",
    "OrnsteinUhlenbeck",
    "Parametric",
    "Paths",
    "Penalties",
    "PiecewiseProcess",
    "PooledGraphEncoder",
    "PopulationEncoder",
    "Populations",
    "PotentialLandscape",
    "PredictorCorrector",
    "Process",
    "Projection",
    "QuadraticReward",
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
    "Reward",
    "SdeSolver",
    "SetAttention",
    "Simulator",
    "SplineInterpolant",
    "TrainerOptions",
    "Training",
    "Trajectories",
    "Treated",
    "TrigonometricInterpolant",
    "VelocityReference",
    "Vortex",
    "Worth",
    "add_moves",
    "condition",
    "default_sigma",
    "fit_bridge",
    "fit_flow",
    "fit_response",
    "land",
    "learn_growth",
    "least_action",
    "load",
    "log_density",
    "refine",
    "remove_checkpoint",
    "simulate",
]
