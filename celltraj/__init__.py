"""Single-cell dynamics from snapshots: AnnData in, AnnData out."""

from celltraj import datasets, ex, get, io, metrics, models, ot, pl, pp, tl
from celltraj._errors import ConvergenceError, DataWarning, RefinementError, TrainingError
from celltraj.models import load

__all__ = [
    "ConvergenceError",
    "DataWarning",
    "RefinementError",
    "TrainingError",
    "datasets",
    "ex",
    "get",
    "io",
    "load",
    "metrics",
    "models",
    "ot",
    "pl",
    "pp",
    "tl",
]
__version__ = "0.1.0"
