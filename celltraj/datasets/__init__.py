"""Simulated populations and loaders of benchmark data."""

from ._branching import branching
from ._eb_pca5 import eb_pca5
from ._eb_phate2d import eb_phate2d
from ._emt_a549 import emt_a549
from ._gaussian_snapshots import gaussian_snapshots
from ._growing_gaussians_10d import growing_gaussians_10d
from ._gulf_vortex import gulf_vortex
from ._hematopoiesis_2d import hematopoiesis_2d
from ._hesc_pca5 import hesc_pca5
from ._hesc_tf import hesc_tf
from ._ipsc_latent4 import ipsc_latent4
from ._lotka_volterra import lotka_volterra
from ._lotka_volterra_simulation import lotka_volterra_simulation
from ._pbmc_programs import pbmc_programs
from ._repressilator import repressilator
from ._repressilator_simulation import repressilator_simulation

__all__ = [
    "branching",
    "eb_pca5",
    "eb_phate2d",
    "emt_a549",
    "gaussian_snapshots",
    "growing_gaussians_10d",
    "gulf_vortex",
    "hematopoiesis_2d",
    "hesc_pca5",
    "hesc_tf",
    "ipsc_latent4",
    "lotka_volterra",
    "lotka_volterra_simulation",
    "pbmc_programs",
    "repressilator",
    "repressilator_simulation",
]
