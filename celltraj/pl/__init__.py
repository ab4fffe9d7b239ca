"""Plots in scanpy's grammar."""

from celltraj.pl.cross_validation import cross_validation
from celltraj.pl.trajectories import trajectories

__all__ = ["cross_validation", "trajectories"]
