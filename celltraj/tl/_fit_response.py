"""Fit the response of populations to treatments."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from anndata import AnnData

from celltraj import models
from celltraj._anndata import (
    ResponseKeys,
    genes_of,
    given_once,
    never_together,
    options_record,
    read_populations,
    read_projection,
    response_record,
)
from celltraj._anndata.results import RESPONSE
from celltraj._anndata.source import Source
from celltraj._checks import checked
from celltraj._errors import ConvergenceError, DataWarning, warn
from celltraj.models import (
    MetaFlowMatching,
    Populations,
    Projection,
    ResponseOptions,
    Training,
)

logger = logging.getLogger("celltraj")
_COMPARED = 100  # cells whose components are computed again


@checked
def fit_response(
    adata: AnnData,
    *,
    population_key: str,
    condition_key: str | Sequence[str],
    control: str | Sequence[str],
    use_rep: str | None = None,
    cell_type_key: str | None = None,
    dose_key: str | Sequence[str] | None = None,
    options: ResponseOptions | None = None,
    training: Training = Training(),
    key_added: str = "response",
    seed: int = 0,
    progress: bool = True,
) -> MetaFlowMatching:
    """Perturbation response: learn what treatments make of populations, for untreated ones.

    ``dX = v(t, X | phi(p0), p_t, c) dt`` carries the untreated cells of a population to its cells
    under condition ``c``; one field serves all populations. ``phi(p0)`` embeds the untreated cells,
    ``p_t`` are the cells of the population around X at the same time. Cells are coupled within
    population, condition and cell type. Time is the share of the response that is gone, in [0, 1].
    A prediction is the mean of what the law makes of a cell and of where its nearest neighbours in
    other populations went under the same condition, see ``base`` of the options; ``n_models`` of
    the options makes an ensemble of laws. The share killed is learned where ``survival_key`` of the
    options names counts or viabilities.

    Parameters
    ----------
    adata
        Cells of all populations before and after.
    population_key
        Column of ``obs`` with the populations: patients, donors, cultures, wells.
    condition_key
        Column with the treatment; several columns where drugs are given together, one of them in
        each, where a missing value, or the control, is no drug. Every cell has a drug or the
        control in one of them.
    control
        Label of untreated cells, or labels, whose cells are pooled within a population.
    use_rep
        ``"X"`` or a key of ``obsm``; by default ``X_pca``, or ``X`` with at most 50 variables.
    cell_type_key
        Column with cell types; cells are then coupled within a type.
    dose_key
        Column with the dose of each condition column, positive, in your unit.
    options
        How populations enter, cells are coupled and conditions are described, see
        :class:`celltraj.models.ResponseOptions`.
    training
        How the network is trained, see :class:`celltraj.models.Training`.
    key_added
        Name of the result.
    seed
        Seed of everything random.
    progress
        Whether to show progress bars.

    Returns
    -------
    The response; ``ct.tl.predict_response`` applies it. Written, only once all is computed:
    ``uns["celltraj"][key]`` (params, version, seed, populations, base, base_reason, encoder,
    encoder_reason, history; under params also ``never_treated``, the populations left out,
    ``given_once``, drugs that one population had, and ``never_together``, groups of conditions that
    share no population).
    The order of cells does not matter.

    Warns
    -----
    DataWarning
        Populations without treated cells, which are left out; few cells of a population under a
        condition; components that are not those of the projection that ``adata`` carries.

    Raises
    ------
    TypeError
        ``adata`` is not an AnnData, or ``options`` or ``training`` not such an object.
    KeyError
        A named column or representation, or the control, does not exist.
    ValueError
        A treated population without a control, missing conditions, doses, features or survival, or
        values that are not finite.
    ConvergenceError
        ``sigma`` is too small for the solver to couple a population.
    TrainingError
        The loss became NaN; its ``result`` holds the last good network. ``adata`` is unchanged by
        any of these.

    References
    ----------
    Atanackovic et al., *Meta Flow Matching* (2024), arXiv 2408.14608; Perez et al., *FiLM* (2018).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.interacting_populations(n_populations=5, n_cells=40, seed=0)
    >>> model = ct.tl.fit_response(
    ...     adata, population_key="population", condition_key="condition", control="before",
    ...     training=ct.models.Training(max_steps=20), progress=False,
    ... )
    >>> new = adata[adata.obs["population"] == adata.obs["population"].iloc[0]].copy()
    >>> ct.tl.predict_response(new, model, condition="after", progress=False).n_obs
    40
    """
    start, key = time.perf_counter(), key_added
    options = ResponseOptions() if options is None else options
    keys = ResponseKeys.of(
        population_key,
        condition_key,
        control,
        dose_key=dose_key,
        covariate_keys=options.covariate_keys,
        cell_type_key=cell_type_key,
        survival_key=options.survival_key,
    )
    populations, source = read_populations(adata, keys, use_rep)
    RESPONSE.claim(adata, key)
    try:
        model = models.fit_response(
            populations,
            options,
            training=training.for_variables(source.variables),
            generator=torch.Generator().manual_seed(seed),
            progress=progress,
        )
    except ConvergenceError as error:
        raise ConvergenceError(
            f"cells could not be coupled; pass options=ct.models.ResponseOptions(sigma=...) with "
            f"a larger sigma. {error}",
            error.result,
        ) from error
    model = replace(model, source=source, projection=_projection(adata, source.use_rep))
    params = _params(keys, source.use_rep) | _told_little(adata, keys, populations)
    params |= {"options": options_record(options), "training": options_record(training)}
    cells = Source.of(adata, None, source.use_rep)
    RESPONSE.write(adata, key, response_record(model, params, seed), source=cells)
    logger.info(
        "response of %d populations to %d treatments: %d steps of %d networks, %s, %s, %.1f s",
        len(populations.names),
        len(populations.treated),
        len(model.losses),
        len(model.members),
        f"{type(model.encoder).__name__ if model.encoder else 'no encoder'} "
        f"({model.encoder_reason})",
        f"{model.strength:g} of it by neighbours ({model.reason})",
        time.perf_counter() - start,
    )
    return model


def _params(keys: ResponseKeys, use_rep: str) -> dict[str, Any]:
    """Return the columns as used, lists of them as arrays, which files keep."""
    return {
        "population_key": keys.population,
        "condition_key": np.array(keys.conditions, dtype=object),
        "control": np.array(keys.controls, dtype=object),
        "use_rep": use_rep,
        "cell_type_key": keys.cell_type,
        "dose_key": np.array(keys.doses, dtype=object) if keys.doses else None,
        "covariate_keys": np.array(keys.covariates, dtype=object) if keys.covariates else None,
    }


def _told_little(
    adata: AnnData, keys: ResponseKeys, populations: Populations
) -> dict[str, np.ndarray | None]:
    """Return populations that were left out, and drugs of which one population or few tell."""
    never = sorted(set(adata.obs[keys.population].astype(str)) - set(populations.names))
    once = given_once(populations)
    if once:
        logger.info(
            "given to one population only, so that their effect is not told from what is special "
            "about it: %s",
            ", ".join(once),
        )
    apart = never_together(populations)
    if apart:
        logger.info(
            "no population had conditions of more than one of these groups, so that what sets them "
            "apart is not told from what does populations: %s",
            "; ".join(apart),
        )
    return {
        "never_treated": _labels(never),
        "given_once": _labels(once),
        "never_together": _labels(apart),
    }


def _labels(names: list[str]) -> np.ndarray | None:
    return np.array(names, dtype=object) if names else None


def _projection(adata: AnnData, use_rep: str) -> Projection | None:
    """Return the projection that the representation was computed by, where there is one."""
    found = read_projection(adata)
    if found is None or found.use_rep != use_rep:
        return None
    cells = adata[:_COMPARED]
    if not set(found.names) <= set(map(str, adata.var_names)):
        return found
    again = found.encode(genes_of(cells, found))
    if np.allclose(again, np.asarray(cells.obsm[use_rep]), rtol=1e-3, atol=1e-3):
        return found
    warn(
        f"obsm[{use_rep!r}] is not what the projection in uns gives, so that the model goes "
        "without it and predictions are not decoded; run ct.pp.pca_model(adata) again",
        DataWarning,
    )
    return None
