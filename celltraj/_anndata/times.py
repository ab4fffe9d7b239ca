"""Read sampling times from ``obs``."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pandas as pd
from anndata import AnnData

# a sign counts only where no letter or digit stands before it: "day-3" is day 3, "day -3" is not
_NUMBER = re.compile(r"(?:(?<![^\W_])[-+])?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def read_times(adata: AnnData, time_key: str) -> np.ndarray:
    """Return the ``(n_obs,)`` times as float64, from numbers, categories or text as ``"day 3"``.

    Raises
    ------
    TypeError
        ``adata`` is not an AnnData.
    KeyError
        ``time_key`` is not in ``obs``.
    ValueError
        There are no cells, a time is missing, infinite or not exactly one number, the order of an
        ordered category contradicts its numbers, or nearly every cell has a time of its own.

    Examples
    --------
    >>> import anndata as ad, pandas as pd
    >>> from celltraj._anndata import read_times
    >>> obs = pd.DataFrame({"day": ["day 10", "day 2"] * 2}, index=list("abcd"))
    >>> read_times(ad.AnnData(obs=obs), "day")
    array([10.,  2., 10.,  2.])
    """
    column = _column(adata, time_key)
    if isinstance(column.dtype, pd.CategoricalDtype) and column.cat.ordered:
        _check_order(column, time_key)
    positions, labels = pd.factorize(column)
    # reading the shortest decimal also makes a float32 0.1 the number 0.1 that a user would type
    times = np.array([_number(str(label), time_key) for label in np.asarray(labels)])[positions]
    if not np.isfinite(times).all():
        raise ValueError(f"adata.obs[{time_key!r}] holds infinite times; drop those cells")
    n_times = len(np.unique(times))
    if n_times > max(2, len(times) / 2):
        raise ValueError(
            f"adata.obs[{time_key!r}] holds {n_times} different times for {len(times)} cells, as a "
            "pseudotime would; snapshots are needed, many cells sampled at each of a few times"
        )
    return times


def _column(adata: AnnData, time_key: str) -> pd.Series:
    """Return the column once it is known to hold a time of some kind for every cell."""
    if not isinstance(adata, AnnData):
        raise TypeError(f"expected an AnnData, found {type(adata).__name__}")
    if time_key not in adata.obs:
        raise KeyError(
            f"no times in adata.obs[{time_key!r}]; columns found: {list(adata.obs.columns)}. "
            "Pass time_key= with the column that holds the sampling times"
        )
    if adata.n_obs == 0:
        raise ValueError("adata has no cells (n_obs is 0); check the filter that came before")
    column = adata.obs[time_key]
    if column.isna().any():
        raise ValueError(
            f"adata.obs[{time_key!r}] is missing for {int(column.isna().sum())} cells; "
            f"drop them with adata[adata.obs[{time_key!r}].notna()].copy()"
        )
    kind = getattr(column.dtype, "categories", column).dtype
    if pd.api.types.is_bool_dtype(kind):
        raise ValueError(
            f"adata.obs[{time_key!r}] is boolean, a condition and not a time; "
            "pass time_key= with numbers"
        )
    if kind.kind in "mM":
        raise ValueError(
            f"adata.obs[{time_key!r}] has dtype {kind}, and the unit of time is yours to choose; "
            f"write a column of numbers, for durations in days adata.obs[{time_key!r}]"
            " / pd.Timedelta(days=1)"
        )
    return column


def _check_order(column: pd.Series, time_key: str) -> None:
    labels = column.cat.remove_unused_categories().cat.categories.tolist()
    numbers = [_number(str(label), time_key) for label in labels]
    if any(b < a for a, b in pairwise(numbers)):
        raise ValueError(
            f"adata.obs[{time_key!r}] is ordered {labels}, but its numbers read {numbers}; "
            "reorder the categories or write a column of numbers"
        )


def _number(label: str, time_key: str) -> float:
    if label.lower() in {"inf", "-inf"}:
        return float(label)
    found = _NUMBER.findall(label)
    if len(found) != 1:
        raise ValueError(
            f"cannot read one time from {label!r} in adata.obs[{time_key!r}]; "
            'use numbers or text with a single number, such as "day 3"'
        )
    return float(found[0])
