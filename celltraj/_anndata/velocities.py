"""Read measured velocities of cells, in the space that a law of motion works in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from scipy.sparse import issparse

from celltraj._anndata.read import dimension_of, read_representation
from celltraj._errors import some
from celltraj.models.references import VelocityReference

_LOADINGS = "PCs"  # where scanpy keeps those of X_pca


def with_velocities(
    adata: AnnData, reference: VelocityReference, use_rep: str
) -> VelocityReference:
    """Return the reference with the states and the velocities of the cells that have one.

    Velocities of genes, in ``layers``, are those of ``use_rep="X"``, and of ``X_pca`` by its
    loadings; those in ``obsm`` have the variables of ``use_rep``. A gene without any, as scVelo
    leaves those that it does not model, does not move; a cell without one in other genes is left
    out.

    Raises
    ------
    KeyError
        There are no velocities of this name.
    ValueError
        They have another dimension than ``use_rep``, or no cell has one.
    """
    if reference.cells is not None:
        _check_dimension(reference.key, reference.cells.shape[1], use_rep, adata)
        return reference
    found = _velocities(adata, reference.key, use_rep)
    has_one = np.isfinite(found).all(1)
    if not has_one.any():
        raise ValueError(
            f"no cell has a velocity in {reference.key!r}: there are NaN or infinite values in all"
        )
    states = read_representation(adata, use_rep)[1]
    return replace(
        reference,
        cells=torch.from_numpy(states[has_one]),
        velocities=torch.from_numpy(found[has_one]),
    )


def _velocities(adata: AnnData, key: str, use_rep: str) -> np.ndarray:
    if key in adata.obsm:
        found = _dense(adata.obsm[key], f"obsm[{key!r}]")
        _check_dimension(f"obsm[{key!r}]", found.shape[1], use_rep, adata)
        return found
    if key not in adata.layers:
        raise KeyError(
            f"no velocities in layers[{key!r}] or obsm[{key!r}]; found layers "
            f"{some(adata.layers)} and obsm {some(adata.obsm)}. Pass "
            "reference=ct.models.VelocityReference(key), after scv.tl.velocity(adata)"
        )
    genes = _dense(adata.layers[key], f"layers[{key!r}]")
    never = np.isnan(genes).all(0)
    genes = np.where(never, 0.0, genes)
    if use_rep == "X":
        return genes
    loadings = adata.varm.get(_LOADINGS)
    if use_rep != "X_pca" or loadings is None or loadings.shape[1] < dimension_of(adata, use_rep):
        raise ValueError(
            f"layers[{key!r}] has velocities of {adata.n_vars} genes, and {use_rep} has "
            f"{dimension_of(adata, use_rep)} variables without loadings that tell of genes; pass "
            f"use_rep='X_pca' with varm[{_LOADINGS!r}] from sc.pp.pca(adata), use_rep='X', or "
            f"velocities of {use_rep} itself in obsm"
        )
    # the centre of the genes plays no part in a difference
    projected: np.ndarray = genes @ np.asarray(loadings)[:, : dimension_of(adata, use_rep)]
    return projected


def _check_dimension(where: str, n_found: int, use_rep: str, adata: AnnData) -> None:
    wanted = dimension_of(adata, use_rep)
    if n_found != wanted:
        raise ValueError(
            f"velocities in {where} have {n_found} variables, {use_rep} has {wanted}; velocities "
            "must lie in the space of the bridge: pass use_rep= with that of the velocities, or "
            "velocities of genes in a layer, which loadings project"
        )


def _dense(values: Any, where: str) -> np.ndarray:
    array = values.toarray() if issparse(values) else np.asarray(values)
    if array.dtype.kind not in "fiuO":
        raise ValueError(f"velocities in {where} must be numbers; found dtype {array.dtype}")
    try:
        return np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"velocities in {where} must be numbers; {error}") from error
