from . import datasets as datasets
from . import ex as ex
from . import get as get
from . import io as io
from . import metrics as metrics
from . import models as models
from . import ot as ot
from . import pl as pl
from . import pp as pp
from . import tl as tl
from ._errors import ConvergenceError as ConvergenceError
from ._errors import DataWarning as DataWarning
from ._errors import FitWarning as FitWarning
from ._errors import RefinementError as RefinementError
from ._errors import TrainingError as TrainingError
from ._memory import memory_limit as memory_limit
from .models import load as load
from .snapshots import Snapshots as Snapshots

__version__: str
__all__ = [
    "ConvergenceError",
    "DataWarning",
    "FitWarning",
    "RefinementError",
    "Snapshots",
    "TrainingError",
    "datasets",
    "ex",
    "get",
    "io",
    "load",
    "memory_limit",
    "metrics",
    "models",
    "ot",
    "pl",
    "pp",
    "tl",
]
