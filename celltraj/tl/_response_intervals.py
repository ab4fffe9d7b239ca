"""Intervals of what a response predicts of new populations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from anndata import AnnData
from tqdm.auto import tqdm

from celltraj._anndata import (
    ResponseKeys,
    Sample,
    Untreated,
    column_of,
    read_samples,
    read_states,
    relative_survival,
    source_of,
    texts_of,
)
from celltraj._checks import checked
from celltraj._stats.conformal import check_confidence
from celltraj.models import Condition, MetaFlowMatching
from celltraj.models.evaluation import (
    Case,
    Ensemble,
    Labelled,
    Reading,
    Survivors,
    Told,
    intervals,
    names_of,
    truth_of,
)
from celltraj.tl._predict_response import _covariates, conditions_of

Models = MetaFlowMatching | Sequence[MetaFlowMatching]
_Folds = Mapping[str | None, tuple[MetaFlowMatching, ...]]
_COLUMNS = ("population", "condition", "readout", "variable", "predicted", "low", "high")
_MORE = ("observed", "n_populations", "method")


@checked
def response_intervals(
    adata: AnnData,
    model: Models | Mapping[str, Models],
    *,
    condition: str | Sequence[str],
    dose: float | Sequence[float] | None = None,
    cell_type_key: str | None = None,
    survival_key: str | None = None,
    confidence: float = 0.8,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Conformal prediction: intervals that hold what becomes of a new population as often as said.

    What is exchangeable are populations, never cells: from how far the readouts of ``n`` others
    were missed by models that had not seen them follows how far a new one may be missed. No
    interval of ``n`` populations errs less often than ``1 / (n + 1)``: eight donors give none of
    90 %.

    - One response, or several fitted to the same populations with other seeds: split conformal.
      ``adata`` holds treated populations that it was not fitted to, the calibration set. The truth
      lies within in at least ``confidence`` of new populations.
    - A dict of responses by the population that each was fitted without, of
      :func:`celltraj.tl.fit_response_folds`: jackknife+, for cohorts too small to be divided. The
      truth lies within in about ``confidence``, and never less than ``2 confidence - 1``, of new
      populations.

    Of several models, the mean is the prediction and their standard deviation the yardstick of what
    was missed, so that intervals are wide where models disagree.

    Parameters
    ----------
    adata
        Cells with the columns of the training: those of the calibration set before and after, and
        untreated ones of new populations; not changed.
    model
        Result of :func:`celltraj.tl.fit_response`, which may be an ensemble, a list of them, or a
        dict of either.
    condition
        The drug, or the drugs given together.
    dose
        Dose of each drug, in the unit of the training.
    cell_type_key
        Column with cell types of treated cells, whose shares are then read; predicted cells take
        the type of the nearest treated cell of the training, which ``adata`` must hold as well.
    survival_key
        Column with counts or viabilities, one number for a population under a condition, of which
        that over the control's is the share that lived (where the control has none, the number
        itself). Predicted by a model that was fitted with a ``survival_key``; for any other it is
        the geometric mean over the populations of the training, which ``adata`` must then hold.
    confidence
        Share of new populations that an interval holds, of each readout by itself.
    seed
        Seed of the predictions.
    progress
        Whether to show progress bars.

    Returns
    -------
    One row per new population, which is one that has not been used for fitting or calibration, and
    readout: population, condition; readout, ``"shift"`` of the mean and share ``"above_gate"``, the
    .9 quantile of its own untreated cells, of each variable, ``"share"`` of each cell type,
    ``"survival"``; variable; predicted (the median over models of jackknife+), low, high; observed,
    where it is known; n_populations of the calibration; method, ``"split"`` or ``"jackknife+"``.

    Raises
    ------
    TypeError
        ``model`` is something else.
    KeyError
        A column does not exist.
    ValueError
        Fewer populations than the confidence needs, no new one, a model that has seen a population
        it shall be judged by, models of different variables, or no treated cells of the training
        where types or survival are read.

    References
    ----------
    Vovk, Gammerman & Shafer, *Algorithmic learning in a random world* (2005); Barber et al.,
    *Predictive inference with the jackknife+* (2021); Lei et al., *Distribution-free predictive
    inference for regression* (2018), section 5.2 for the yardstick.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.interacting_populations(n_populations=10, n_cells=30, seed=0)
    >>> is_new = adata.obs["population"] == "population 9"
    >>> used = adata.obs["population"].isin([f"population {k}" for k in range(5)])
    >>> model = ct.tl.fit_response(
    ...     adata[used].copy(), population_key="population", condition_key="condition",
    ...     control="before", training=ct.models.Training(max_steps=20), progress=False,
    ... )
    >>> others = adata[~(is_new & (adata.obs["condition"] == "after"))].copy()
    >>> found = ct.tl.response_intervals(
    ...     others, model, condition="after", confidence=0.8, progress=False
    ... )
    >>> found[["population", "readout", "variable", "n_populations"]].values.tolist()[0]
    ['population 9', 'shift', 'x', 4]
    """
    folds = _folds(model)
    everyone = [one for models in folds.values() for one in models]
    (asked,) = conditions_of(condition, dose)
    cohort = _Cohort.of(adata, everyone[0], asked, cell_type_key, survival_key)
    known, new = cohort.parted(folds)
    check_confidence(len(known), confidence)
    ensembles = [cohort.ensemble(models, seed) for models in folds.values()]
    cases = [cohort.case(name, everyone) for name in known]
    bar = tqdm(cases, desc="calibrating", unit="population", disable=not progress)
    # jackknife+: each by the models that were fitted without it, in the order of the folds
    judges = ensembles if len(ensembles) > 1 else ensembles * len(cases)
    told = [judge.tell(case) for judge, case in zip(judges, bar, strict=True)]
    truth = np.stack([cohort.truth(case) for case in cases])
    rows = []
    for name in tqdm(new, desc="predicting", unit="population", disable=not progress):
        case = cohort.case(name, everyone)
        by_each = [one.tell(case) for one in ensembles]
        rows += _rows(cohort, case, by_each, told, truth, confidence)
    return pd.DataFrame(rows, columns=[*_COLUMNS, *_MORE])


