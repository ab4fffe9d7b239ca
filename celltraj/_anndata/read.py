"""Read times, representations and snapshots from AnnData."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy.sparse import issparse

from celltraj._snapshots import Snapshots

_FEW_VARIABLES = 50
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def read_times(adata: AnnData, time_key: str) -> np.ndarray:
    """Return the ``(n_obs,)`` times as float64, from numbers, categories or text as ``"day 3"``.

    Raises
    ------
    KeyError
        ``time_key`` is not in ``obs``.
    ValueError
        A time is missing or holds not exactly one number.
    """
    if not isinstance(adata, AnnData):
        raise TypeError(f"expected an AnnData, found {type(adata).__name__}")
    if time_key not in adata.obs:
        raise KeyError(
            f"no times in adata.obs[{time_key!r}]; columns found: {list(adata.obs.columns)}. "
            "Pass time_key= with the column that holds the sampling times"
        )
    column = adata.obs[time_key]
    if column.isna().any():
        raise ValueError(
            f"adata.obs[{time_key!r}] is missing for {int(column.isna().sum())} cells; "
            f"drop them with adata[adata.obs[{time_key!r}].notna()].copy()"
        )
    if pd.api.types.is_numeric_dtype(column.dtype):
        times = column.to_numpy(dtype=float)
    else:
        numbers = {label: _number(label, time_key) for label in column.unique()}
        times = np.array([numbers[label] for label in column], dtype=float)
    if not np.isfinite(times).all():
        raise ValueError(f"adata.obs[{time_key!r}] holds infinite times")
    return times


def _number(label: object, time_key: str) -> float:
    if isinstance(label, int | float | np.number):
        return float(label)
    found = _NUMBER.findall(str(label))
    if len(found) != 1:
        raise ValueError(
            f"cannot read one time from {label!r} in adata.obs[{time_key!r}]; "
            'use numbers or text with a single number, such as "day 3"'
        )
    return float(found[0])


def read_representation(adata: AnnData, use_rep: str | None) -> tuple[str, np.ndarray]:
    """Return the name and the ``(n_obs, d)`` float64 array of the representation to work in.

    Raises
    ------
    KeyError
        ``use_rep`` is not in ``obsm``.
    ValueError
        Nothing suitable without ``use_rep``, or NaN or infinite values.
    """
    if use_rep is None:
        if "X_pca" in adata.obsm:
            use_rep = "X_pca"
        elif adata.n_vars <= _FEW_VARIABLES:
            use_rep = "X"
        else:
            raise ValueError(
                f"adata has {adata.n_vars} variables and no obsm['X_pca']; "
                "run sc.pp.pca(adata) first or pass use_rep="
            )
    if use_rep != "X" and use_rep not in adata.obsm:
        raise KeyError(
            f"no obsm[{use_rep!r}]; found {list(adata.obsm)}. Run sc.pp.pca(adata) for 'X_pca', "
            "or use_rep='X' for the matrix itself"
        )
    values = adata.X if use_rep == "X" else adata.obsm[use_rep]
    dense = values.toarray() if issparse(values) else np.asarray(values)
    if not np.issubdtype(dense.dtype, np.number):
        raise ValueError(f"{use_rep} has dtype {dense.dtype}; numbers are needed")
    dense = dense.astype(np.float64)
    bad = ~np.isfinite(dense).all(1)
    if bad.any():
        raise ValueError(
            f"{int(bad.sum())} cells have NaN or infinite values in {use_rep} "
            f"(first: {adata.obs_names[bad][0]!r}); drop or impute them"
        )
    return use_rep, dense


def read_snapshots(
    adata: AnnData, *, time_key: str, use_rep: str | None, weights_key: str | None = None
) -> tuple[Snapshots, str]:
    """Return the validated snapshots and the name of the representation that was read."""
    times = read_times(adata, time_key)
    name, x = read_representation(adata, use_rep)
    if weights_key is not None and weights_key not in adata.obs:
        raise KeyError(
            f"no weights in adata.obs[{weights_key!r}]; columns found: {list(adata.obs.columns)}"
        )
    unique = np.unique(times)
    clouds = tuple(torch.from_numpy(x[times == t]) for t in unique)
    weights: tuple[torch.Tensor, ...] = ()
    if weights_key is not None:
        w = adata.obs[weights_key].to_numpy(dtype=float)
        weights = tuple(torch.from_numpy(w[times == t]) for t in unique)
    _warn_about_thin_data(unique, clouds, name)
    return Snapshots(tuple(unique), clouds, weights), name


def _warn_about_thin_data(times: np.ndarray, clouds: tuple[torch.Tensor, ...], name: str) -> None:
    few = {f"{t:g}": len(c) for t, c in zip(times, clouds, strict=True) if len(c) < 10}
    if few:
        warnings.warn(
            f"fewer than 10 cells at times {few}: bridges through them are mostly noise",
            UserWarning, stacklevel=4,
        )
    together = torch.cat(clouds)
    constant = (together == together[0]).all(0).nonzero().flatten().tolist()
    if constant:
        warnings.warn(
            f"variables {constant} of {name} are constant over all cells; the bridge only adds "
            "noise to them, drop them", UserWarning, stacklevel=4,
        )
    n_copies = len(together) - len(torch.unique(together, dim=0))
    if n_copies:
        warnings.warn(
            f"{n_copies} cells are exact copies of others in {name}; if that is not meant, "
            "drop duplicates", UserWarning, stacklevel=4,
        )
