"""Judge predicted cells of one population under one condition."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from celltraj.metrics import (
    composition_error,
    gate_error,
    median_distance,
    shift_cosine,
    shift_r2,
    variance_ratio,
)
from celltraj.models.evaluation.distances import distances, split_half
from celltraj.models.evaluation.prediction import Prediction

TYPE_ERROR, SIZE = "type_error", "size"
COSINE, R2 = "shift_cosine", "shift_r2"
GATE, VARIANCE = "gate_error", "variance_ratio"
# what a score should be, where neither more nor less of it is better
AIMS = {VARIANCE: 1.0}


@dataclass(frozen=True)
class Labelled:
    """Name the types of cells by the nearest cell of a labelled sample.

    Parameters
    ----------
    x
        ``(n, d)`` labelled cells.
    types
        ``(n,)`` codes of their types.
    """

    x: np.ndarray
    types: np.ndarray

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.x)

    def of(self, cells: np.ndarray) -> np.ndarray:
        """Return the type ``(m,)`` of each of ``m`` cells."""
        types: np.ndarray = self.types[self._tree.query(cells)[1]]
        return types


@dataclass(frozen=True)
class Trial:
    """Hold what predictions of one population under one condition are measured by.

    Predicted and true cells get their types from the same nearest neighbours among the treated
    cells of the training, so that both have the errors of that classifier.

    Parameters
    ----------
    source
        ``(n, d)`` cells before, which every prediction starts from.
    truth
        ``(m, d)`` cells after.
    labelled
        Treated cells of the training with their types; None where types are not judged.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.models.evaluation import Prediction, Trial
    >>> x = np.array([[0.0], [1.0], [5.0]])
    >>> trial = Trial(x, x + 2)
    >>> scores = trial.score(Prediction(x + 1))
    >>> scores["W1"], scores["shift_r2"], trial.size
    (1.0, 0.75, 2.0)
    """

    source: np.ndarray
    truth: np.ndarray
    labelled: Labelled | None = None

    @cached_property
    def _bandwidth(self) -> float:
        return median_distance(self.truth)

    @property
    def _shift(self) -> np.ndarray:
        shift: np.ndarray = self.truth.mean(0) - self.source.mean(0)
        return shift

    @property
    def size(self) -> float:
        """Length of the true shift of the mean, in units of the cells."""
        return float(np.linalg.norm(self._shift))

    def score(self, predicted: Prediction) -> dict[str, float]:
        """Return what is defined of all metrics, by name."""
        shift = np.average(predicted.x, axis=0, weights=predicted.weights) - self.source.mean(0)
        scores = self._distances(predicted, self.truth) | {
            COSINE: shift_cosine(shift, self._shift),
            R2: shift_r2(shift, self._shift),
            SIZE: float(np.linalg.norm(shift)),
            VARIANCE: variance_ratio(predicted.x, self.truth, weights=predicted.weights),
        }
        return {name: value for name, value in scores.items() if not math.isnan(value)}

    def floor(self, *, seed: int) -> dict[str, float]:
        """Return what random halves of the truth have from each other, in the mean of splits."""
        return split_half(self.truth, self._distances, seed=seed)

    def _distances(self, predicted: Prediction, truth: np.ndarray) -> dict[str, float]:
        """Return the distances, and the errors in shares: above the gates, and of types."""
        # one bandwidth, and the gates of the same cells, for floor and predictions
        found = distances(predicted, truth, bandwidth=self._bandwidth)
        found[GATE] = gate_error(predicted.x, truth, self.source, weights=predicted.weights)
        if self.labelled is not None:
            types = self.labelled.of(predicted.x), self.labelled.of(truth)
            found[TYPE_ERROR] = composition_error(*types, weights=predicted.weights)
        return found
