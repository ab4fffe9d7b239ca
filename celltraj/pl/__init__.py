"""Plots, with scanpy's grammar: ``show``, ``save``, ``return_fig``, ``ax``."""

from celltraj.pl._cross_validation import cross_validation
from celltraj.pl._history import history
from celltraj.pl._landscape import landscape
from celltraj.pl._marginals import marginals
from celltraj.pl._populations import populations
from celltraj.pl._refinement import refinement
from celltraj.pl._response import response
from celltraj.pl._response_scores import response_scores
from celltraj.pl._snapshots import snapshots
from celltraj.pl._trajectories import trajectories
from celltraj.pl._vector_field import vector_field

__all__ = [
    "cross_validation",
    "history",
    "landscape",
    "marginals",
    "populations",
    "refinement",
    "response",
    "response_scores",
    "snapshots",
    "trajectories",
    "vector_field",
]
