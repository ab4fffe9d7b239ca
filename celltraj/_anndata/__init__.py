"""Read and write AnnData: the only place that knows its slots."""

from celltraj._anndata.read import read_representation, read_snapshots, read_times
from celltraj._anndata.write import cells_at, write_bridge

__all__ = ["cells_at", "read_representation", "read_snapshots", "read_times", "write_bridge"]