@dataclass(frozen=True, eq=False)
class _Cohort:
    """Hold all populations under one condition, in the space of the models.

    Parameters
    ----------
    adata
        All cells.
    states
        ``(n_obs, d)`` in the space of the models.
    samples
        Cells by population, untreated or under the condition.
    condition
        What is asked for.
    reading
        What is read.
    types
        ``(n_obs,)`` names of cell types, None without one; None where they are not read.
    survival
        ``(n_obs,)`` share that lived; None where it is not read.
    """

    adata: AnnData
    states: np.ndarray
    samples: Sequence[Sample]
    condition: Condition
    reading: Reading
    types: np.ndarray | None
    survival: np.ndarray | None

    @classmethod
    def of(
        cls,
        adata: AnnData,
        model: MetaFlowMatching,
        condition: Condition,
        cell_type_key: str | None,
        survival_key: str | None,
    ) -> _Cohort:
        source = source_of(model)
        columns = source.population_key, source.condition_keys, source.controls, source.dose_keys
        keys = ResponseKeys(*columns, cell_type=cell_type_key)
        samples = [
            one
            for one in read_samples(adata, keys)
            if one.condition is None or one.condition.name == condition.name
        ]
        types = None if cell_type_key is None else texts_of(column_of(adata, cell_type_key))
        treated = np.concatenate([[], *(one.rows for one in samples if one.condition)]).astype(int)
        names = () if types is None else sorted({one for one in types[treated] if one is not None})
        rate = None if survival_key is None else relative_survival(adata, survival_key, samples)
        reading = Reading(source.variables, names)
        return cls(adata, read_states(adata, model), samples, condition, reading, types, rate)

    @cached_property
    def before(self) -> dict[str, np.ndarray]:
        """Untreated rows by population."""
        return {one.population: one.rows for one in self.samples if one.condition is None}

    @cached_property
    def after(self) -> dict[str, np.ndarray]:
        """Treated rows by population."""
        return {one.population: one.rows for one in self.samples if one.condition is not None}

    @property
    def has_survival(self) -> bool:
        return self.survival is not None

    def parted(self, folds: _Folds) -> tuple[list[str], list[str]]:
        """Return the populations that calibrate, and the new ones."""
        seen = {name for models in folds.values() for one in models for name in one.support.names}
        if None in folds:
            known = [name for name in self.after if name not in seen]
            new = [name for name in self.before if name not in seen and name not in known]
        else:
            known = [str(name) for name in folds]
            _check_unseen(folds, known, set(self.after))
            new = [name for name in self.before if name not in seen and name not in known]
        if bare := [name for name in known if name not in self.before]:
            raise ValueError(f"adata has no untreated cells of populations {bare[:5]}; add them")
        if not new:
            raise ValueError(
                "no new population: all those with untreated cells were used for fitting or "
                "calibration"
            )
        return known, new

    def case(self, name: str, models: Sequence[MetaFlowMatching]) -> Case:
        """Return a population with what is known of it."""
        rows, after = self.before[name], self.after.get(name)
        covariates: dict[str, str | float] = {}
        for one in models:
            untreated = Untreated(name, rows, self.states[rows])
            values = _covariates(one, self.adata, untreated, {})
            covariates |= dict(zip([c.name for c in one.coder.covariates], values, strict=True))
        if after is None:
            return Case(name, self.states[rows], covariates=covariates)
        labels = None if self.types is None else self.types[after]
        rate = self._rate(name) if self.has_survival else np.nan
        return Case(name, self.states[rows], self.states[after], labels, rate, covariates)

    def ensemble(self, models: Sequence[MetaFlowMatching], seed: int) -> Ensemble:
        """Return models with what the populations of their training tell of types and survival."""
        trained = [name for name in self.after if name in models[0].support.names]
        is_read = self.has_survival and not all(one.has_lived for one in models)
        if not trained and (self.types is not None or is_read):
            raise ValueError(
                f"types and survival are read with the treated cells of the training, and adata "
                f"has none under {self.condition.name!r} of {list(models[0].support.names)[:5]}"
            )
        labelled = None
        if self.types is not None:
            rows = np.concatenate([self.after[name] for name in trained])
            rows = rows[[one is not None for one in self.types[rows]]]
            labelled = Labelled(self.states[rows], self.types[rows])
        rates = [self._rate(name) for name in trained] if is_read else []
        survives = Survivors(rates) if self.has_survival else None
        return Ensemble(models, self.condition, self.reading, labelled, survives, seed)

    def _rate(self, name: str) -> float:
        """Return the share of a population that lived."""
        if self.survival is None:
            return np.nan
        values = np.unique(self.survival[self.after[name]])
        if len(values) != 1 or not 0 < values[0] < np.inf:
            raise ValueError(
                f"the treated cells of population {name!r} must share one survival, positive and "
                f"finite; found {values[:5].tolist()}"
            )
        return float(values[0])

    def truth(self, case: Case) -> np.ndarray:
        return truth_of(case, self.reading, has_survival=self.has_survival)


