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
    ENTROPY_PRODUCTION,
    GENE_TRENDS,
    JACOBIAN,
    JUMP_RATES,
    KNOCKOUT,
    MARTINGALE,
    SLOW_MODES,
    VELOCITY,
)
from celltraj._anndata.results.fits import BRIDGE, FITS, FLOW, LOG_DENSITY, RESPONSE
from celltraj._anndata.results.genes import DECODE, GROWTH_PRIOR, PCA
from celltraj._anndata.results.lineage import (
    CALIBRATION,
    COUPLINGS,
    ENTROPY,
    FATES,
    GROWTH,
    MATRIX,
    PULL,
    PUSH,
    TRANSITIONS,
)
from celltraj._anndata.results.new_cells import (
    CONDITION,
    EMBEDDING,
    INTERPOLATE,
    LEAST_ACTION,
    PREDICTION,
    SIMULATE,
)

__all__ = [
    "BRIDGE",
    "CALIBRATION",
    "COMMON",
    "CONDITION",
    "CONDITIONS",
    "COUPLINGS",
    "DECODE",
    "DRIVERS",
    "EMBEDDING",
    "ENTROPY",
    "ENTROPY_PRODUCTION",
    "FATES",
    "FITS",
    "FLOW",
    "GENE_TRENDS",
    "GROWTH",
    "GROWTH_PRIOR",
    "INTERPOLATE",
    "JACOBIAN",
    "JUMP_RATES",
    "KNOCKOUT",
    "LEAST_ACTION",
    "LOG_DENSITY",
    "MARTINGALE",
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
    "SLOW_MODES",
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
