"""Find the cells that belong to a prediction: where it starts, and what was observed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata import (
    ResponseKeys,
    genes_of,
    read_projection,
    read_representation,
    read_samples,
)
from celltraj._anndata.results import PREDICTION
from celltraj.pl._cells import check_components, plane


class ResponseCells(NamedTuple):
    """Hold the cells of one population under one condition.

    Parameters
    ----------
    untreated, observed, predicted
        ``(n, 2)``, ``(m, 2)`` and ``(n, 2)`` states; ``m`` is 0 where nothing was observed.
    outside
        ``(n,)`` whether a predicted cell starts outside the training.
    mass
        ``(n,)`` mass that it keeps, in the mean 1.
    """

    untreated: np.ndarray
    observed: np.ndarray
    predicted: np.ndarray
    outside: np.ndarray
    mass: np.ndarray


def params_of(predicted: AnnData) -> dict[str, Any]:
    """Return the arguments that a prediction was made with.

    Raises
    ------
    KeyError
        It is none.
    ValueError
        It holds several conditions.
    """
    record = PREDICTION.find(predicted) or {}
    if "support" not in record or not {"population", "condition", "outside"} <= set(predicted.obs):
        raise KeyError(
            "predicted is no prediction; make it with "
            "ct.tl.predict_response(adata, model, condition=...)"
        )
    conditions = predicted.obs["condition"].astype(str).unique().tolist()
    if len(conditions) > 1:
        raise ValueError(
            f"predicted holds {len(conditions)} conditions, and one is drawn: pass "
            f"predicted[predicted.obs['condition'] == {conditions[0]!r}].copy()"
        )
    params: dict[str, Any] = record["params"]
    return params


def response_cells(
    adata: AnnData,
    predicted: AnnData,
    names: Sequence[str],
    keys: ResponseKeys,
    basis: str,
    components: tuple[int, int],
) -> tuple[str, list[ResponseCells]]:
    """Return the name of a representation, and in it the cells of each population.

    Parameters
    ----------
    adata
        The cells that predictions start from, and treated ones where they are known.
    predicted
        A prediction.
    names
        Populations.
    keys
        Columns that tell treated cells; controls are known without.
    basis, components
        Representation and two of its variables.
    """
    rep, after = plane(predicted, basis, components)
    sources = _sources(adata, predicted)
    treated = _treated(adata, predicted, sources, keys)
    labels = predicted.obs["population"].astype(str).to_numpy()
    outside = predicted.obs["outside"].to_numpy(bool)
    mass = np.ones(len(labels))
    if "survival" in predicted.obs:
        mass = predicted.obs["survival"].to_numpy(float)

    def states(rows: np.ndarray) -> np.ndarray:
        x = _states(adata, rows, predicted, rep)
        check_components(components, x.shape[1], f"adata, {rep},")
        return x[:, list(components)]

    found = []
    for name in names:
        at = labels == name
        before, seen = states(sources[at]), states(treated.get(name, sources[:0]))
        found.append(ResponseCells(before, seen, after[at], outside[at], mass[at]))
    return rep, found


def _sources(adata: AnnData, predicted: AnnData) -> np.ndarray:
    """Return the rows of the cells that predictions start from."""
    if not adata.obs_names.is_unique:
        raise ValueError(
            "names of cells are not unique; call adata.obs_names_make_unique() before "
            "ct.tl.predict_response"
        )
    # predictions of earlier versions are named as their sources are
    names = pd.Index(predicted.obs.get("source", predicted.obs_names))
    rows: np.ndarray = adata.obs_names.get_indexer(names)
    if (rows < 0).any():
        raise ValueError(
            f"adata lacks {(rows < 0).sum()} of the cells that predicted starts from (first: "
            f"{names[rows < 0][0]!r}); pass the AnnData that was given to "
            "ct.tl.predict_response"
        )
    return rows


def _treated(
    adata: AnnData, predicted: AnnData, sources: np.ndarray, keys: ResponseKeys
) -> dict[str, np.ndarray]:
    """Return the rows of the observed cells of each population under the predicted condition."""
    if len(np.unique(sources)) == adata.n_obs:
        return {}
    obs, names = adata.obs, predicted.obs["population"].astype(str).unique()
    if keys.population not in obs and len(names) == 1:
        obs = obs.assign(**{keys.population: names[0]})  # cells without the column are of one
    if missing := [key for key in keys.columns if key not in obs]:
        raise KeyError(
            "adata has cells besides those that predicted starts from, and no "
            f"obs[{missing[0]!r}] to say what they are, as the training had; columns found: "
            f"{list(obs.columns)}"
        )
    # no cell that a prediction starts from has a drug: what labels they have are those of controls
    labels = obs[list(keys.conditions)].iloc[sources].astype(object)
    controls = tuple(sorted(set(labels.astype(str).to_numpy()[labels.notna().to_numpy()])))
    told = ResponseKeys(keys.population, keys.conditions, controls, keys.doses)
    condition = str(predicted.obs["condition"].iloc[0])
    found: dict[str, list[np.ndarray]] = {}
    for one in read_samples(AnnData(obs=obs), told):
        if one.condition is not None and one.condition.name == condition:
            found.setdefault(one.population, []).append(one.rows)
    return {name: np.concatenate(rows) for name, rows in found.items()}


def _states(adata: AnnData, rows: np.ndarray, predicted: AnnData, name: str) -> np.ndarray:
    """Return cells in the space of the predicted ones, as predictions read them."""
    cells, found = adata[rows], read_projection(predicted)
    if found is not None and found.use_rep == name and set(found.names) <= set(adata.var_names):
        # components that adata carries may be those of a PCA of its own
        return found.encode(genes_of(cells, found))
    if name == "X":
        cells = cells[:, predicted.var_names]  # in the order of the model
    return read_representation(cells, name)[1]
