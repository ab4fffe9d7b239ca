from ._arms import arms as arms
from ._calibration import calibration as calibration
from ._clone_growth import clone_growth as clone_growth
from ._clone_memory import clone_memory as clone_memory
from ._clone_strength import clone_strength as clone_strength
from ._condition import condition as condition
from ._conditions import conditions as conditions
from ._convergence import convergence as convergence
from ._dose_curves import dose_curves as dose_curves
from ._drivers import drivers as drivers
from ._entropy_production import entropy_production as entropy_production
from ._fates import fates as fates
from ._gene_trends import gene_trends as gene_trends
from ._growth import growth as growth
from ._jacobian import jacobian as jacobian
from ._jump_rates import jump_rates as jump_rates
from ._killed import killed as killed
from ._knockout import knockout as knockout
from ._least_action import least_action as least_action
from ._losses import losses as losses
from ._martingale_test import martingale_test as martingale_test
from ._mean_field import mean_field as mean_field
from ._registration import registration as registration
from ._results import results as results
from ._sample_report import sample_report as sample_report
from ._score_summary import score_summary as score_summary
from ._slow_modes import slow_modes as slow_modes
from ._transitions import transitions as transitions

__all__ = [
    "arms",
    "calibration",
    "clone_growth",
    "clone_memory",
    "clone_strength",
    "condition",
    "conditions",
    "convergence",
    "dose_curves",
    "drivers",
    "entropy_production",
    "fates",
    "gene_trends",
    "growth",
    "jacobian",
    "jump_rates",
    "killed",
    "knockout",
    "least_action",
    "losses",
    "martingale_test",
    "mean_field",
    "registration",
    "results",
    "sample_report",
    "score_summary",
    "slow_modes",
    "transitions",
]
