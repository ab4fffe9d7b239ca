"""Say how each data set is made from its original files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import anndata as ad

from celltraj.datasets._sources import components, snapshots, table, tables
from celltraj.datasets._sources.glioblastoma import glioblastoma
from celltraj.datasets._sources.kang import kang_counts
from celltraj.datasets._sources.larry import larry_spring
from celltraj.datasets._sources.original import Original
from celltraj.datasets._sources.reprogramming import reprogramming
from celltraj.datasets._sources.scode import hesc_tf

# data set: its converter, which takes the paths of its files in the order of the table
CONVERTERS: dict[str, Callable[..., ad.AnnData]] = {
    "eb_pca5": snapshots.eb_pca5,
    "emt_a549": tables.emt_a549,
    "gene_circuit_growth": tables.gene_circuit_growth,
    "glioblastoma": glioblastoma,
    "growing_gaussians_10d": tables.growing_gaussians_10d,
    "gulf_vortex": snapshots.gulf_vortex,
    "guo_embryo": components.guo_embryo,
    "hematopoiesis_2d": tables.hematopoiesis_2d,
    "hesc_pca5": snapshots.hesc_pca5,
    "hesc_tf": hesc_tf,
    "ipsc_latent4": snapshots.ipsc_latent4,
    "kang_counts": kang_counts,
    "larry_spring": larry_spring,
    "lotka_volterra": snapshots.lotka_volterra,
    "lotka_volterra_200": snapshots.lotka_volterra_200,
    "pbmc_programs": snapshots.pbmc_programs,
    "repressilator": snapshots.repressilator,
    "reprogramming": reprogramming,
    "shalek_lps": components.shalek_lps,
}


def originals_of(name: str) -> tuple[Original, ...]:
    """Return the files of the data set, in the order in which its converter takes them."""
    return tuple(row for row in table.ORIGINALS if row.name.split(".")[0] == name)


def convert(name: str, paths: Sequence[Path]) -> ad.AnnData:
    """Return the data set made from its files."""
    return CONVERTERS[name](*paths)
