"""Read and write AnnData: the only place that knows its slots."""

from celltraj._anndata.read import (
    check_bridge,
    check_dimension,
    dimension_of,
    find_representation,
    read_representation,
    read_snapshots,
)
from celltraj._anndata.record import read_record
from celltraj._anndata.times import read_times
from celltraj._anndata.write import (
    bridge_record,
    cell_velocity,
    cells_at,
    check_writable,
    flow_record,
    options_record,
    sample_record,
    write_fit,
)

__all__ = [
    "bridge_record",
    "cell_velocity",
    "cells_at",
    "check_bridge",
    "check_dimension",
    "check_writable",
    "dimension_of",
    "find_representation",
    "flow_record",
    "options_record",
    "read_record",
    "read_representation",
    "read_snapshots",
    "read_times",
    "sample_record",
    "write_fit",
]
