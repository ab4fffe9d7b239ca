"""Read tables out of results."""

from celltraj.get._conditions import conditions
from celltraj.get._convergence import convergence
from celltraj.get._drivers import drivers
from celltraj.get._fates import fates
from celltraj.get._gene_trends import gene_trends
from celltraj.get._growth import growth
from celltraj.get._knockout import knockout
from celltraj.get._losses import losses
from celltraj.get._response_summary import response_summary
from celltraj.get._results import results
from celltraj.get._transitions import transitions

__all__ = [
    "conditions",
    "convergence",
    "drivers",
    "fates",
    "gene_trends",
    "growth",
    "knockout",
    "losses",
    "response_summary",
    "results",
    "transitions",
]
