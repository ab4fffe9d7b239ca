"""Read tables out of results."""

from celltraj.get._conditions import conditions
from celltraj.get._drivers import drivers
from celltraj.get._fates import fates
from celltraj.get._gene_trends import gene_trends
from celltraj.get._knockout import knockout
from celltraj.get._response_summary import response_summary
from celltraj.get._transitions import transitions

__all__ = [
    "conditions",
    "drivers",
    "fates",
    "gene_trends",
    "knockout",
    "response_summary",
    "transitions",
]
