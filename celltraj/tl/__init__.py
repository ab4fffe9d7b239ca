"""Tools: fit, simulate, interpolate and judge."""

from celltraj.tl.cross_validate import cross_validate
from celltraj.tl.fit_bridge import fit_bridge
from celltraj.tl.interpolate import interpolate
from celltraj.tl.simulate import simulate

__all__ = ["cross_validate", "fit_bridge", "interpolate", "simulate"]
