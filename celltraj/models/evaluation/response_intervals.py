"""Intervals of what is predicted of new populations, from how far others were missed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from celltraj._stats.conformal import jackknife_plus, split_interval
from celltraj.models.evaluation.prediction import Prediction
from celltraj.models.evaluation.readouts import SURVIVAL, Reading, Readout
from celltraj.models.evaluation.response_scores import Labelled
from celltraj.models.response.condition import Condition
from celltraj.models.response.process import Response
from celltraj.models.response.response import MetaFlowMatching


@dataclass(frozen=True, eq=False)
class Case:
    """Hold one population under the condition that is asked for.

    Parameters
    ----------
    population
        Its name.
    before
        ``(n, d)`` all its untreated cells.
    after
        ``(m, d)`` treated ones; None where they are not known.
    labels
        ``(m,)`` cell types of these, None without types.
    survival
        Share of its cells that lives; NaN where it is not known.
    covariates
        Values by the name of the covariate.
    """

    population: str
    before: np.ndarray
    after: np.ndarray | None = None
    labels: np.ndarray | None = None
    survival: float = math.nan
    covariates: Mapping[str, str | float] = field(default_factory=dict)


class Told(NamedTuple):
    """What the models of an ensemble say of a population.

    Parameters
    ----------
    mean
        ``(k,)`` mean over models of each readout.
    spread
        ``(k,)`` their standard deviation; 1 of a single model.
    """

    mean: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True)
class Survivors:
    """Say what share of a population lives.

    Parameters
    ----------
    rates
        Share that lived in each population of the training, for models that were not told.
    """

    rates: Sequence[float] = ()

    def of(self, response: Response) -> float:
        """Return the share by the model, or, where it has no scale, that of other populations."""
        if response.lived is not None:
            return response.lived
        return math.exp(np.log(self.rates).mean())


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Predict the readouts of populations that none of some models has seen.

    Parameters
    ----------
    models
        Responses fitted to the same populations, one or more.
    condition
        Drugs and doses; covariates are those of each case.
    reading
        What is read.
    labelled
        Treated cells of the training with their types; None where types are not read.
    survival
        Who lived in the training; None where survival is not read.
    seed
        Seed of the neighbourhoods.
    """

    models: Sequence[MetaFlowMatching]
    condition: Condition
    reading: Reading
    labelled: Labelled | None = None
    survival: Survivors | None = None
    seed: int = 0

    def tell(self, case: Case) -> Told:
        """Return the readouts of a case, in the order of :func:`names_of`."""
        values = np.stack([self._by(model, case) for model in self.models])
        mean = values.mean(0)
        if len(values) == 1:
            return Told(mean, np.ones_like(mean))
        return Told(mean, values.std(0, ddof=1))

    def _by(self, model: MetaFlowMatching, case: Case) -> np.ndarray:
        covariates = tuple(case.covariates[one.name] for one in model.coder.covariates)
        response = model.respond(
            torch.from_numpy(case.before),
            Condition(self.condition.drugs, self.condition.doses, covariates),
            name=case.population,
            generator=torch.Generator().manual_seed(self.seed),
        )
        mass = None if response.survival is None else response.survival.numpy()
        after = Prediction(response.x.numpy(), mass)
        labels = None if self.labelled is None else self.labelled.of(after.x)
        found = list(self.reading.of(case.before, after, labels).values())
        return np.array(found + ([] if self.survival is None else [self.survival.of(response)]))


def names_of(reading: Reading, *, has_survival: bool) -> list[Readout]:
    """Return the names of what an ensemble tells."""
    zero = np.zeros((1, len(reading.variables)))
    found = reading.of(zero, Prediction(zero), np.empty(1, dtype=object) if reading.types else None)
    return [*found, *([Readout(SURVIVAL)] if has_survival else [])]


def truth_of(case: Case, reading: Reading, *, has_survival: bool) -> np.ndarray:
    """Return the observed readouts ``(k,)``, NaN where the case has none."""
    names = names_of(reading, has_survival=has_survival)
    if case.after is None:
        return np.full(len(names), math.nan)
    labels = case.labels if reading.types else None
    found = list(reading.of(case.before, Prediction(case.after), labels).values())
    return np.array(found + ([case.survival] if has_survival else []))


class Interval(NamedTuple):
    """Prediction and ends of an interval, each ``(k,)``."""

    predicted: np.ndarray
    low: np.ndarray
    high: np.ndarray


def intervals(
    new: Sequence[Told], calibration: Sequence[Told], truth: np.ndarray, *, confidence: float
) -> Interval:
    """Return the intervals of one new population.

    Parameters
    ----------
    new
        What is told of it: once, by the model that has seen none of the calibration populations; or
        by each of the ``n`` models that were fitted without one of these.
    calibration
        What was told of each calibration population by a model that has not seen it.
    truth
        ``(n, k)`` what is true of these.
    confidence
        Of each interval by itself.

    Raises
    ------
    ValueError
        Too few populations for this confidence.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.models.evaluation.response_intervals import Told, intervals
    >>> one, told = np.ones(1), Told(np.zeros(1), np.ones(1))
    >>> intervals([told], [told] * 4, np.arange(1.0, 5)[:, None], confidence=0.8).high
    array([4.])
    """
    spread = np.stack([one.spread for one in calibration])
    mean, width = (np.stack([getattr(one, name) for one in new]) for name in Told._fields)
    # where models agree to the last bit on someone, their spread says nothing of how sure they are
    usable = (spread > 0).all(0) & (width > 0).all(0)
    spread, width = (np.where(usable, values, 1.0) for values in (spread, width))
    missed = np.abs(truth - np.stack([one.mean for one in calibration])) / spread * width
    if len(new) == 1:
        return Interval(mean[0], *split_interval(mean[0], missed, confidence=confidence))
    low, high = jackknife_plus(mean, missed, confidence=confidence)
    return Interval(np.median(mean, axis=0), low, high)
