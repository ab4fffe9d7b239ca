from ._check_times import check_times as check_times
from ._pca_model import pca_model as pca_model
from ._project import project as project
from ._score_growth import score_growth as score_growth

__all__ = [
    "check_times",
    "pca_model",
    "project",
    "score_growth",
]
