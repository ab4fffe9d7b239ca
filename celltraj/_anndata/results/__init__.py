"""Every result that is kept in AnnData: one object says what it is, writes it and reads it."""

from celltraj._anndata.results._catalogue import (
    RESULTS,
    check_place_fresh,
    convergence_of,
    held_results,
    losses_of,
)
from celltraj._anndata.results._declared import COMMON, Field, Place
from celltraj._anndata.results._record import PROJECTION, ROOT, params_of, records_of
from celltraj._anndata.results._result import Result
from celltraj._anndata.results.analysis import (
    CONDITIONS,
    DRIVERS,
    GENE_TRENDS,
    JUMP_RATES,
    KNOCKOUT,
    VELOCITY,
)
from celltraj._anndata.results.fits import ARMS, BRIDGE, FITS, FLOW, LOG_DENSITY, RESPONSE
from celltraj._anndata.results.genes import DECODE, GROWTH_PRIOR, PCA
from celltraj._anndata.results.lineage import (
    COUPLINGS,
    ENTROPY,
    FATES,
    GROWTH,
    MATRIX,
    PULL,
    PUSH,
    TRANSITIONS,
)
from celltraj._anndata.results.new_cells import EMBEDDING, INTERPOLATE, PREDICTION, SIMULATE

__all__ = [
    "ARMS",
    "BRIDGE",
    "COMMON",
    "CONDITIONS",
    "COUPLINGS",
    "DECODE",
    "DRIVERS",
    "EMBEDDING",
    "ENTROPY",
    "FATES",
    "FITS",
    "FLOW",
    "GENE_TRENDS",
    "GROWTH",
    "GROWTH_PRIOR",
    "INTERPOLATE",
    "JUMP_RATES",
    "KNOCKOUT",
    "LOG_DENSITY",
    "MATRIX",
    "PCA",
    "PREDICTION",
    "PROJECTION",
    "PULL",
    "PUSH",
    "RESPONSE",
    "RESULTS",
    "ROOT",
    "SIMULATE",
    "TRANSITIONS",
    "VELOCITY",
    "Field",
    "Place",
    "Result",
    "check_place_fresh",
    "convergence_of",
    "held_results",
    "losses_of",
    "params_of",
    "records_of",
]
