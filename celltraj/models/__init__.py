"""Laws of motion and how they are fitted, simulated and stored."""

from celltraj.models._bridge import Bridge, default_sigma, fit_bridge
from celltraj.models._neural import NeuralDrift
from celltraj.models._plug_in import PlugInDrift
from celltraj.models._process import Process, ReversibleProcess
from celltraj.models._save import load
from celltraj.models._simulate import Trajectories, simulate
from celltraj.models.references import Brownian

__all__ = [
    "Bridge",
    "Brownian",
    "NeuralDrift",
    "PlugInDrift",
    "Process",
    "ReversibleProcess",
    "Trajectories",
    "default_sigma",
    "fit_bridge",
    "load",
    "simulate",
]
