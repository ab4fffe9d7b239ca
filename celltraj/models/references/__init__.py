"""Reference dynamics, one family per file."""

from celltraj.models.references._pack import PackedReference, pack_reference, unpack_reference
from celltraj.models.references._regression import stack_points
from celltraj.models.references.brownian import Brownian
from celltraj.models.references.gene_regulation import GeneRegulation, allowed_edges
from celltraj.models.references.kernel import KernelReference
from celltraj.models.references.lotka_volterra import LotkaVolterra
from celltraj.models.references.module import ModuleReference
from celltraj.models.references.ornstein_uhlenbeck import OrnsteinUhlenbeck
from celltraj.models.references.potential_landscape import NeuralReference, PotentialLandscape
from celltraj.models.references.repressilator import Repressilator
from celltraj.models.references.simulator import Simulator
from celltraj.models.references.vortex import Vortex

__all__ = [
    "Brownian",
    "GeneRegulation",
    "KernelReference",
    "LotkaVolterra",
    "ModuleReference",
    "NeuralReference",
    "OrnsteinUhlenbeck",
    "PackedReference",
    "PotentialLandscape",
    "Repressilator",
    "Simulator",
    "Vortex",
    "allowed_edges",
    "pack_reference",
    "stack_points",
    "unpack_reference",
]
