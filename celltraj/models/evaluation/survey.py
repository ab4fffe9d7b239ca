"""Judge many candidates on held-out times by the paths that their networks would learn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from celltraj.models.chains import GapPlans
from celltraj.models.course import Course
from celltraj.models.evaluation.distances import distances, split_half
from celltraj.models.evaluation.holdout import exact_plans, trivial_predictions
from celltraj.models.evaluation.prediction import Prediction
from celltraj.models.evaluation.preview import Preview
from celltraj.models.evaluation.rows import FLOOR
from celltraj.models.evaluation.time_course import TIME_METRICS
from celltraj.models.noise_scale import default_sigma
from celltraj.snapshots import Snapshots

SPREAD = "variance_ratio"  # total variance of predicted over that of true cells
_MOST_TIMES = 5  # of a long course that are held out
_LONG = 8  # inner times from which a course is long
_BESIDE = 3  # snapshots on each side of a held-out time that it is predicted from
_measured = partial(distances, metrics=TIME_METRICS)


class Finding(NamedTuple):
    """What was found of a method at a held-out time, in one draw."""

    method: str
    held_out: float
    draw: int
    metric: str
    value: float


@dataclass(frozen=True)
class Survey:
    """Hold out inner times in turn, and predict them by candidates without their networks.

    Parameters
    ----------
    whole
        All snapshots, few enough cells of each to be quick.
    candidates
        What is judged, by name.
    n_draws
        How often chains are drawn.
    seed
        Seed of everything random.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import SplineInterpolant
    >>> from celltraj.models.evaluation import Preview, Survey
    >>> from celltraj.ot import solve
    >>> from celltraj.snapshots import Snapshots
    >>> x = torch.linspace(0, 1, 9)[:, None]
    >>> steady = Snapshots((0.0, 1.0, 2.0), (x, x + 1, x + 2))
    >>> spline = Preview(lambda snapshots: SplineInterpolant(), solve, growth=None, sigma=1e-3)
    >>> survey = Survey(steady, {"spline": spline}, n_draws=1, seed=0)
    >>> (time,) = survey.times
    >>> found = {one.method: one.value for one in survey.judge(time) if one.metric == "W1"}
    >>> round(found["spline"]), round(found["previous"])
    (0, 1)
    """

    whole: Snapshots
    candidates: Mapping[str, Preview]
    n_draws: int
    seed: int

    @property
    def times(self) -> tuple[float, ...]:
        """Return the times to hold out: all inner ones, of a long course five of them, spread."""
        inner = self.whole.times[1:-1]
        if len(inner) < _LONG:
            return inner
        chosen = np.linspace(0, len(inner) - 1, _MOST_TIMES).round().astype(int)
        return tuple(inner[k] for k in chosen)

    def judge(self, time: float) -> Iterator[Finding]:
        """Predict the cells of a time from the snapshots beside it, and measure how."""
        train = self._beside(time)
        truth = self.whole.x[self.whole.times.index(time)].numpy()
        plans = exact_plans(train)
        sigma = default_sigma(train, generator=self._draws(0))
        tied = self._tied(train, sigma)
        for draw in range(self.n_draws):
            seed = self.seed + draw
            cells = trivial_predictions(train, plans, time, seed=seed)
            predicted = {name: Prediction(x) for name, x in cells.items()}
            for name, one in self.candidates.items():
                known = tied[one.coupling, one.growth]
                predicted[name] = self._predicted(one, known, sigma, time, draw)
            for metric, value in split_half(truth, _measured, seed=seed).items():
                yield Finding(FLOOR, time, draw, metric, value)
            for name, found in predicted.items():
                values = _measured(found, truth) | {SPREAD: _variance_ratio(found, truth)}
                for metric, value in values.items():
                    yield Finding(name, time, draw, metric, value)

    def _beside(self, time: float) -> Snapshots:
        """Return the snapshots before and after a held-out time, as many as are used."""
        k, n = self.whole.times.index(time), len(self.whole.times)
        first = min(max(k - _BESIDE, 0), max(n - 2 * _BESIDE - 1, 0))
        used = self.whole.times[first : first + 2 * _BESIDE + 1]
        return self.whole.without([t for t in self.whole.times if t == time or t not in used])

    def _tied(self, train: Snapshots, sigma: float) -> dict[object, tuple[Snapshots, GapPlans]]:
        """Return the couplings that candidates share."""
        tied: dict[object, tuple[Snapshots, GapPlans]] = {}
        for one in self.candidates.values():
            if (one.coupling, one.growth) not in tied:
                tied[one.coupling, one.growth] = one.coupled(train, sigma)
        return tied

    def _predicted(
        self,
        one: Preview,
        known: tuple[Snapshots, GapPlans],
        sigma: float,
        time: float,
        draw: int,
    ) -> Prediction:
        """Return cells on the paths of a candidate, as many as the snapshot before has."""
        # equal draws for all candidates, so that they differ by what they are
        generator = self._draws(draw)
        course = Course.along(*known, one.paths(known[0]), sigma=sigma, generator=generator)
        n_cells = len(known[0].x[known[0].gap_of(time)])
        cells, weights = course.cells_at(time, n_cells, generator=generator)
        return Prediction(cells.numpy(), weights.numpy())

    def _draws(self, draw: int) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed + draw)


def _variance_ratio(predicted: Prediction, truth: np.ndarray) -> float:
    """Return the total variance of predicted over that of true cells; NaN where these coincide."""
    x, weights = predicted
    mean = np.average(x, axis=0, weights=weights)
    found = float(np.average(((x - mean) ** 2).sum(1), weights=weights))
    total = float(truth.var(0).sum())
    return found / total if total > 0 else float("nan")
