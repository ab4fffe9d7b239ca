"""Read untreated cells that a fitted response has not seen."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj._anndata.columns import check_adata, column_of, has_column
from celltraj._anndata.copies import warn_of_copies
from celltraj._anndata.matched import MAX_MISSING, SHOWN, Matched
from celltraj._anndata.populations import read_rows
from celltraj._anndata.projection import (
    Projected,
    genes_of,
    projection_of,
    read_projection,
)
from celltraj._errors import DataWarning, some, warn
from celltraj._typing import Cells
from celltraj.models import MetaFlowMatching, Projection, ResponseSource

logger = logging.getLogger("celltraj")
_NEW = "new"  # name of the population of cells that come without one
_FEW = 10
_PART = 0.5  # of the cells of a population that the training knew
_FAR = 3.0  # times the range of the training


@dataclass(frozen=True)
class Untreated:
    """Hold the untreated cells of one population.

    Parameters
    ----------
    name
        Name of the population.
    rows
        ``(n,)`` their rows in the AnnData.
    x
        ``(n, d)`` states in the space of the model, float64.
    """

    name: str
    rows: np.ndarray
    x: Cells


def read_untreated(adata: AnnData, model: MetaFlowMatching) -> list[Untreated]:
    """Return the untreated cells of every population, in the space of the model.

    Where the column of the conditions is there, treated cells are left out; without it all cells
    count as untreated. Without the column of the populations they are one population, ``"new"``.

    Raises
    ------
    TypeError
        ``adata`` is not an AnnData, or ``model`` not a response.
    ValueError
        No untreated cells, variables that differ from those of the training, or values that are
        not finite.
    """
    source = source_of(model)
    check_adata(adata)
    kept = np.flatnonzero(_untreated(adata, source))
    cells = adata[kept] if len(kept) < adata.n_obs else adata
    x = _states(cells, model, source)
    _warn_of_range(x, source)
    names = _names(adata, source)[kept]
    found = []
    for name in pd.unique(names):
        at = np.flatnonzero(names == name)
        found.append(Untreated(name, kept[at], torch.from_numpy(x[at])))
    warn_of_copies({one.name: one.x.numpy() for one in found})
    return found


def read_states(adata: AnnData, model: MetaFlowMatching) -> np.ndarray:
    """Return all cells ``(n_obs, d)`` in the space of the model, treated ones as well.

    Raises
    ------
    TypeError
        ``model`` is not a response.
    ValueError
        Variables that differ from those of the training, or values that are not finite.
    """
    return _states(adata, model, source_of(model))


def warn_of_few(populations: Sequence[Untreated], model: MetaFlowMatching, advice: str) -> None:
    """Warn of populations with few cells, by themselves or next to what the training had of them.

    Parameters
    ----------
    populations
        All untreated cells that stand for each.
    model
        The response, which may not read populations at all.
    advice
        What mends it.
    """
    if not model.reads_population:
        return
    sizes = {one.name: len(one.rows) for one in populations}
    few = {name: n for name, n in sizes.items() if n < _FEW}
    if few:
        warn(
            f"fewer than {_FEW} untreated cells in {few}: what they tell of their population is "
            f"mostly noise, and so are predictions from it{advice}",
            DataWarning,
        )
    kept = {name: model.support.remembered(name) for name in sizes if name not in few}
    part = {name: sizes[name] for name, n in kept.items() if sizes[name] < _PART * n}
    if part:
        warn(
            f"untreated cells {part}, less than half of those that the training had of these "
            "populations; what becomes of a cell depends on the population that is given with it"
            f"{advice}",
            DataWarning,
        )


def source_of(model: object) -> ResponseSource:
    """Return what of an AnnData a model was fitted to.

    Raises
    ------
    TypeError
        It is not a response, or was fitted to tensors.
    """
    if not isinstance(model, MetaFlowMatching):
        raise TypeError(
            f"expected a response, from ct.tl.fit_response(adata); found {type(model).__name__}"
        )
    if model.source is None:
        raise TypeError("the response was fitted to tensors; use its respond() on tensors")
    return model.source


def _untreated(adata: AnnData, source: ResponseSource) -> np.ndarray:
    """Return which cells have no drug."""
    columns = [key for key in source.condition_keys if has_column(adata, key)]
    if adata.n_obs == 0:
        raise ValueError("there are no cells to predict from (n_obs is 0)")
    if not columns:
        return np.ones(adata.n_obs, dtype=bool)
    labels = pd.concat([column_of(adata, key) for key in columns], axis=1).astype(object)
    free: np.ndarray = (
        (labels.isna() | labels.astype(str).isin(source.controls)).all(axis=1).to_numpy()
    )
    if not free.any():
        raise ValueError(
            f"no untreated cells: obs[{columns[0]!r}] holds "
            f"{sorted(map(str, labels[columns[0]].unique()))[:10]} and not {source.controls}; "
            "predictions start from untreated cells. Drop the column if they are"
        )
    if not free.all():
        logger.info("left out %d treated cells of %d", (~free).sum(), len(free))
    return free


def _names(adata: AnnData, source: ResponseSource) -> np.ndarray:
    key = source.population_key
    if key not in adata.obs:
        return np.full(adata.n_obs, _NEW, dtype=object)
    labels = column_of(adata, key).astype(object)
    if labels.isna().any():
        cell = adata.obs_names[labels.isna()][0]
        raise ValueError(f"cell {cell!r} has no population in obs[{key!r}]; name it or drop it")
    names: np.ndarray = labels.astype(str).to_numpy(dtype=object)
    return names


def _states(adata: AnnData, model: MetaFlowMatching, source: ResponseSource) -> np.ndarray:
    """Return the cells in the space of the model."""
    plane = model.projection
    if plane is not None and _has_genes(adata, plane):
        # components of the cells themselves may be those of a PCA of their own
        logger.info(
            "computed %s from %d genes as for the training", plane.use_rep, len(plane.names)
        )
        return plane.encode(genes_of(adata, plane))
    use_rep, rows = source.use_rep, np.arange(adata.n_obs)
    if use_rep == "X":
        matched = Matched.of(adata.var_names, source.variables)
        matched.check()
        centre = model.network.field.centre.numpy()
        return np.asarray(matched.taken(read_rows(adata, "X", rows), centre))
    if use_rep not in adata.obsm:
        hint = (
            ""
            if plane is None
            else f", and the genes it is computed from are not all there: "
            f"{some(sorted(set(plane.names) - set(map(str, adata.var_names))), SHOWN)}"
        )
        raise ValueError(
            f"the response was fitted in obsm[{use_rep!r}]; found {some(adata.obsm)}{hint}. "
            "Compute it as for the training, or run ct.pp.pca_model before the fit, which then "
            "needs genes only"
        )
    x = read_rows(adata, use_rep, rows)
    if x.shape[1] != len(source.variables):
        raise ValueError(
            f"obsm[{use_rep!r}] has {x.shape[1]} variables, the response {len(source.variables)}"
        )
    if plane is not None and not _carries(adata, plane):
        missing = sorted(set(plane.names) - set(map(str, adata.var_names)))
        warn(
            f"obsm[{use_rep!r}] is taken for the components of the training, and nothing tells "
            f"that it is: the genes that they are computed from are not all there ({len(missing)} "
            f"of {len(plane.names)} are missing: {some(missing, SHOWN)}). Pass all of them",
            DataWarning,
        )
    return x


def variables_like(
    like: AnnData | Projected | MetaFlowMatching,
) -> tuple[tuple[str, ...], np.ndarray, str | None]:
    """Return the ``g`` variables that a model reads, their means in its training, and the layer.

    Parameters
    ----------
    like
        A response, a model with a projection, or an AnnData that carries one.

    Raises
    ------
    KeyError, TypeError, ValueError
        It has neither a projection nor variables by name.
    """
    if isinstance(like, MetaFlowMatching) and like.projection is None:
        source = source_of(like)
        if source.use_rep == "X":
            return source.variables, like.network.field.centre.numpy(), None
    plane = projection_of(like)
    return plane.names, plane.mean, plane.layer


def _has_genes(adata: AnnData, plane: Projection) -> bool:
    """Return whether components are to be computed from genes: from all, or most if need be."""
    there = set(map(str, adata.var_names))
    share = sum(name not in there for name in plane.names) / len(plane.names)
    return share == 0 or (share <= MAX_MISSING and not _carries(adata, plane))


def _carries(adata: AnnData, plane: Projection) -> bool:
    """Return whether the components of ``adata`` were computed by this projection."""
    found = read_projection(adata)
    return (
        found is not None
        and (found.use_rep, found.names) == (plane.use_rep, plane.names)
        and found.loadings.shape == plane.loadings.shape
        and bool(np.allclose(found.loadings, plane.loadings, atol=1e-6))
        and bool(np.allclose(found.mean, plane.mean, atol=1e-6))
    )


def _warn_of_range(x: np.ndarray, source: ResponseSource) -> None:
    """Warn where values lie far outside those of the training, as counts among logarithms do."""
    centre, reach = (source.low + source.high) / 2, _FAR * (source.high - source.low) / 2
    if np.abs(x - centre).max() > reach:
        warn(
            f"values from {x.min():.3g} to {x.max():.3g} lie far outside those of the training, "
            f"{source.low:.3g} to {source.high:.3g}: raw counts given to a model of logarithms, or "
            "another normalisation",
            DataWarning,
        )
