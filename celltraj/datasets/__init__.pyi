from ._branching import branching as branching
from ._drug_screen import drug_screen as drug_screen
from ._gaussian_snapshots import gaussian_snapshots as gaussian_snapshots
from ._growing_tissue import growing_tissue as growing_tissue
from ._growth_loaders import gene_circuit_growth as gene_circuit_growth
from ._growth_loaders import larry_spring as larry_spring
from ._growth_loaders import reprogramming as reprogramming
from ._interacting_populations import interacting_populations as interacting_populations
from ._interacting_populations import interaction_drift as interaction_drift
from ._letters import letters as letters
from ._loaders import eb_pca5 as eb_pca5
from ._loaders import eb_phate2d as eb_phate2d
from ._loaders import emt_a549 as emt_a549
from ._loaders import growing_gaussians_10d as growing_gaussians_10d
from ._loaders import gulf_vortex as gulf_vortex
from ._loaders import guo_embryo as guo_embryo
from ._loaders import hematopoiesis_2d as hematopoiesis_2d
from ._loaders import hesc_pca5 as hesc_pca5
from ._loaders import hesc_tf as hesc_tf
from ._loaders import ipsc_latent4 as ipsc_latent4
from ._loaders import lotka_volterra as lotka_volterra
from ._loaders import lotka_volterra_200 as lotka_volterra_200
from ._loaders import pbmc_programs as pbmc_programs
from ._loaders import repressilator as repressilator
from ._loaders import shalek_lps as shalek_lps
from ._lotka_volterra_simulation import lotka_volterra_simulation as lotka_volterra_simulation
from ._repressilator_simulation import repressilator_simulation as repressilator_simulation
from ._response_loaders import glioblastoma as glioblastoma
from ._response_loaders import kang_counts as kang_counts
from ._response_loaders import kang_pca5 as kang_pca5

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
    "growing_tissue",
    "gulf_vortex",
    "guo_embryo",
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
    "lotka_volterra_200",
    "lotka_volterra_simulation",
    "pbmc_programs",
    "repressilator",
    "repressilator_simulation",
    "reprogramming",
    "shalek_lps",
]
