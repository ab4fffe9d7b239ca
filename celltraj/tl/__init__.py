"""Tools: fit, simulate, interpolate and judge."""

from celltraj.tl._bootstrap import bootstrap
from celltraj.tl._compare_conditions import compare_conditions
from celltraj.tl._couplings import couplings
from celltraj.tl._cross_validate import cross_validate
from celltraj.tl._cross_validate_response import cross_validate_response
from celltraj.tl._decode import decode
from celltraj.tl._drivers import drivers
from celltraj.tl._embed_populations import embed_populations
from celltraj.tl._entropy import entropy
from celltraj.tl._fates import fates
from celltraj.tl._fit_bridge import fit_bridge
from celltraj.tl._fit_flow import fit_flow
from celltraj.tl._fit_response import fit_response
from celltraj.tl._gene_trends import gene_trends
from celltraj.tl._growth import growth
from celltraj.tl._interpolate import interpolate
from celltraj.tl._knockout import knockout
from celltraj.tl._knockout_screen import knockout_screen
from celltraj.tl._log_density import log_density
from celltraj.tl._predict_response import predict_response
from celltraj.tl._push import pull, push
from celltraj.tl._regulation import regulation
from celltraj.tl._simulate import simulate
from celltraj.tl._transitions import transitions
from celltraj.tl._velocity import velocity

__all__ = [
    "bootstrap",
    "compare_conditions",
    "couplings",
    "cross_validate",
    "cross_validate_response",
    "decode",
    "drivers",
    "embed_populations",
    "entropy",
    "fates",
    "fit_bridge",
    "fit_flow",
    "fit_response",
    "gene_trends",
    "growth",
    "interpolate",
    "knockout",
    "knockout_screen",
    "log_density",
    "predict_response",
    "pull",
    "push",
    "regulation",
    "simulate",
    "transitions",
    "velocity",
]
