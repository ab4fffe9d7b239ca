"""Predict responses over doses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from tqdm.auto import tqdm

from celltraj._anndata import (
    ResponseKeys,
    Untreated,
    read_samples,
    read_states,
    read_untreated,
    relative_survival,
    shared_survival,
    source_of,
)
from celltraj._checks import checked
from celltraj.models import Condition, MetaFlowMatching, ResponseSource
from celltraj.models.evaluation import DOSE_COLUMNS, SHIFT, Prediction, Reading
from celltraj.tl._predict_response import _covariates

_SIZE, _KILLED = "size", "killed"
_Values = dict[tuple[str, str], float]  # by readout and variable


@checked
def dose_response(
    adata: AnnData,
    model: MetaFlowMatching,
    *,
    condition: str,
    doses: Sequence[float],
    survival_key: str | None = None,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Dose-response: what each population becomes at every dose of a drug, predicted and observed.

    A dose of zero is the control: the untreated cells themselves, where the effect is what they
    show without the drug. ``ct.get.dose_curves`` fits curves to the table, ``ct.pl.dose_response``
    draws it.

    Parameters
    ----------
    adata
        Untreated cells of populations, and treated ones where they are known; not changed.
    model
        Result of :func:`celltraj.tl.fit_response` with ``dose_key``.
    condition
        The drug, given alone.
    doses
        Doses to predict, in the unit of the training; zero may be left out.
    survival_key
        Column with counts or viabilities, one number for a population under a condition, of which
        that over the control's is the share that lived (where the control has none, the number
        itself). The share killed is then among the observed; it is among the predicted where the
        model was fitted with a ``survival_key``.
    seed
        Seed of the predictions.
    progress
        Whether to show progress bars.

    Returns
    -------
    Columns population, condition (the drug), dose, readout, variable, kind (``"predicted"`` or
    ``"observed"``), value. Readouts: ``"size"``, the length of the shift of the mean; ``"shift"``
    of the mean and share ``"above_gate"``, the .9 quantile of the untreated cells, of each
    variable; ``"killed"``, the share that did not live, zero without the drug.

    Raises
    ------
    TypeError
        ``model`` is not a response.
    KeyError
        A column does not exist.
    ValueError
        A drug that the model does not know, or not by doses; a dose below zero or given twice; or a
        survival that the cells of a population under one dose do not share.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.drug_screen(n_lines=2, n_drugs=3, n_cells=20, n_vars=2, seed=0)
    >>> model = ct.tl.fit_response(
    ...     adata, population_key="population", condition_key=["drug_1", "drug_2"],
    ...     dose_key=["dose_1", "dose_2"], control="control",
    ...     training=ct.models.Training(max_steps=20), progress=False,
    ... )
    >>> found = ct.tl.dose_response(
    ...     adata, model, condition="drug 0", doses=[0.1, 1, 10], progress=False
    ... )
    >>> found.groupby("kind")["dose"].unique().tolist()[1].tolist()
    [0.0, 0.1, 1.0, 10.0]
    """
    source, given = source_of(model), _doses(doses)
    populations = read_untreated(adata, model)
    needed = [*source.condition_keys, source.population_key]
    has_treated = all(key in adata.obs for key in needed)
    if survival_key is not None and not has_treated:
        raise ValueError(
            f"survival_key={survival_key!r} is of treated cells, which are told by the columns "
            f"{needed} of the training, and adata lacks some of them"
        )
    rows: list[tuple[object, ...]] = []
    for one in tqdm(populations, desc="predicting", unit="population", disable=not progress):
        covariates = _covariates(model, adata, one, {})
        conditions = [Condition((condition,), (dose,), covariates) for dose in given]
        rows += _predicted(model, one, conditions, seed=seed)
    if has_treated:
        rows += _observed(adata, model, populations, condition, survival_key)
    return pd.DataFrame(rows, columns=list(DOSE_COLUMNS))


def _predicted(
    model: MetaFlowMatching, one: Untreated, conditions: Sequence[Condition], *, seed: int
) -> Iterator[tuple[object, ...]]:
    """Yield what is predicted of a population, its untreated cells first."""
    before, reading = one.x.numpy(), Reading(source_of(model).variables)
    drug = conditions[0].drugs[0]
    none = _values(reading, before, Prediction(before))
    killed = {(_KILLED, ""): 0.0} if model.has_lived else {}
    yield from _rows(one.name, drug, 0.0, "predicted", none | killed)
    for what in conditions:
        generator = torch.Generator().manual_seed(seed)
        told = model.respond(one.x, what, name=one.name, generator=generator)
        mass = None if told.survival is None else told.survival.numpy()
        values = _values(reading, before, Prediction(told.x.numpy(), mass))
        if told.lived is not None:
            values[_KILLED, ""] = 1 - told.lived
        yield from _rows(one.name, drug, what.doses[0], "predicted", values)


def _doses(doses: Sequence[float]) -> list[float]:
    """Return the positive doses."""
    given = [float(dose) for dose in doses]
    if len(set(given)) < len(given) or not all(0 <= dose < np.inf for dose in given):
        raise ValueError(f"doses must be finite, not negative, and each there once; found {given}")
    if not (positive := sorted(dose for dose in given if dose > 0)):
        raise ValueError("doses names no positive dose; no drug at all is the control")
    return positive


def _values(reading: Reading, before: np.ndarray, after: Prediction) -> _Values:
    found = reading.of(before, after)
    shift = [value for name, value in found.items() if name.kind == SHIFT]
    size = {(_SIZE, ""): float(np.linalg.norm(shift))}
    return size | {(name.kind, name.variable): value for name, value in found.items()}


def _rows(
    population: str, condition: str, dose: float, kind: str, values: _Values
) -> Iterator[tuple[object, ...]]:
    for (readout, variable), value in values.items():
        yield population, condition, dose, readout, variable, kind, value


def _observed(
    adata: AnnData,
    model: MetaFlowMatching,
    populations: Sequence[Untreated],
    drug: str,
    survival_key: str | None,
) -> Iterator[tuple[object, ...]]:
    """Yield what was observed of the drug given alone."""
    source, states = source_of(model), read_states(adata, model)
    reading, before = Reading(source.variables), {one.name: one.x.numpy() for one in populations}
    samples, seen = read_samples(adata, _keys(source)), set()
    rate = None if survival_key is None else relative_survival(adata, survival_key, samples)
    for one in samples:
        known = one.condition is not None and one.condition.drugs == (drug,)
        if not known or one.condition is None or one.population not in before:
            continue
        untreated = before[one.population]
        if one.population not in seen:
            seen.add(one.population)
            none = _values(reading, untreated, Prediction(untreated))
            killed = {} if rate is None else {(_KILLED, ""): 0.0}
            yield from _rows(one.population, drug, 0.0, "observed", none | killed)
        values = _values(reading, untreated, Prediction(states[one.rows]))
        if rate is not None:
            values[_KILLED, ""] = 1 - shared_survival(rate[one.rows], one.population)
        yield from _rows(one.population, drug, one.condition.doses[0], "observed", values)


def _keys(source: ResponseSource) -> ResponseKeys:
    columns = source.population_key, source.condition_keys, source.controls, source.dose_keys
    return ResponseKeys(*columns)
