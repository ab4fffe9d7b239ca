from . import response as response
from . import time_course as time_course

__all__ = ["response", "time_course"]
