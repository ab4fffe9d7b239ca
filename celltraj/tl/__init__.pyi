from ._bootstrap import bootstrap as bootstrap
from ._calibrate import calibrate as calibrate
from ._clone_growth import clone_growth as clone_growth
from ._clone_memory import clone_memory as clone_memory
from ._compare_conditions import compare_conditions as compare_conditions
from ._condition import condition as condition
from ._couple_clones import couple_clones as couple_clones
from ._couple_lineages import couple_lineages as couple_lineages
from ._couple_samples import couple_samples as couple_samples
from ._couple_space import couple_space as couple_space
from ._couplings import couplings as couplings
from ._cross_validate import cross_validate as cross_validate
from ._cross_validate_arms import cross_validate_arms as cross_validate_arms
from ._cross_validate_response import cross_validate_response as cross_validate_response
from ._decode import decode as decode
from ._dose_response import dose_response as dose_response
from ._drivers import drivers as drivers
from ._embed_populations import embed_populations as embed_populations
from ._entropy import entropy as entropy
from ._entropy_production import entropy_production as entropy_production
from ._fates import fates as fates
from ._fit_arms import fit_arms as fit_arms
from ._fit_bridge import fit_bridge as fit_bridge
from ._fit_flow import fit_flow as fit_flow
from ._fit_mean_field import fit_mean_field as fit_mean_field
from ._fit_response import fit_response as fit_response
from ._fit_response_folds import fit_response_folds as fit_response_folds
from ._forecast_intervals import forecast_intervals as forecast_intervals
from ._gene_scores import gene_scores as gene_scores
from ._gene_trends import gene_trends as gene_trends
from ._growth import growth as growth
from ._interpolate import interpolate as interpolate
from ._interpolate_slice import interpolate_slice as interpolate_slice
from ._jacobian import jacobian as jacobian
from ._jump_rates import jump_rates as jump_rates
from ._knockout import knockout as knockout
from ._knockout_screen import knockout_screen as knockout_screen
from ._least_action import least_action as least_action
from ._log_density import log_density as log_density
from ._martingale_test import martingale_test as martingale_test
from ._predict_response import predict_response as predict_response
from ._push import pull as pull
from ._push import push as push
from ._regulation import regulation as regulation
from ._resample import resample as resample
from ._response_intervals import response_intervals as response_intervals
from ._sample_report import sample_report as sample_report
from ._simulate import simulate as simulate
from ._slow_modes import slow_modes as slow_modes
from ._transitions import transitions as transitions
from ._update import update as update
from ._velocity import velocity as velocity
from ._which_model import which_model as which_model

__all__ = [
    "bootstrap",
    "calibrate",
    "clone_growth",
    "clone_memory",
    "compare_conditions",
    "condition",
    "couple_clones",
    "couple_lineages",
    "couple_samples",
    "couple_space",
    "couplings",
    "cross_validate",
    "cross_validate_arms",
    "cross_validate_response",
    "decode",
    "dose_response",
    "drivers",
    "embed_populations",
    "entropy",
    "entropy_production",
    "fates",
    "fit_arms",
    "fit_bridge",
    "fit_flow",
    "fit_mean_field",
    "fit_response",
    "fit_response_folds",
    "forecast_intervals",
    "gene_scores",
    "gene_trends",
    "growth",
    "interpolate",
    "interpolate_slice",
    "jacobian",
    "jump_rates",
    "knockout",
    "knockout_screen",
    "least_action",
    "log_density",
    "martingale_test",
    "predict_response",
    "pull",
    "push",
    "regulation",
    "resample",
    "response_intervals",
    "sample_report",
    "simulate",
    "slow_modes",
    "transitions",
    "update",
    "velocity",
    "which_model",
]
