"""Read and write AnnData: the only place that knows its slots."""

from celltraj._anndata.columns import (
    check_adata,
    column_of,
    has_column,
    in_memory,
    texts_of,
    unique_names,
)
from celltraj._anndata.coupled import Coupled, couple_by_model, write_couplings
from celltraj._anndata.gene_pair import TARGET, UNTREATED, GenePair, gene_pair
from celltraj._anndata.groups import chosen_cells, memberships, read_groups
from celltraj._anndata.known_times import time_key_of, time_key_of_model
from celltraj._anndata.lineage import (
    Tied,
    expected_growth,
    read_coupled,
    read_lineage,
    transition_matrix,
)
from celltraj._anndata.members import Members, noise_keys, read_members
from celltraj._anndata.new_cells import (
    Untreated,
    read_states,
    read_untreated,
    source_of,
    warn_of_few,
)
from celltraj._anndata.noise_source import sigma_source_of
from celltraj._anndata.populations import (
    given_once,
    never_together,
    read_populations,
    read_rows,
)
from celltraj._anndata.projection import (
    Projected,
    genes_of,
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
    find_space,
    read_observed,
    read_rates,
    read_representation,
    read_snapshots,
    read_space,
    variables_of,
    warn_of_limits,
)
from celltraj._anndata.response import (
    Predicted,
    embedded_populations,
    killed_table,
    predicted_cells,
)
from celltraj._anndata.samples import (
    ResponseKeys,
    read_samples,
    warn_of_never_treated,
)
from celltraj._anndata.survival import relative_survival, shared_survival
from celltraj._anndata.times import inner_time_of, labels_of, read_times, time_of, times_of
from celltraj._anndata.write import (
    annotated,
    bridge_record,
    cells_at,
    flow_record,
    options_record,
    recorded,
    response_record,
    sample_record,
    warn_of_view,
)
from celltraj.models.evaluation import Sample

__all__ = [
    "TARGET",
    "UNTREATED",
    "Coupled",
    "GenePair",
    "Members",
    "Predicted",
    "Projected",
    "ResponseKeys",
    "Sample",
    "Tied",
    "Untreated",
    "annotated",
    "bridge_record",
    "cells_at",
    "check_adata",
    "check_bridge",
    "check_dimension",
    "chosen_cells",
    "column_of",
    "couple_by_model",
    "dimension_of",
    "embedded_populations",
    "expected_growth",
    "find_representation",
    "find_space",
    "flow_record",
    "gene_pair",
    "genes_of",
    "given_once",
    "has_column",
    "in_memory",
    "inner_time_of",
    "killed_table",
    "labels_of",
    "memberships",
    "never_together",
    "noise_keys",
    "options_record",
    "predicted_cells",
    "projection_of",
    "projection_record",
    "read_coupled",
    "read_groups",
    "read_lineage",
    "read_members",
    "read_observed",
    "read_populations",
    "read_projection",
    "read_rates",
    "read_representation",
    "read_rows",
    "read_samples",
    "read_snapshots",
    "read_space",
    "read_states",
    "read_times",
    "read_untreated",
    "recorded",
    "relative_survival",
    "response_record",
    "sample_record",
    "shared_survival",
    "sigma_source_of",
    "source_of",
    "texts_of",
    "time_key_of",
    "time_key_of_model",
    "time_of",
    "times_of",
    "transition_matrix",
    "unique_names",
    "variables_of",
    "warn_of_few",
    "warn_of_limits",
    "warn_of_never_treated",
    "warn_of_view",
    "write_couplings",
    "write_projection",
]
