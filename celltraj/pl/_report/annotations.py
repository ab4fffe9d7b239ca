"""Columns of ``obs`` and fates, as one byte for each cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.colors import to_hex

from celltraj._anndata.results import FATES
from celltraj._anndata.tables import fates_table
from celltraj.pl._colors import palette_of, shades_of
from celltraj.pl._report.packing import packed

MISSING = 255  # a cell without a value
_TOP = 254
_PERCENT = 2  # steps of a share in a percent
_MOST = 24  # annotations, of up to 60 kB each
_MOST_LABELS = 102  # as many as scanpy has colours for


def annotations_of(
    adata: AnnData, rows: np.ndarray, first: Sequence[str]
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return the annotations that cells can be coloured by, and what is left out, in words.

    Parameters
    ----------
    adata
        Observed cells.
    rows
        ``(n,)`` rows of the cells that are shown.
    first
        Columns that come before others; after them categories, then numbers.
    """
    usable = [name for name in adata.obs if _is_shown(adata.obs[name])]
    order = {name: k for k, name in enumerate(first)}
    usable.sort(key=lambda name: (order.get(name, len(order)), _is_number(adata.obs[name])))
    others = [name for name in adata.obs if name not in usable[:_MOST]]
    words = (f"columns without colours: {', '.join(map(str, others))}",) if others else ()
    return [_annotation(adata, name, rows) for name in usable[:_MOST]], words


def fates_of(adata: AnnData, key: str, rows: np.ndarray) -> dict[str, Any]:
    """Return the fates of cells, in half percents.

    Raises
    ------
    ValueError
        The cells have changed since.
    """
    table = fates_table(adata, key)
    names = [str(name) for name in table.columns]
    shares = np.rint(100 * _PERCENT * np.clip(table.to_numpy()[rows], 0, 1))
    codes = np.where(np.isnan(shares), MISSING, shares).astype(np.uint8)
    groupby = FATES.peek(adata, key)["params"].get("groupby")
    palette = shades_of(adata, None if groupby is None else str(groupby), names)
    return {
        "names": names,
        "colors": [to_hex(palette[name]) for name in names],
        "shares": packed(codes),
    }


def _is_number(column: pd.Series) -> bool:
    is_bool = pd.api.types.is_bool_dtype(column)
    return pd.api.types.is_numeric_dtype(column) and not is_bool


def _is_shown(column: pd.Series) -> bool:
    """Return whether a column holds something to colour by."""
    if column.isna().all() or pd.api.types.is_complex_dtype(column):
        return False
    if _is_number(column):
        return bool(np.isfinite(_numbers(column)).any())
    is_time = pd.api.types.is_datetime64_any_dtype(column)
    is_time = is_time or pd.api.types.is_timedelta64_dtype(column)
    return not is_time and column.astype(str).nunique() <= _MOST_LABELS


def _numbers(column: pd.Series) -> np.ndarray:
    numbers: np.ndarray = column.to_numpy(dtype=float, na_value=np.nan)
    return numbers


def _annotation(adata: AnnData, name: str, rows: np.ndarray) -> dict[str, Any]:
    column = adata.obs[name]
    if _is_number(column):
        return {"name": str(name)} | _scaled(_numbers(column), rows)
    labels = column.astype("category").cat.remove_unused_categories()
    palette = palette_of(adata, name)
    names = [str(one) for one in labels.cat.categories]
    codes = labels.cat.codes.to_numpy()[rows]
    return {
        "name": str(name),
        "labels": names,
        "colors": [to_hex(palette[one]) for one in names],
        "codes": packed(np.where(codes < 0, MISSING, codes).astype(np.uint8)),
    }


def _scaled(values: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
    """Return numbers in 255 steps from the least to the largest."""
    is_known = np.isfinite(values)
    low, high = float(values[is_known].min()), float(values[is_known].max())
    with np.errstate(invalid="ignore"):
        steps = np.rint(_TOP * (values - low) / ((high - low) or 1.0))
    codes = np.where(is_known, steps, MISSING).astype(np.uint8)
    ends = {"from": low, "to": high, "low": f"{low:.3g}", "high": f"{high:.3g}"}
    return ends | {"codes": packed(codes[rows])}
