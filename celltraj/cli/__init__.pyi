from . import components as components
from . import cross_validation as cross_validation
from . import lineage as lineage
from . import report as report
from . import response as response
from . import simulation as simulation
from . import time_course as time_course

__all__ = [
    "components",
    "cross_validation",
    "lineage",
    "report",
    "response",
    "simulation",
    "time_course",
]
