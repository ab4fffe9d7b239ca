"""Judge models on what they have not seen: folds, rows, distances, and one table of scores."""

from celltraj.models.evaluation.advice import STRAIGHT, Advice
from celltraj.models.evaluation.arm_study import ArmStudy
from celltraj.models.evaluation.distances import (
    DISTANCES,
    distances,
    split_half,
    split_samples,
)
from celltraj.models.evaluation.dose_curves import (
    DOSE_COLUMNS,
    EVERYONE,
    DoseCurve,
    check_doses,
    curves_of,
    dose_curves,
)
from celltraj.models.evaluation.engine import (
    Fit,
    Fold,
    check_names,
    evaluate,
    fitted,
    raised_by,
    rng_of,
)
from celltraj.models.evaluation.estimates import RISING
from celltraj.models.evaluation.gene_scores import GeneScore, gene_scores
from celltraj.models.evaluation.holdout import (
    DISPLACEMENT,
    TRIVIAL,
    exact_plans,
    sample_chains,
    trivial_predictions,
)
from celltraj.models.evaluation.prediction import Prediction
from celltraj.models.evaluation.preview import Drawn, Preview
from celltraj.models.evaluation.readouts import GATE_SHARE, SHARE, SHIFT, SURVIVAL, Reading, Readout
from celltraj.models.evaluation.response import Responses, Space, check_response_names
from celltraj.models.evaluation.response_baselines import (
    BASELINES,
    NO_CHANGE,
    Observed,
    expected_shift,
    single_drugs,
    trivial_responses,
)
from celltraj.models.evaluation.response_folds import ResponseFold, response_folds
from celltraj.models.evaluation.response_intervals import (
    Case,
    Ensemble,
    Interval,
    Survivors,
    Told,
    intervals,
    names_of,
    truth_of,
)
from celltraj.models.evaluation.response_scores import AIMS, SIZE, Labelled, Trial
from celltraj.models.evaluation.rows import (
    CONTROLS,
    FLOOR,
    OTHER_CELL,
    OTHER_EMBEDDING,
    OTHER_NEIGHBOURHOOD,
    REPLICATES,
    SELECTED,
    TRUTH,
    model_of,
)
from celltraj.models.evaluation.samples import Sample
from celltraj.models.evaluation.summary import mean_interval, summarised
from celltraj.models.evaluation.survey import Finding, Survey
from celltraj.models.evaluation.table import (
    ARM,
    CHOSEN,
    COLUMNS,
    MARGIN,
    RESPONSE_COLUMNS,
    Score,
    ScoreTable,
)
from celltraj.models.evaluation.time_course import TIME_METRICS, TimeCourse, TimeFold

__all__ = [
    "AIMS",
    "ARM",
    "BASELINES",
    "CHOSEN",
    "COLUMNS",
    "CONTROLS",
    "DISPLACEMENT",
    "DISTANCES",
    "DOSE_COLUMNS",
    "EVERYONE",
    "FLOOR",
    "GATE_SHARE",
    "MARGIN",
    "NO_CHANGE",
    "OTHER_CELL",
    "OTHER_EMBEDDING",
    "OTHER_NEIGHBOURHOOD",
    "REPLICATES",
    "RESPONSE_COLUMNS",
    "RISING",
    "SELECTED",
    "SHARE",
    "SHIFT",
    "SIZE",
    "STRAIGHT",
    "SURVIVAL",
    "TIME_METRICS",
    "TRIVIAL",
    "TRUTH",
    "Advice",
    "ArmStudy",
    "Case",
    "DoseCurve",
    "Drawn",
    "Ensemble",
    "Finding",
    "Fit",
    "Fold",
    "GeneScore",
    "Interval",
    "Labelled",
    "Observed",
    "Prediction",
    "Preview",
    "Reading",
    "Readout",
    "ResponseFold",
    "Responses",
    "Sample",
    "Score",
    "ScoreTable",
    "Space",
    "Survey",
    "Survivors",
    "TimeCourse",
    "TimeFold",
    "Told",
    "Trial",
    "check_doses",
    "check_names",
    "check_response_names",
    "curves_of",
    "distances",
    "dose_curves",
    "evaluate",
    "exact_plans",
    "expected_shift",
    "fitted",
    "gene_scores",
    "intervals",
    "mean_interval",
    "model_of",
    "names_of",
    "raised_by",
    "response_folds",
    "rng_of",
    "sample_chains",
    "single_drugs",
    "split_half",
    "split_samples",
    "summarised",
    "trivial_predictions",
    "trivial_responses",
    "truth_of",
]
