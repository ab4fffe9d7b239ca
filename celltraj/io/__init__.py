"""Read couplings that other packages have computed."""

from celltraj.io._from_moscot import from_moscot
from celltraj.io._from_wot import from_wot

__all__ = ["from_moscot", "from_wot"]
