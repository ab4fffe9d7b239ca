from ._conditions import conditions as conditions
from ._drivers import drivers as drivers
from ._fates import fates as fates
from ._gene_trends import gene_trends as gene_trends
from ._knockout import knockout as knockout
from ._response_summary import response_summary as response_summary
from ._transitions import transitions as transitions

__all__ = [
    "conditions",
    "drivers",
    "fates",
    "gene_trends",
    "knockout",
    "response_summary",
    "transitions",
]
