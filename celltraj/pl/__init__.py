"""Plots, with scanpy's grammar: ``show``, ``save``, ``return_fig``, ``ax``."""

from celltraj.pl._animate import animate
from celltraj.pl._cell_numbers import cell_numbers
from celltraj.pl._conditions import conditions
from celltraj.pl._drivers import drivers
from celltraj.pl._fates import fates
from celltraj.pl._gene_trends import gene_trends
from celltraj.pl._growth import growth
from celltraj.pl._history import history
from celltraj.pl._knockout import knockout
from celltraj.pl._landscape import landscape
from celltraj.pl._marginals import marginals
from celltraj.pl._populations import populations
from celltraj.pl._pull import pull
from celltraj.pl._push import push
from celltraj.pl._refinement import refinement
from celltraj.pl._response import response
from celltraj.pl._sankey import sankey
from celltraj.pl._scores import scores
from celltraj.pl._snapshots import snapshots
from celltraj.pl._stream import stream
from celltraj.pl._trajectories import trajectories
from celltraj.pl._transitions import transitions
from celltraj.pl._vector_field import vector_field

__all__ = [
    "animate",
    "cell_numbers",
    "conditions",
    "drivers",
    "fates",
    "gene_trends",
    "growth",
    "history",
    "knockout",
    "landscape",
    "marginals",
    "populations",
    "pull",
    "push",
    "refinement",
    "response",
    "sankey",
    "scores",
    "snapshots",
    "stream",
    "trajectories",
    "transitions",
    "vector_field",
]


def __getattr__(name: str) -> object:
    if name in ("cross_validation", "response_scores"):
        raise AttributeError(f"ct.pl.{name} is now ct.pl.scores(scores)")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
