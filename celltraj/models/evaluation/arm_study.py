"""Judge models of several conditions on combinations of time and condition not seen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from celltraj.models._simulate import simulate
from celltraj.models.arms.states import ArmStates
from celltraj.models.evaluation.arm_baselines import TRIVIAL_ARMS, previous_time, trivial_arms
from celltraj.models.evaluation.distances import distances, split_half
from celltraj.models.evaluation.engine import (
    Fit,
    Fold,
    check_names,
    fitted,
    raised_by,
    without_data_warnings,
)
from celltraj.models.evaluation.prediction import Prediction
from celltraj.models.evaluation.rows import FLOOR
from celltraj.models.evaluation.table import Score
from celltraj.models.evaluation.time_course import TIME_METRICS
from celltraj.models.process import Process

Pair = tuple[float, str]
_N_STEPS = 20  # between snapshots
_measured = partial(distances, metrics=TIME_METRICS)


@dataclass(frozen=True)
class ArmFold(Fold):
    """Say which combinations one training does without.

    Parameters
    ----------
    held
        Held-out times and conditions.
    """

    held: tuple[Pair, ...]


@dataclass(frozen=True)
class ArmStudy:
    """Judge models on held-out combinations of time and condition.

    Parameters
    ----------
    whole
        All cells.
    fits
        What fits a mapping from conditions to processes to the cells that are kept, by name.
    seed
        Seed of everything random.

    Raises
    ------
    ValueError
        A model has the name of a row that is always there.

    Examples
    --------
    >>> import numpy as np
    >>> import celltraj as ct
    >>> from celltraj.models.arms.states import ArmStates
    >>> from celltraj.models.evaluation import ArmStudy, evaluate
    >>> x = np.random.default_rng(0).normal(size=(80, 1))
    >>> names, times = np.repeat(["a", "b"], 40), np.tile(np.repeat([0.0, 1.0], 20), 2)
    >>> still = {name: ct.models.Brownian(1e-9) for name in "ab"}
    >>> cells = ArmStates(x + 5 * times[:, None], times, names)
    >>> study = ArmStudy(cells, {"still": lambda kept: still})
    >>> folds = study.folds([[(1.0, "a")]])
    >>> table = evaluate(folds, study.judge, seed=0, extra=["condition"]).frame
    >>> scores = table[table["metric"] == "W1"].set_index("method")["value"]
    >>> bool(scores["still"] > 4 > 1 > scores["shift of others"])
    True
    """

    whole: ArmStates
    fits: Mapping[str, Fit]
    seed: int = 0

    def __post_init__(self) -> None:
        check_names(self.fits, {FLOOR, *TRIVIAL_ARMS})

    def folds(self, held: Iterable[Sequence[Pair]]) -> list[ArmFold]:
        """Return a fold for each of these groups of combinations.

        Raises
        ------
        ValueError
            A combination is not there, or no earlier snapshot of its condition would be left.
        """
        return [self._fold(tuple(pairs)) for pairs in held]

    def judge(self, fold: ArmFold) -> Iterator[Score]:
        """Fit without what the fold holds out, predict that, and measure it."""
        train = self.whole.kept(fold.kept)
        found = {name: self._predictions(name, fold, train) for name in self.fits}
        for time, condition in fold.held:
            truth = self.whole.at(condition, time)
            trivial = trivial_arms(train, condition, time, seed=self.seed)
            nothing = dict.fromkeys(TIME_METRICS, math.nan)
            scores = {FLOOR: split_half(truth, _measured, seed=self.seed)}
            scores |= {
                name: _measured(Prediction(trivial[name]), truth) if name in trivial else nothing
                for name in TRIVIAL_ARMS
            }
            scores |= {name: _measured(of[time, condition], truth) for name, of in found.items()}
            for method, values in scores.items():
                for metric, value in values.items():
                    yield Score(method, time, metric, value, (condition,))

    def _fold(self, pairs: tuple[Pair, ...]) -> ArmFold:
        kept = np.ones(len(self.whole.times), dtype=bool)
        for time, condition in pairs:
            rows = self.whole.rows(condition, time)
            if not rows.any():
                known = self.whole.times_of(condition)
                there = (
                    f"its times are {known}"
                    if known
                    else (f"conditions are {self.whole.conditions}")
                )
                raise ValueError(f"no cell of {condition!r} at {time:g} to hold out; {there}")
            if rows.sum() < 2:
                raise ValueError(f"{condition!r} has one cell at {time:g}; a floor needs two")
            kept &= ~rows
        train = self.whole.kept(kept)
        for time, condition in pairs:
            previous_time(train, condition, time)
        return ArmFold(f"{', '.join(f'{c} at {t:g}' for t, c in pairs)}", kept, pairs)

    def _predictions(self, name: str, fold: ArmFold, train: ArmStates) -> dict[Pair, Prediction]:
        arms = fitted(name, self.fits[name], fold, Mapping, "a mapping of conditions to processes")
        with raised_by(repr(name), fold), without_data_warnings():
            return {pair: self._pushed(arms, train, *pair) for pair in fold.held}

    def _pushed(
        self, arms: Mapping[str, Process], train: ArmStates, time: float, condition: str
    ) -> Prediction:
        """Push each cell of the last snapshot of the condition before the time to it once."""
        if condition not in arms:
            raise ValueError(f"the model has no condition {condition!r}; found {list(arms)}")
        start = previous_time(train, condition, time)
        x = torch.from_numpy(train.at(condition, start))
        generator = torch.Generator().manual_seed(self.seed)
        path = simulate(arms[condition], x, (start, time), n_steps=_N_STEPS, generator=generator)
        mass = None if path.log_mass is None else torch.softmax(path.log_mass[-1], 0).numpy()
        return Prediction(path.x[-1].numpy(), mass)
