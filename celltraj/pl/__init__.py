"""Plots in scanpy's grammar."""

from celltraj.pl.cross_validation import cross_validation
from celltraj.pl.history import history
from celltraj.pl.marginals import marginals
from celltraj.pl.snapshots import snapshots
from celltraj.pl.trajectories import trajectories

__all__ = ["cross_validation", "history", "marginals", "snapshots", "trajectories"]
