"""Judge responses on what was held out of their training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, cast

import numpy as np
import torch

from celltraj.models.evaluation.engine import Fit, check_names, fitted, raised_by, rng_of
from celltraj.models.evaluation.prediction import Prediction
from celltraj.models.evaluation.response_baselines import BASELINES, Observed, trivial_responses
from celltraj.models.evaluation.response_cells import FoldCells, draw
from celltraj.models.evaluation.response_folds import ResponseFold
from celltraj.models.evaluation.response_scores import SIZE, Trial
from celltraj.models.evaluation.rows import (
    FLOOR,
    OTHER_CELL,
    OTHER_EMBEDDING,
    OTHER_NEIGHBOURHOOD,
    TRUTH,
    model_of,
)
from celltraj.models.evaluation.samples import Sample, control_rows
from celltraj.models.evaluation.table import Score
from celltraj.models.response.condition import Condition
from celltraj.models.response.response import MetaFlowMatching

# most cells on either side of a distance; drawn, since the first ones of a file are of few types
N_CELLS = 1000


@dataclass(frozen=True)
class Space:
    """Hold the cells as one fold sees them.

    Parameters
    ----------
    x
        ``(n_obs, d)`` states of all cells, float64.
    fits
        What fits a response to the cells that are kept, by name.
    covariates
        Covariates that a response asks of a population, told by its name and treated rows.
    """

    x: np.ndarray
    fits: Mapping[str, Fit]
    covariates: Callable[[MetaFlowMatching, str, np.ndarray], tuple[str | float, ...]]


class _Case(NamedTuple):
    """Name what is predicted, and from which rows."""

    population: str
    condition: Condition
    chosen: np.ndarray  # untreated rows that are measured
    everyone: np.ndarray  # untreated rows of the population
    other: np.ndarray  # of another one


@dataclass(frozen=True)
class Responses:
    """Judge responses on populations, types, combinations or doses that are held out.

    Parameters
    ----------
    samples
        All cells by population and condition.
    types
        ``(n_obs,)`` cell type of each as text, None where it has none; None without types.
    space
        Returns the cells as a fold sees them, prepared by those that it keeps.
    seed
        Seed of everything random.
    """

    samples: Sequence[Sample]
    types: np.ndarray | None
    space: Callable[[ResponseFold], Space]
    seed: int = 0

    def judge(self, fold: ResponseFold) -> Iterator[Score]:
        """Fit without what the fold holds out, predict that, and measure it."""
        space = self.space(fold)
        kind, expected = MetaFlowMatching, "a response, as ct.tl.fit_response does"
        models = {name: fitted(name, fit, fold, kind, expected) for name, fit in space.fits.items()}
        cells = FoldCells.of(space.x, self.types, self.samples, fold)
        for sample in cells.fold.held:
            with raised_by(repr(sample.population), fold):
                told = {
                    name: space.covariates(model, sample.population, sample.rows)
                    for name, model in models.items()
                }
                scores = self._scores(cells, models, told, sample)
            yield from scores

    def _scores(
        self,
        cells: FoldCells,
        models: Mapping[str, MetaFlowMatching],
        covariates: Mapping[str, tuple[str | float, ...]],
        sample: Sample,
    ) -> list[Score]:
        """Return all scores of one population under one condition."""
        held_out, condition = cells.fold.held_out, cast("Condition", sample.condition)
        extra = sample.population, condition.name
        rng = rng_of(self.seed, held_out, *extra)
        case, trial = self._case(cells, sample, rng)
        held = Observed(
            sample.population, condition, trial.source, trial.truth, cells.types(case.chosen)
        )
        predictions = trivial_responses(cells.seen, held, n_cells=N_CELLS, rng=rng)
        for name, model in models.items():
            asked = case._replace(condition=replace(condition, covariates=covariates[name]))
            predictions |= self._responses(name, model, cells.x, asked)
        scores = {FLOOR: trial.floor(seed=self.seed)}
        scores |= {name: trial.score(one) for name, one in predictions.items()}
        scores[TRUTH] = {SIZE: trial.size}
        return [
            Score(method, held_out, metric, value, extra)
            for method, values in scores.items()
            for metric, value in values.items()
        ]

    def _case(
        self, cells: FoldCells, sample: Sample, rng: np.random.Generator
    ) -> tuple[_Case, Trial]:
        """Draw what predictions start from, and what they are measured by."""
        population, condition = sample.population, cast("Condition", sample.condition)
        other = cells.fold.other_controls(cells.samples, population, rng)
        before = cells.before(population, in_training=False)
        chosen, after = (draw(rows, N_CELLS, rng) for rows in (before, sample.rows))
        trial = Trial(cells.x[chosen], cells.x[after], cells.labelled(condition, N_CELLS, rng))
        everyone = control_rows(cells.samples)[population]
        return _Case(population, condition, chosen, everyone, other), trial

    def _responses(
        self, name: str, model: MetaFlowMatching, x: np.ndarray, case: _Case
    ) -> dict[str, Prediction]:
        """Return what a model predicts of the chosen cells, and what if told of others in part."""
        cells, everyone = (torch.from_numpy(x[rows]) for rows in (case.chosen, case.everyone))

        def respond(
            *,
            embedded: torch.Tensor | None = None,
            neighbourhood: torch.Tensor | None = None,
            carried: torch.Tensor | None = None,
        ) -> Prediction:
            # as ct.tl.predict_response does
            response = model.respond(
                cells,
                case.condition,
                population=everyone,
                name=case.population,
                embedded=embedded,
                neighbourhood=neighbourhood,
                carried=carried,
                generator=torch.Generator().manual_seed(self.seed),
            )
            survival = None if response.survival is None else response.survival.numpy()
            return Prediction(response.x.numpy(), survival)

        found, other = {name: respond()}, torch.from_numpy(x[case.other])
        if model.encoder is not None:
            found[name + OTHER_EMBEDDING] = respond(embedded=other)
        if model.network.field.kernels is not None:
            found[name + OTHER_NEIGHBOURHOOD] = respond(neighbourhood=other)
        if model.network.field.carried is not None:
            # cells are drawn at random: the one before is any other one
            found[name + OTHER_CELL] = respond(carried=model.carried(cells, everyone).roll(1, 0))
        return found


def check_response_names(fits: Mapping[str, object]) -> None:
    """Raise where a model has the name of a row that is always there, or of one told otherwise."""
    controls = {name for name in fits if model_of(name) != name}
    check_names(fits, {FLOOR, TRUTH, *BASELINES, *controls})
