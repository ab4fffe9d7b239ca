"""Plots in scanpy's grammar."""

from celltraj.pl._cross_validation import cross_validation
from celltraj.pl._history import history
from celltraj.pl._marginals import marginals
from celltraj.pl._snapshots import snapshots
from celltraj.pl._trajectories import trajectories

__all__ = ["cross_validation", "history", "marginals", "snapshots", "trajectories"]
