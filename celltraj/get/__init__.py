"""Read tables out of results."""

from celltraj.get._conditions import conditions
from celltraj.get._drivers import drivers
from celltraj.get._fates import fates
from celltraj.get._gene_trends import gene_trends
from celltraj.get._knockout import knockout
from celltraj.get._score_summary import score_summary
from celltraj.get._transitions import transitions

__all__ = [
    "conditions",
    "drivers",
    "fates",
    "gene_trends",
    "knockout",
    "score_summary",
    "transitions",
]


def __getattr__(name: str) -> object:
    if name == "response_summary":
        raise AttributeError("ct.get.response_summary is now ct.get.score_summary(scores)")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
