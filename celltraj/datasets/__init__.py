"""Simulated populations and loaders of benchmark data."""

from celltraj.datasets._branching import branching
from celltraj.datasets._drug_screen import drug_screen
from celltraj.datasets._gaussian_snapshots import gaussian_snapshots
from celltraj.datasets._growth_loaders import gene_circuit_growth, larry_spring, reprogramming
from celltraj.datasets._interacting_populations import interacting_populations, interaction_drift
from celltraj.datasets._letters import letters
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
from celltraj.datasets._response_loaders import glioblastoma, kang_counts, kang_pca5

__all__ = [
    "branching",
    "drug_screen",
    "eb_pca5",
    "eb_phate2d",
    "emt_a549",
    "gaussian_snapshots",
    "gene_circuit_growth",
    "glioblastoma",
    "growing_gaussians_10d",
    "gulf_vortex",
    "hematopoiesis_2d",
    "hesc_pca5",
    "hesc_tf",
    "interacting_populations",
    "interaction_drift",
    "ipsc_latent4",
    "kang_counts",
    "kang_pca5",
    "larry_spring",
    "letters",
    "lotka_volterra",
    "lotka_volterra_simulation",
    "pbmc_programs",
    "repressilator",
    "repressilator_simulation",
    "reprogramming",
]
