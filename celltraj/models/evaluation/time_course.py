"""Judge laws of motion on snapshots that they have not seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch

from celltraj.models._predict import predict
from celltraj.models.evaluation.choice import Choice, choose
from celltraj.models.evaluation.distances import distances, split_half, split_samples
from celltraj.models.evaluation.engine import (
    Fit,
    Fold,
    check_names,
    fitted,
    raised_by,
    without_data_warnings,
)
from celltraj.models.evaluation.holdout import TRIVIAL, exact_plans, trivial_predictions
from celltraj.models.evaluation.prediction import Prediction
from celltraj.models.evaluation.preview import Drawn
from celltraj.models.evaluation.rows import FLOOR, REPLICATES, SELECTED
from celltraj.models.evaluation.table import Score
from celltraj.models.process import Process
from celltraj.snapshots import Snapshots

TIME_METRICS = ("W1", "energy")
_measured = partial(distances, metrics=TIME_METRICS)


@dataclass(frozen=True)
class TimeFold(Fold):
    """Say which times one training does without.

    Parameters
    ----------
    times
        Held-out times, in order.
    """

    times: tuple[float, ...]


@dataclass(frozen=True)
class TimeCourse:
    """Judge models on held-out times of a time course.

    Parameters
    ----------
    whole
        All snapshots.
    times
        ``(n_obs,)`` time of each cell, in the order that the fits count cells in.
    fits
        What fits a process to the cells that are kept, by name.
    select
        Names of those among which the row ``selected`` chooses, what is kept in doubt first; empty
        for no such row.
    seed
        Seed of everything random.
    previews
        What draws cells as a fit to the cells that are kept would, without its network, by name of
        the fit: candidates are chosen by these where there are some.
    samples
        ``(n_obs,)`` sample of each cell, for the row ``replicates``; None for no such row.

    Raises
    ------
    ValueError
        A model has the name of a row that is always there, or a candidate is no model.

    Examples
    --------
    >>> import numpy as np, torch
    >>> import celltraj as ct
    >>> from celltraj.snapshots import Snapshots
    >>> from celltraj.models.evaluation import TimeCourse, evaluate
    >>> x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    >>> whole = Snapshots((0.0, 1.0, 2.0), (x, x + 1, x + 2))
    >>> course = TimeCourse(
    ...     whole, np.repeat([0.0, 1.0, 2.0], 20), {"still": lambda kept: ct.models.Brownian(1e-9)}
    ... )
    >>> table = evaluate(course.folds([(1.0,)]), course.judge, seed=0).frame
    >>> scores = table[table["metric"] == "W1"].set_index("method")["value"].round(3)
    >>> scores[["previous", "still", "displacement"]].tolist()
    [1.414, 1.414, 0.0]
    """

    whole: Snapshots
    times: np.ndarray
    fits: Mapping[str, Fit]
    select: Sequence[str] = ()
    seed: int = 0
    previews: Mapping[str, Callable[[np.ndarray], Drawn]] = field(default_factory=dict)
    samples: np.ndarray | None = None

    def __post_init__(self) -> None:
        check_names(self.fits, {FLOOR, REPLICATES, SELECTED, *TRIVIAL})
        if not set(self.select) <= set(self.fits):
            raise ValueError(
                f"select must list names among {list(self.fits)}; found {list(self.select)}"
            )

    def folds(self, held: Iterable[tuple[float, ...]]) -> list[TimeFold]:
        """Return a fold for each of these tuples of inner times."""
        return [self._fold(times) for times in held]

    def judge(self, fold: TimeFold) -> Iterator[Score]:
        """Fit without what the fold holds out, predict that, and measure it."""
        train = self.whole.without(fold.times)
        plans = exact_plans(train)
        found = {name: self._predictions(name, fold) for name in self.fits}
        best = self._chosen(fold) if self.select else None
        for time in fold.times:
            truth = self._truth(time)
            trivial = trivial_predictions(train, plans, time, seed=self.seed)
            scores = {FLOOR: split_half(truth, _measured, seed=self.seed)}
            scores |= self._replicates(time, truth)
            scores |= {name: _measured(Prediction(x), truth) for name, x in trivial.items()}
            scores |= {name: _measured(found[name][time], truth) for name in self.fits}
            if best:
                scores[SELECTED] = scores[best.name]
            for method, values in scores.items():
                extra = _said(best, is_of_it=method == SELECTED)
                for metric, value in values.items():
                    yield Score(method, time, metric, value, extra)

    def _fold(self, held: tuple[float, ...], without: tuple[float, ...] = ()) -> TimeFold:
        kept = ~np.isin(self.times, (*held, *without))
        return TimeFold(f"times {held}", kept, held)

    def _replicates(self, time: float, truth: np.ndarray) -> dict[str, dict[str, float]]:
        """Return the row of halves of samples, none where the time has a single sample."""
        if self.samples is None:
            return {}
        own = self.samples[self.times == time]
        if len(np.unique(own)) < 2:
            return {}
        return {REPLICATES: split_samples(truth, own, _measured, seed=self.seed)}

    def _truth(self, time: float) -> np.ndarray:
        return self.whole.x[self.whole.times.index(time)].numpy()

    def _predictions(
        self, name: str, fold: TimeFold, without: tuple[float, ...] = ()
    ) -> dict[float, Prediction]:
        """Return what a model says of each held-out time; ``without`` is held out as well."""
        train = self.whole.without((*fold.times, *without))
        process: Process = fitted(
            name, self.fits[name], fold, Process, "a process with drift and diffusion"
        )
        with raised_by(repr(name), fold), without_data_warnings():
            return {
                time: Prediction(*predict(process, train, time, seed=self.seed))
                for time in fold.times
            }

    def _chosen(self, fold: TimeFold) -> Choice:
        """Return the model to take by the inner times of what is left."""
        inner = self.whole.without(fold.times).times[1:-1]
        if not inner:
            raise ValueError(
                f"with {fold.name} held out two snapshots are left and no inner one to choose a "
                "model by; hold out fewer together, or leave select= out"
            )
        folds = [self._fold((time,), without=fold.times) for time in inner]
        found = {
            name: [self._inner_distances(name, one, fold.times) for one in folds]
            for name in self.select
        }
        truths = [self._truth(time) for time in inner]
        floor = [split_half(truth, _measured, seed=self.seed)["W1"] for truth in truths]
        w1, energy = (
            {name: np.array([one[metric] for one in found[name]]) for name in self.select}
            for metric in TIME_METRICS
        )
        return choose(w1, energy, np.array(floor))

    def _inner_distances(
        self, name: str, fold: TimeFold, without: tuple[float, ...]
    ) -> dict[str, float]:
        """Return how far a candidate is at an inner time, without its network where it may be."""
        (time,) = fold.times
        if name not in self.previews:
            predicted = self._predictions(name, fold, without=without)[time]
            return _measured(predicted, self._truth(time))
        drawn: Drawn = fitted(name, self.previews[name], fold, Drawn, "what draws cells at a time")
        train = self.whole.without((time, *without))
        n_cells = len(train.x[train.gap_of(time)])  # as many as a model is simulated from
        generator = torch.Generator().manual_seed(self.seed)
        with raised_by(repr(name), fold):
            cells, weights = drawn.cells_at(time, n_cells, generator=generator)
        return _measured(Prediction(cells.numpy(), weights.numpy()), self._truth(time))


def _said(best: Choice | None, *, is_of_it: bool) -> tuple[str | float, ...]:
    """Return what a row says of the choice: all of it the row of what was chosen, else nothing."""
    if best is None:
        return ()
    return (best.name, best.margin) if is_of_it else ("", math.nan)
