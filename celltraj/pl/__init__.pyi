from ._animate import animate as animate
from ._arms import arms as arms
from ._branches import branches as branches
from ._calibration import calibration as calibration
from ._cell_numbers import cell_numbers as cell_numbers
from ._conditions import conditions as conditions
from ._density import density as density
from ._dose_response import dose_response as dose_response
from ._drivers import drivers as drivers
from ._entropy_production import entropy_production as entropy_production
from ._fates import fates as fates
from ._gene_heatmap import gene_heatmap as gene_heatmap
from ._gene_trends import gene_trends as gene_trends
from ._growth import growth as growth
from ._held_out import held_out as held_out
from ._history import history as history
from ._jacobian import jacobian as jacobian
from ._jump_rates import jump_rates as jump_rates
from ._knockout import knockout as knockout
from ._landscape import landscape as landscape
from ._least_action import least_action as least_action
from ._marginals import marginals as marginals
from ._martingale_test import martingale_test as martingale_test
from ._mean_field import mean_field as mean_field
from ._populations import populations as populations
from ._pull import pull as pull
from ._push import push as push
from ._refinement import refinement as refinement
from ._report import report as report
from ._response import response as response
from ._sample_report import sample_report as sample_report
from ._sankey import sankey as sankey
from ._scores import scores as scores
from ._slices import slices as slices
from ._slow_modes import slow_modes as slow_modes
from ._snapshots import snapshots as snapshots
from ._stream import stream as stream
from ._trajectories import trajectories as trajectories
from ._transitions import transitions as transitions
from ._vector_field import vector_field as vector_field

__all__ = [
    "animate",
    "arms",
    "branches",
    "calibration",
    "cell_numbers",
    "conditions",
    "density",
    "dose_response",
    "drivers",
    "entropy_production",
    "fates",
    "gene_heatmap",
    "gene_trends",
    "growth",
    "held_out",
    "history",
    "jacobian",
    "jump_rates",
    "knockout",
    "landscape",
    "least_action",
    "marginals",
    "martingale_test",
    "mean_field",
    "populations",
    "pull",
    "push",
    "refinement",
    "report",
    "response",
    "sample_report",
    "sankey",
    "scores",
    "slices",
    "slow_modes",
    "snapshots",
    "stream",
    "trajectories",
    "transitions",
    "vector_field",
]
