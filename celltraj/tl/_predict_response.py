"""Predict what a treatment makes of untreated cells."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from tqdm.auto import tqdm

from celltraj._anndata import (
    Predicted,
    Untreated,
    column_of,
    killed_table,
    noise_keys,
    predicted_cells,
    read_members,
    sample_record,
    source_of,
    warn_of_few,
)
from celltraj._checks import checked
from celltraj._errors import DataWarning, warn
from celltraj.models import Condition, MetaFlowMatching, ResponseOptions, ResponseSource, SdeSolver
from celltraj.models.response.scale import ScaleChange

logger = logging.getLogger("celltraj")
_FAR_SHARE = 0.1  # of cells outside: ten times what a training population has
_FAR_RATIO = 2.0  # of embedding distances
_STANDING_OUT = 0.005  # of the variables: that many of some thousand do so by chance
_SHOWN = 5


@checked
def predict_response(
    adata: AnnData,
    model: MetaFlowMatching,
    *,
    condition: str | Sequence[str] | Condition | Sequence[Condition],
    dose: float | Sequence[float] | None = None,
    covariates: Mapping[str, str | float] | None = None,
    condition_features: pd.DataFrame | None = None,
    population: AnnData | None = None,
    guidance: float = 1.0,
    noise: float = 0.0,
    ode_solver: SdeSolver | None = None,
    seed: int = 0,
    progress: bool = True,
) -> AnnData:
    """Perturbation prediction: predict a population under a treatment from its untreated cells.

    Each untreated cell is carried along ``dX = v(t, X | phi(p0), p_t, c) dt`` from 0 to 1, where
    the population is known by all its untreated cells; half of the prediction, or what else the
    ``base`` of the options says, is where the nearest cells of other populations of the training
    went under the same condition, as far as any had it. What becomes of a cell depends on itself,
    its population, the condition and, with noise, its name: neither on the order of rows nor on
    which other cells are predicted with it. To predict some cells of a population, pass all of it
    as ``population``.

    Parameters
    ----------
    adata
        Untreated cells of one population or of several. Where it has the columns of the training,
        treated cells are left out and populations are told apart; else all cells are untreated
        cells of one population. A model fitted in the components of ``ct.pp.pca_model`` computes
        those from genes.
    model
        Result of :func:`celltraj.tl.fit_response`.
    condition
        The drug, or the drugs given together; or one or several ``ct.models.Condition(drugs,
        doses)``, such as the doses of a curve, each of which all cells are predicted under.
    dose
        Dose of each drug, in the unit of the training; a ``Condition`` holds its own.
    covariates
        Value of each covariate by its name; by default what ``obs`` holds for the population.
    condition_features
        A row of numbers for each drug that was never given, as in the training.
    population
        AnnData with all untreated cells of the populations, of which ``adata`` then may hold any,
        even a single one; by default those of ``adata`` are all.
    guidance
        Weight of the condition: 1 as trained, above it more of what sets it apart from the mean of
        all conditions. Any but 1 is for the network alone.
    noise
        Diffusion of an SDE of the same law, in [x] per square root of the duration of the response;
        0 for the ODE. It is drawn by the name of each cell and of its population.
    ode_solver
        How the equation of motion is integrated, 20 steps of ``ct.models.Midpoint`` by default. One
        that chooses its steps by all cells, such as ``ct.models.DormandPrince``, agrees to its
        tolerance.
    seed
        Seed of everything random.
    progress
        Whether to show progress bars.

    Returns
    -------
    AnnData of predicted cells under the names of their sources, with several conditions one after
    the other under these names and that of the condition: ``X`` the states, also in
    ``obsm[use_rep]`` unless that is ``"X"``; ``obs["population"]``, ``obs["condition"]``,
    ``obs["source"]`` (name of the untreated cell), ``obs["outside"]`` (the source is farther from
    all untreated cells of the training than all but one in a hundred of these are from those of
    other populations), ``obs["survival"]`` (mass that a cell keeps, mean 1 over its population;
    only with an unbalanced coupling or counts), ``obs["spread"]`` (how far the networks of an
    ensemble disagree), the cell type of the source; ``uns["celltraj"]["response"]`` (params,
    version, seed, support; killed, see ``ct.get.killed``), and the projection for ``ct.tl.decode``.

    Warns
    -----
    DataWarning
        A population unlike those of the training, on another scale or at another place, with few
        cells or less than half of those it had in the training, or with values far outside theirs.

    Raises
    ------
    TypeError
        ``model`` is not a response, ``adata`` not an AnnData.
    ValueError
        No untreated cells; a drug without a name or features that the model knows; doses or
        covariates that do not fit; variables that differ from those of the training; values that
        are not finite; a population of one cell, or one that ``population`` does not hold; a cell
        that is another one there; noise where two cells have one name.

    References
    ----------
    Atanackovic et al., *Meta Flow Matching* (2024), arXiv 2408.14608; Ho & Salimans,
    *Classifier-free diffusion guidance* (2022).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.interacting_populations(n_populations=5, n_cells=40, seed=0)
    >>> model = ct.tl.fit_response(
    ...     adata, population_key="population", condition_key="condition", control="before",
    ...     training=ct.models.Training(max_steps=20), progress=False,
    ... )
    >>> predicted = ct.tl.predict_response(adata, model, condition="after", progress=False)
    >>> predicted.obs["condition"].unique().tolist()
    ['after']
    """
    source = source_of(model)
    if condition_features is not None:
        model = model.with_features(
            ResponseOptions(condition_features=condition_features).features() or {}
        )
    members, asked = read_members(adata, population, model), conditions_of(condition, dose)
    cells, whole = ([one[k] for one in members] for k in (0, 1))
    warn_of_few(whole, model, "; pass population= an AnnData with all of theirs")
    told = _told(model, adata, cells, asked, {} if covariates is None else dict(covariates))
    for _, one in told:  # all are refused before any is computed
        model.coder.tokens(one)
        model.coder.covariate_vector(one)
    keys = [noise_keys(adata, one) if noise > 0 else None for one in members]
    bar = tqdm(told, desc="predicting", unit="population", disable=not progress)
    responses = [
        model.respond(
            cells[k].x,
            one,
            population=whole[k].x,
            name=whole[k].name,
            keys=keys[k],
            guidance=guidance,
            noise=noise,
            ode_solver=ode_solver,
            # anew for each, so that none depends on which others are predicted
            generator=torch.Generator().manual_seed(seed),
        )
        for k, one in bar
    ]
    support = support_table(model, whole)
    _warn_of_support(support)
    _warn_of_scale(model, whole)
    support["base"] = [
        fmean(r.base for (k, _), r in zip(told, responses, strict=True) if k == row)
        for row in range(len(whole))
    ]
    _tell_of_no_base(model, support)
    params = _params(source, asked) | {"guidance": guidance, "noise": noise}
    outside = [outside_cells(model, one) for one in cells]
    predicted = [
        Predicted(cells[k], one.name, outside[k], response)
        for (k, one), response in zip(told, responses, strict=True)
    ]
    record = sample_record(params, seed) | {"support": support.rename(index=str)}
    if (killed := killed_table(predicted)) is not None:
        record["killed"] = killed
    return predicted_cells(adata, model, predicted, record)


def _params(source: ResponseSource, asked: Sequence[Condition]) -> dict[str, Any]:
    """Return what was asked, lists as arrays, which files keep."""
    one, *others = asked
    names = [each.name for each in asked] if others else one.drugs
    return {
        "condition": np.array(names, dtype=object),
        "dose": np.array(one.doses) if one.doses and not others else None,
        "use_rep": source.use_rep,
        "population_key": source.population_key,
        "condition_key": np.array(source.condition_keys, dtype=object),
        "dose_key": np.array(source.dose_keys, dtype=object) if source.dose_keys else None,
    }


def _tell_of_no_base(model: MetaFlowMatching, support: pd.DataFrame) -> None:
    """Log which populations are predicted by the network alone, under one condition at least."""
    alone = support.loc[support["base"] < model.strength, "population"].tolist()
    if model.base is not None and alone:
        logger.info(
            "the network alone predicts %s: no other population of the training had this "
            "condition, or guidance is not 1",
            ", ".join(map(str, alone[:_SHOWN])),
        )


def conditions_of(
    condition: str | Sequence[str] | Condition | Sequence[Condition],
    dose: float | Sequence[float] | None,
) -> list[Condition]:
    """Return the conditions that are asked for, without covariates where none are given.

    Raises
    ------
    ValueError
        Doses beside conditions that have their own, or one condition twice.
    """
    given: tuple[object, ...] = (condition,)
    if isinstance(condition, Iterable) and not isinstance(condition, str):
        given = tuple(condition)
    whole = [one for one in given if isinstance(one, Condition)]
    if not whole:
        doses = () if dose is None else tuple(float(d) for d in np.atleast_1d(dose))
        return [Condition(tuple(map(str, given)), doses)]  # labels are read as text
    if dose is not None:
        raise ValueError("a ct.models.Condition holds its own doses; leave out dose=")
    names = [one.name for one in whole]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"each condition is predicted once; found {twice} more than once")
    return whole


def _told(
    model: MetaFlowMatching,
    adata: AnnData,
    cells: Sequence[Untreated],
    asked: Sequence[Condition],
    given: Mapping[str, str | float],
) -> list[tuple[int, Condition]]:
    """Return the index of a population and what is done to it, for all of both."""
    found = []
    for one in asked:
        for k, population in enumerate(cells):
            covariates = one.covariates or _covariates(model, adata, population, given)
            found.append((k, replace(one, covariates=covariates)))
    return found


def _covariates(
    model: MetaFlowMatching,
    adata: AnnData,
    population: Untreated,
    given: Mapping[str, str | float],
) -> tuple[str | float, ...]:
    """Return the covariates of a population, as given or as its cells have them."""
    names = [one.name for one in model.coder.covariates]
    if extra := sorted(set(given) - set(names)):
        raise ValueError(f"the response has no covariates {extra}; it has {names}")
    return tuple(
        given[name] if name in given else _shared(adata, population, name) for name in names
    )


def _shared(adata: AnnData, population: Untreated, name: str) -> str | float:
    """Return the value of a column that all cells of a population share."""
    if name not in adata.obs:
        raise ValueError(
            f"the response was fitted with the covariate {name!r}, and there is no obs[{name!r}]; "
            f"pass covariates={{{name!r}: ...}}"
        )
    values = column_of(adata, name).iloc[population.rows].astype(object).unique()
    if len(values) != 1 or pd.isna(values[0]):
        raise ValueError(
            f"the untreated cells of population {population.name!r} have "
            f"{values[:_SHOWN].tolist()} in obs[{name!r}] in place of one value; "
            f"pass covariates={{{name!r}: ...}}"
        )
    return values[0] if isinstance(values[0], str) else float(values[0])


def outside_cells(model: MetaFlowMatching, population: Untreated) -> np.ndarray:
    """Return which untreated cells lie farther from the training than is usual there."""
    distance = model.support.distance(model.standardised(population.x))
    return (distance > model.support.usual).numpy()


def support_table(model: MetaFlowMatching, populations: Sequence[Untreated]) -> pd.DataFrame:
    """Return how far each population is from those of the training."""
    changes = [_scale_change(model, one) for one in populations]
    return pd.DataFrame(
        {
            "population": [one.name for one in populations],
            "n_cells": [len(one.rows) for one in populations],
            "outside_share": [outside_cells(model, one).mean() for one in populations],
            "embedding_ratio": [
                model.support.embedding_ratio(model.embed(one.x)) for one in populations
            ],
            "spread_ratio": [math.nan if one is None else one.spread for one in changes],
            "centre_distance": [math.nan if one is None else one.centre for one in changes],
        }
    )


def _scale_change(model: MetaFlowMatching, population: Untreated) -> ScaleChange | None:
    return model.support.scale_change(model.standardised(population.x))


def _warn_of_scale(model: MetaFlowMatching, populations: Sequence[Untreated]) -> None:
    """Warn of populations on another scale, or at another place, than those of the training."""
    for one in populations:
        change = _scale_change(model, one)
        if change is None:
            continue
        names = [source_of(model).variables[k] for k in change.variables]
        stands_out = len(names) > _STANDING_OUT * model.dim
        if change.is_unusual or stands_out:
            warn(
                f"population {one.name!r} is on another scale or at another place than those of "
                f"the training: its cells are spread {change.spread:.2f} times as widely (among "
                f"these the factor is at most {change.usual_spread:.2f}, up or down), and their "
                f"mean lies {change.centre:.2f} standard deviations off (at most "
                f"{change.usual_centre:.2f})"
                + (f"; variables that stand out: {names[:_SHOWN]}" if names else "")
                + ". Normalise, scale and project it as the training was",
                DataWarning,
            )


def _warn_of_support(table: pd.DataFrame) -> None:
    """Warn of populations unlike those of the training."""
    far = (table["outside_share"] > _FAR_SHARE) | (table["embedding_ratio"] > _FAR_RATIO)
    for row in table[far].itertuples():
        warn(
            f"population {row.population!r} is unlike those of the training: "
            f"{row.outside_share:.0%} of its cells lie outside (usual: 1%), and its embedding is "
            f"{row.embedding_ratio:.1f} times as far from the nearest one as theirs; what is "
            "predicted for it is extrapolated",
            DataWarning,
        )
