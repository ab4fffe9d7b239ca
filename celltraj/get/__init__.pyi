from ._arms import arms as arms
from ._conditions import conditions as conditions
from ._convergence import convergence as convergence
from ._dose_curves import dose_curves as dose_curves
from ._drivers import drivers as drivers
from ._fates import fates as fates
from ._gene_trends import gene_trends as gene_trends
from ._growth import growth as growth
from ._jump_rates import jump_rates as jump_rates
from ._knockout import knockout as knockout
from ._losses import losses as losses
from ._results import results as results
from ._score_summary import score_summary as score_summary
from ._transitions import transitions as transitions

__all__ = [
    "arms",
    "conditions",
    "convergence",
    "dose_curves",
    "drivers",
    "fates",
    "gene_trends",
    "growth",
    "jump_rates",
    "knockout",
    "losses",
    "results",
    "score_summary",
    "transitions",
]
