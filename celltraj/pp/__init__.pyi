from ._check_times import check_times as check_times
from ._match_variables import match_variables as match_variables
from ._pca_model import pca_model as pca_model
from ._project import project as project
from ._score_growth import score_growth as score_growth

__all__ = [
    "check_times",
    "match_variables",
    "pca_model",
    "project",
    "score_growth",
]
