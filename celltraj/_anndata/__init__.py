"""Read and write AnnData: the only place that knows its slots."""

from celltraj._anndata.groups import chosen_cells, memberships, read_groups
from celltraj._anndata.lineage import (
    Tied,
    couplings_columns,
    couplings_record,
    read_coupled,
    read_lineage,
    transition_matrix,
)
from celltraj._anndata.members import Members, noise_keys, read_members
from celltraj._anndata.new_cells import Untreated, read_untreated, source_of, warn_of_few
from celltraj._anndata.populations import given_once, read_populations, read_rows
from celltraj._anndata.projection import (
    Projected,
    genes_in_order,
    projection_of,
    projection_record,
    read_projection,
    write_projection,
)
from celltraj._anndata.read import (
    check_bridge,
    check_dimension,
    dimension_of,
    find_representation,
    read_rates,
    read_representation,
    read_snapshots,
)
from celltraj._anndata.record import read_record, read_result
from celltraj._anndata.response import embedded_populations, predicted_cells
from celltraj._anndata.samples import (
    ResponseKeys,
    Sample,
    read_samples,
    warn_of_never_treated,
)
from celltraj._anndata.times import read_times
from celltraj._anndata.write import (
    annotated,
    bridge_record,
    cell_velocity,
    cells_at,
    check_writable,
    flow_record,
    options_record,
    response_record,
    sample_record,
    write_columns,
    write_fit,
    write_record,
)

__all__ = [
    "Members",
    "Projected",
    "ResponseKeys",
    "Sample",
    "Tied",
    "Untreated",
    "annotated",
    "bridge_record",
    "cell_velocity",
    "cells_at",
    "check_bridge",
    "check_dimension",
    "check_writable",
    "chosen_cells",
    "couplings_columns",
    "couplings_record",
    "dimension_of",
    "embedded_populations",
    "find_representation",
    "flow_record",
    "genes_in_order",
    "given_once",
    "memberships",
    "noise_keys",
    "options_record",
    "predicted_cells",
    "projection_of",
    "projection_record",
    "read_coupled",
    "read_groups",
    "read_lineage",
    "read_members",
    "read_populations",
    "read_projection",
    "read_rates",
    "read_record",
    "read_representation",
    "read_result",
    "read_rows",
    "read_samples",
    "read_snapshots",
    "read_times",
    "read_untreated",
    "response_record",
    "sample_record",
    "source_of",
    "transition_matrix",
    "warn_of_few",
    "warn_of_never_treated",
    "write_columns",
    "write_fit",
    "write_projection",
    "write_record",
]
