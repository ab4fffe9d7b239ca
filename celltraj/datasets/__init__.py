"""Simulated populations and loaders of benchmark data."""

from celltraj.datasets._branching import branching
from celltraj.datasets._gaussian_snapshots import gaussian_snapshots
from celltraj.datasets._loaders import (
    eb_pca5,
    eb_phate2d,
    emt_a549,
    growing_gaussians_10d,
    gulf_vortex,
    hematopoiesis_2d,
    hesc_pca5,
    hesc_tf,
    ipsc_latent4,
    lotka_volterra,
    pbmc_programs,
    repressilator,
)
from celltraj.datasets._lotka_volterra_simulation import lotka_volterra_simulation
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
