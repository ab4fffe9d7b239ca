"""Read what numbers of cells mean: weights of cells, and sizes of the population."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from pandas.api.types import is_numeric_dtype

from celltraj._anndata.columns import column_of, has_column
from celltraj._anndata.times import time_of
from celltraj._typing import Counts

_WORDS = ("proportions", "population")
_ALL = slice(None)
_SAME = 1e-9  # relative: sums of shares that were meant to be one

Sizes = str | list[float] | dict[float, float]


def read_counts(
    adata: AnnData,
    counts: Counts,
    times: np.ndarray,
    *,
    time_key: str,
    weights_key: str | None = None,
    rows: np.ndarray | slice = _ALL,
) -> tuple[np.ndarray | None, Sizes]:
    """Return weights ``(n,)`` of the cells, None for equal ones, and sizes of the population.

    Parameters
    ----------
    adata
        Annotated data.
    counts
        ``"proportions"`` or ``"population"``; sizes by time or in its order; or the name of a
        column of ``obs`` with the number of cells that each cell stands for: its shares within a
        time are weights, its sums sizes. Where the sums are all the same, it holds weights alone.
    times
        ``(n_obs,)`` sampling times.
    time_key
        Column of ``obs`` in which labels of times are looked up.
    weights_key
        Column of ``obs`` with weights alone.
    rows
        Which cells, those of one course; labels of times are those of all.

    Raises
    ------
    KeyError
        There is no such column of weights.
    TypeError
        ``counts`` is neither a text nor sizes.
    ValueError
        There is no such word or column, the word is also the name of a column of numbers, or
        weights come from two columns.
    """
    times = times[rows]
    weights = None if weights_key is None else read_weights(adata, weights_key, times, rows)
    if not isinstance(counts, str):
        return weights, _sizes(adata, time_key, counts, np.unique(times).tolist())
    check_text(adata, counts)
    if counts in _WORDS:
        return weights, counts
    if weights is not None:
        raise ValueError(
            f"weights come from weights_key={weights_key!r} and from counts={counts!r}; pass one"
        )
    found = read_weights(adata, counts, times, rows)
    return found, _sums(found, times)


def check_text(adata: AnnData, counts: str) -> None:
    """Raise where a text says nothing of what numbers of cells mean, or two things.

    Raises
    ------
    ValueError
        It is no word and no column, or a word and a column of numbers.
    """
    if counts not in _WORDS and not has_column(adata, counts):
        raise ValueError(
            f"counts must be one of {_WORDS}, the size of the population at each time, or a column "
            f"of adata.obs with the number of cells that each cell stands for; found {counts!r}, "
            f"and the columns {list(adata.obs.columns)}"
        )
    is_column = counts in _WORDS and has_column(adata, counts)
    if is_column and is_numeric_dtype(column_of(adata, counts)):
        raise ValueError(
            f"counts={counts!r} means two things, since adata.obs has a column of numbers of "
            "that name; rename the column"
        )


def _sums(weights: np.ndarray, times: np.ndarray) -> Sizes:
    """Return the sum of the weights of each time; a word where all are the same."""
    sums = [float(weights[times == t].sum()) for t in np.unique(times)]
    return _WORDS[0] if np.allclose(sums, sums[0], rtol=_SAME, atol=0) else sums


def read_weights(
    adata: AnnData, weights_key: str, times: np.ndarray, rows: np.ndarray | slice = _ALL
) -> np.ndarray:
    """Return the ``(n,)`` weights of the cells in ``rows``, not yet normalised.

    Raises
    ------
    KeyError
        ``weights_key`` is not in ``obs``.
    ValueError
        Weights that are not finite numbers, negative, or all zero at one time.
    """
    column = column_of(adata, weights_key, what="weights")
    place = f"adata.obs[{weights_key!r}]"
    if column.dtype.kind not in "fiu":
        raise ValueError(f"{place} has dtype {column.dtype}; weights must be numbers")
    w: np.ndarray = column.to_numpy(dtype=float, na_value=np.nan)[rows]
    bad = ~(np.isfinite(w) & (w >= 0))
    if bad.any():
        raise ValueError(
            f"{place} is negative, missing or infinite for {int(bad.sum())} cells (first: "
            f"{adata.obs_names[rows][bad][0]!r}, {w[bad][0]:g}); weights must be finite and not "
            "negative"
        )
    empty = [f"{t:g}" for t in np.unique(times) if w[times == t].sum() == 0]
    if empty:
        raise ValueError(
            f"{place} is zero for all cells at time {', '.join(empty)}; "
            "give one of them weight or drop the time"
        )
    return w


def _sizes(adata: AnnData, time_key: str, counts: Any, observed: Sequence[float]) -> Sizes:
    """Return sizes as numbers: in a dict by time, else in their order."""
    if not isinstance(counts, Mapping | pd.Series):
        if not isinstance(counts, Sequence | np.ndarray):
            raise TypeError(
                "counts must be a text, a dict or Series of sizes by time, or a list of sizes in "
                f"the order of the times {list(observed)}; found {type(counts).__name__}"
            )
        return [_size(size) for size in counts]
    sizes: dict[float, float] = {}
    for label, size in counts.items():
        typed = time_of(adata, time_key, label)
        # a time stored in single precision is not exactly the number that is read from it
        time = next((t for t in observed if np.isclose(t, typed, rtol=1e-6, atol=0)), typed)
        if time in sizes:
            raise ValueError(f"counts= has several sizes for the time {time:g}; give one")
        sizes[time] = _size(size)
    return sizes


def _size(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"a size of the population must be a number; found {value!r}") from error
