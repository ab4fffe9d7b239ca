"""Read the expression of genes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import issparse, sparray, spmatrix

from celltraj._anndata.columns import check_adata, in_memory
from celltraj._errors import DataWarning, warn

_MANY = 50  # counts above that value are met in raw data and not after a logarithm


def read_expression(adata: AnnData, layer: str | None) -> np.ndarray | spmatrix | sparray:
    """Return the ``(n_obs, n_vars)`` expression in ``X`` or a layer, as sparse as it is.

    Raises
    ------
    KeyError
        There is no such layer.
    ValueError
        Values are not finite numbers.
    """
    check_adata(adata)
    place = "adata.X" if layer is None else f"adata.layers[{layer!r}]"
    x = _matrix(adata, layer, place)
    _check_values(x, adata.obs_names, place)
    if _looks_like_counts(x):
        warn(
            f"{place} looks like raw counts, in which a few genes have nearly all variance; run "
            "sc.pp.normalize_total(adata) and sc.pp.log1p(adata) first",
            DataWarning,
        )
    return x


def _matrix(adata: AnnData, layer: str | None, place: str) -> np.ndarray | spmatrix | sparray:
    """Return ``X`` or a layer in memory, dense or sparse as it is."""
    if layer is not None and layer not in adata.layers:
        named = [name for name in adata.layers if name is not None]  # anndata 0.13 counts X
        raise KeyError(f"no {place}; layers found: {named}")
    found = adata.X if layer is None else adata.layers[layer]
    if found is None:
        raise ValueError("adata.X is None; pass layer= with the one that holds the expression")
    x = in_memory(found[:])  # slicing reads a backed matrix into memory
    return x if issparse(x) else np.asarray(x)


def _check_values(x: np.ndarray | spmatrix | sparray, obs_names: pd.Index, place: str) -> None:
    if x.dtype.kind not in "fiu":
        raise ValueError(
            f"{place} has dtype {x.dtype}, and numbers are needed; "
            "convert it with .astype(float) once every entry is a number"
        )
    if not np.isfinite(x if isinstance(x, np.ndarray) else x.data).all():
        bad = _broken_rows(x)
        raise ValueError(
            f"{len(bad)} cells have NaN or infinite values in {place} "
            f"(first: {obs_names[bad[0]]!r}); drop or impute them"
        )


def _broken_rows(x: np.ndarray | spmatrix | sparray) -> np.ndarray:
    if isinstance(x, np.ndarray):
        return np.nonzero(~np.isfinite(x).all(1))[0]
    entries = x.tocoo()
    return np.unique(entries.row[~np.isfinite(entries.data)])


def _looks_like_counts(x: np.ndarray | spmatrix | sparray) -> bool:
    values = x if isinstance(x, np.ndarray) else x.data
    if values.size == 0 or values.max() <= _MANY or values.min() < 0:
        return False
    return bool(np.equal(values, np.rint(values)).all())


def marked_genes(adata: AnnData, column: str) -> np.ndarray:
    """Return the ``(n_vars,)`` genes that a column of ``var`` marks.

    Raises
    ------
    KeyError
        There is no such column.
    ValueError
        It is not true or false for every gene, or marks none.
    """
    if column not in adata.var:
        hint = f"; a single gene is genes=[{column!r}]" if column in adata.var_names else ""
        raise KeyError(f"no adata.var[{column!r}]; columns found: {list(adata.var.columns)}{hint}")
    marked = adata.var[column]
    if not pd.api.types.is_bool_dtype(marked.dtype) or marked.isna().any():
        raise ValueError(
            f"adata.var[{column!r}] must be true or false for every gene; found dtype "
            f"{marked.dtype}"
        )
    if not marked.any():
        raise ValueError(f"adata.var[{column!r}] is false for every gene")
    chosen: np.ndarray = marked.to_numpy(dtype=bool)
    return chosen


def expression_of(adata: AnnData, gene: str) -> np.ndarray:
    """Return the expression ``(n_obs,)`` of one gene in ``X``, float64.

    Raises
    ------
    ValueError
        There is no ``X``, or it holds no numbers.
    """
    place = "adata.X"
    if adata.X is None:
        raise ValueError(f"{place} is None, and the gene {gene!r} has no values")
    x = in_memory(adata[:, gene].X)
    values = np.asarray(x.toarray() if issparse(x) else x)
    if values.dtype.kind not in "fiub" or values.shape[1] != 1:
        raise ValueError(
            f"{place} has dtype {values.dtype} and {values.shape[1]} variables of the name "
            f"{gene!r}; one with numbers is needed"
        )
    return values[:, 0].astype(float)
