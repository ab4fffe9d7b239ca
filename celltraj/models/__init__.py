"""Laws of motion and how they are fitted, simulated and stored."""

from celltraj.models._bridge import Bridge, Round, default_sigma, fit_bridge
from celltraj.models._flow_matching import FlowMatching, FlowTraining, fit_flow
from celltraj.models._likelihood import log_density
from celltraj.models._neural import NeuralDrift
from celltraj.models._paths import Paths
from celltraj.models._plug_in import PlugInDrift
from celltraj.models._process import Affine, Parametric, Process, Reference, ReversibleProcess
from celltraj.models._refine import Refinement, refine
from celltraj.models._save import load
from celltraj.models._simulate import Trajectories, simulate
from celltraj.models.interpolants import Interpolant, LinearInterpolant, SplineInterpolant
from celltraj.models.references import (
    Brownian,
    GeneRegulation,
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

__all__ = [
    "Affine",
    "Bridge",
    "Brownian",
    "FlowMatching",
    "FlowTraining",
    "GeneRegulation",
    "Interpolant",
    "LinearInterpolant",
    "LotkaVolterra",
    "ModuleReference",
    "NeuralDrift",
    "NeuralReference",
    "OrnsteinUhlenbeck",
    "Parametric",
    "Paths",
    "PlugInDrift",
    "PotentialLandscape",
    "Process",
    "Reference",
    "Refinement",
    "Repressilator",
    "ReversibleProcess",
    "Round",
    "Simulator",
    "SplineInterpolant",
    "Trajectories",
    "Vortex",
    "default_sigma",
    "fit_bridge",
    "fit_flow",
    "load",
    "log_density",
    "refine",
    "simulate",
    "stack_points",
]
