"""Tools: fit, simulate, interpolate and judge."""

from celltraj.tl._bootstrap import bootstrap
from celltraj.tl._cross_validate import cross_validate
from celltraj.tl._cross_validate_response import cross_validate_response
from celltraj.tl._decode import decode
from celltraj.tl._embed_populations import embed_populations
from celltraj.tl._fit_bridge import fit_bridge
from celltraj.tl._fit_flow import fit_flow
from celltraj.tl._fit_response import fit_response
from celltraj.tl._interpolate import interpolate
from celltraj.tl._log_density import log_density
from celltraj.tl._predict_response import predict_response
from celltraj.tl._regulation import regulation
from celltraj.tl._simulate import simulate

__all__ = [
    "bootstrap",
    "cross_validate",
    "cross_validate_response",
    "decode",
    "embed_populations",
    "fit_bridge",
    "fit_flow",
    "fit_response",
    "interpolate",
    "log_density",
    "predict_response",
    "regulation",
    "simulate",
]
