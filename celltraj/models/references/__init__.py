"""Reference dynamics, one family per file."""

from celltraj.models.references._pack import PackedReference, pack_reference, unpack_reference
from celltraj.models.references._regression import stack_points
from celltraj.models.references.brownian import Brownian
from celltraj.models.references.chart import LogChart, RootChart, ShapedNoise, straightened
from celltraj.models.references.cox_ingersoll_ross import CoxIngersollRoss
from celltraj.models.references.gene_regulation import GeneRegulation, allowed_edges
from celltraj.models.references.geometric import Geometric
from celltraj.models.references.kernel import KernelReference
from celltraj.models.references.linear_noise import LinearNoise
from celltraj.models.references.lotka_volterra import LotkaVolterra
from celltraj.models.references.module import ModuleReference
from celltraj.models.references.ornstein_uhlenbeck import OrnsteinUhlenbeck
from celltraj.models.references.potential_landscape import NeuralReference, PotentialLandscape
from celltraj.models.references.repressilator import Repressilator
from celltraj.models.references.simulator import Simulator
from celltraj.models.references.straightened import Straightened
from celltraj.models.references.velocity import VelocityReference
from celltraj.models.references.vortex import Vortex

__all__ = [
    "Brownian",
    "CoxIngersollRoss",
    "GeneRegulation",
    "Geometric",
    "KernelReference",
    "LinearNoise",
    "LogChart",
    "LotkaVolterra",
    "ModuleReference",
    "NeuralReference",
    "OrnsteinUhlenbeck",
    "PackedReference",
    "PotentialLandscape",
    "Repressilator",
    "RootChart",
    "ShapedNoise",
    "Simulator",
    "Straightened",
    "VelocityReference",
    "Vortex",
    "allowed_edges",
    "pack_reference",
    "stack_points",
    "straightened",
    "unpack_reference",
]