def _folds(model: Models | Mapping[str, Models]) -> _Folds:
    """Return the models by the population they were fitted without, None for one of its own."""
    given = model if isinstance(model, Mapping) else {None: model}
    folds = {
        name: tuple(
            member
            for model in ((one,) if isinstance(one, MetaFlowMatching) else one)
            for member in model.members
        )
        for name, one in given.items()
    }
    models = [one for several in folds.values() for one in several]
    if not models or not all(folds.values()):
        raise ValueError("model= holds no response; make them with ct.tl.fit_response")
    if any(not _is_one_space(models[0], one) for one in models[1:]):
        raise ValueError(
            "the responses were fitted to different variables, or in components of different "
            "cells; fit all of them in one space that was not learned from new populations"
        )
    return folds


def _is_one_space(model: MetaFlowMatching, other: MetaFlowMatching) -> bool:
    spaces = [(one.use_rep, one.variables) for one in map(source_of, (model, other))]
    planes = [None if one.projection is None else one.projection.loadings for one in (model, other)]
    if planes[0] is None or planes[1] is None:
        return spaces[0] == spaces[1] and planes[0] is planes[1]
    return spaces[0] == spaces[1] and np.array_equal(planes[0], planes[1])


def _check_unseen(folds: _Folds, known: Sequence[str], treated: set[str]) -> None:
    for name in known:
        if any(name in one.support.names for one in folds[name]):
            raise ValueError(f"the response given for population {name!r} was fitted to it")
        if name not in treated:
            raise ValueError(
                f"adata has no treated cells of population {name!r}, which a response was fitted "
                "without, under this condition; add them, or leave the response out"
            )


def _rows(
    cohort: _Cohort,
    case: Case,
    by_each: Sequence[Told],
    told: Sequence[Told],
    truth: np.ndarray,
    confidence: float,
) -> list[tuple[object, ...]]:
    """Return the rows of one new population."""
    found = intervals(by_each, told, truth, confidence=confidence)
    names = names_of(cohort.reading, has_survival=cohort.has_survival)
    bounds = np.array([name.bounds for name in names]).T
    ends = np.clip(np.stack([found.low, found.high]), *bounds)
    values = np.column_stack([found.predicted, *ends, cohort.truth(case)])
    method = "split" if len(by_each) == 1 else "jackknife+"
    where, how = (case.population, cohort.condition.name), (len(told), method)
    return [(*where, *name, *row, *how) for name, row in zip(names, values.tolist(), strict=True)]
