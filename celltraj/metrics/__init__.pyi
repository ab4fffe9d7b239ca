from ._composition import composition_error as composition_error
from ._energy import energy_distance as energy_distance
from ._floor import split_half_floor as split_half_floor
from ._fokker_planck import directional as directional
from ._fokker_planck import fokker_planck_residual as fokker_planck_residual
from ._fokker_planck import score_residual as score_residual
from ._genes import GeneChanges as GeneChanges
from ._genes import de_direction_match as de_direction_match
from ._genes import de_overlap as de_overlap
from ._genes import differential_expression as differential_expression
from ._genes import discrimination_score as discrimination_score
from ._genes import pearson_delta as pearson_delta
from ._genes import pseudobulk_mae as pseudobulk_mae
from ._mmd import median_distance as median_distance
from ._mmd import mmd as mmd
from ._readouts import gate_error as gate_error
from ._readouts import gate_shares as gate_shares
from ._readouts import variance_ratio as variance_ratio
from ._shift import shift_cosine as shift_cosine
from ._shift import shift_r2 as shift_r2
from ._wasserstein import wasserstein as wasserstein

__all__ = [
    "GeneChanges",
    "composition_error",
    "de_direction_match",
    "de_overlap",
    "differential_expression",
    "directional",
    "discrimination_score",
    "energy_distance",
    "fokker_planck_residual",
    "gate_error",
    "gate_shares",
    "median_distance",
    "mmd",
    "pearson_delta",
    "pseudobulk_mae",
    "score_residual",
    "shift_cosine",
    "shift_r2",
    "split_half_floor",
    "variance_ratio",
    "wasserstein",
]
