"""Tools: fit, simulate, interpolate and judge."""

from celltraj.tl._bootstrap import bootstrap
from celltraj.tl._cross_validate import cross_validate
from celltraj.tl._fit_bridge import fit_bridge
from celltraj.tl._fit_flow import fit_flow
from celltraj.tl._interpolate import interpolate
from celltraj.tl._log_density import log_density
from celltraj.tl._regulation import regulation
from celltraj.tl._simulate import simulate

__all__ = [
    "bootstrap",
    "cross_validate",
    "fit_bridge",
    "fit_flow",
    "interpolate",
    "log_density",
    "regulation",
    "simulate",
]
