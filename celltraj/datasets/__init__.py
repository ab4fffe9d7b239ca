"""Simulated populations and loaders of benchmark data."""

from celltraj.datasets._branching import branching
from celltraj.datasets._eb_pca5 import eb_pca5
from celltraj.datasets._eb_phate2d import eb_phate2d
from celltraj.datasets._emt_a549 import emt_a549
from celltraj.datasets._gaussian_snapshots import gaussian_snapshots
from celltraj.datasets._growing_gaussians_10d import growing_gaussians_10d
from celltraj.datasets._gulf_vortex import gulf_vortex
from celltraj.datasets._hematopoiesis_2d import hematopoiesis_2d
from celltraj.datasets._hesc_pca5 import hesc_pca5
from celltraj.datasets._hesc_tf import hesc_tf
from celltraj.datasets._ipsc_latent4 import ipsc_latent4
from celltraj.datasets._lotka_volterra import lotka_volterra
from celltraj.datasets._lotka_volterra_simulation import lotka_volterra_simulation
from celltraj.datasets._pbmc_programs import pbmc_programs
from celltraj.datasets._repressilator import repressilator
from celltraj.datasets._repressilator_simulation import repressilator_simulation

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
