"""Read sampling times from ``obs``, and the times that a user types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from numbers import Real

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata.columns import check_adata, column_of
from celltraj._anndata.time_labels import number_of, read_labels, text_of
from celltraj._errors import some
from celltraj._typing import Time

_SHOWN = 20


def read_times(adata: AnnData, time_key: str) -> np.ndarray:
    """Return the ``(n_obs,)`` times as float64, from numbers, categories or text as ``"day 3"``.

    Raises
    ------
    TypeError
        ``adata`` is not an AnnData in memory.
    KeyError
        ``time_key`` is not in ``obs``.
    ValueError
        There are no cells, a time is missing, infinite or not exactly one number, labels mix units
        or origins or can be read in two ways, the order of an ordered category contradicts its
        numbers, or nearly every cell has a time of its own.

    Examples
    --------
    >>> import anndata as ad, pandas as pd
    >>> from celltraj._anndata import read_times
    >>> obs = pd.DataFrame({"day": ["day 10", "day 2"] * 2}, index=list("abcd"))
    >>> read_times(ad.AnnData(obs=obs), "day")
    array([10.,  2., 10.,  2.])
    """
    column = _column(adata, time_key)
    place = f"adata.obs[{time_key!r}]"
    positions, labels = pd.factorize(column)
    numbers = read_labels(list(np.asarray(labels)), place)
    if isinstance(column.dtype, pd.CategoricalDtype) and column.cat.ordered:
        _check_order(column, dict(zip(labels, numbers, strict=True)), place)
    times: np.ndarray = np.array(numbers)[positions]
    if not np.isfinite(times).all():
        raise ValueError(f"{place} holds infinite times; drop those cells")
    n_times = len(np.unique(times))
    if n_times > max(2, len(times) / 2):
        raise ValueError(
            f"{place} holds {n_times} different times for {len(times)} cells, as a "
            "pseudotime would; snapshots are needed, many cells sampled at each of a few times"
        )
    return times


def labels_of(adata: AnnData, time_key: str) -> dict[str, float]:
    """Return the time of every label of the column, in order of time.

    Examples
    --------
    >>> import anndata as ad, pandas as pd
    >>> from celltraj._anndata.times import labels_of
    >>> obs = pd.DataFrame({"day": ["D10", "D2"] * 2}, index=list("abcd"))
    >>> labels_of(ad.AnnData(obs=obs), "day")
    {'D2': 2.0, 'D10': 10.0}
    """
    times = read_times(adata, time_key)
    texts = [text_of(label) for label in column_of(adata, time_key).tolist()]
    known = dict(zip(texts, times.tolist(), strict=True))
    return dict(sorted(known.items(), key=lambda one: one[1]))


def time_of(adata: AnnData, time_key: str | None, value: Time) -> float:
    """Return the time that a user typed: a number as it is, a label as the column has it.

    Raises
    ------
    TypeError
        It is neither a number nor a text.
    KeyError
        There is no such column to look a label up in.
    ValueError
        It is not finite, or no such label is in the column.

    Examples
    --------
    >>> import anndata as ad, pandas as pd
    >>> from celltraj._anndata import time_of
    >>> obs = pd.DataFrame({"day": ["D10", "D2"] * 2}, index=list("abcd"))
    >>> time_of(ad.AnnData(obs=obs), "day", "D10"), time_of(ad.AnnData(obs=obs), "day", 3)
    (10.0, 3.0)
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, str | bytes):
        return _looked_up(adata, time_key, text_of(value))
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(
            f"a time must be a number or a label of the column of times; found {value!r} of type "
            f"{type(value).__name__}"
        )
    return _finite(number_of(value), value)


def times_of(
    adata: AnnData, time_key: str | None, values: Time | Iterable[Time]
) -> tuple[float, ...]:
    """Return the times that a user typed, one or several; see :func:`time_of`.

    Raises
    ------
    TypeError
        One of them is neither a number nor a text, or they have no order, as in a set.
    ValueError
        There are none, one is not finite, or no such label is in the column.
    """
    if isinstance(values, str | bytes | Real):
        return (time_of(adata, time_key, values),)  # type: ignore[arg-type]
    if isinstance(values, np.ndarray):
        values = np.atleast_1d(values)
    if not isinstance(values, Sequence | np.ndarray | pd.Series | pd.Index):
        raise TypeError(
            "times must be numbers or labels of the column of times, one or a list of them; found "
            f"{values!r} of type {type(values).__name__}"
        )
    return tuple(time_of(adata, time_key, value) for value in values)


def inner_time_of(adata: AnnData, time_key: str, value: Time) -> float:
    """Return the time that is to be left out, neither the first nor the last one.

    Raises
    ------
    TypeError
        It is neither a number nor a text.
    ValueError
        No cell was observed then, or it is the first or last time.
    """
    time, inner = time_of(adata, time_key, value), np.unique(read_times(adata, time_key))[1:-1]
    # a time stored in single precision is not exactly the number that is typed
    near = inner[np.isclose(inner, time, rtol=1e-6, atol=0)]
    if not len(near):
        labels = [text for text, known in labels_of(adata, time_key).items() if known in inner]
        raise ValueError(
            f"cannot hold out {value!r}: hold_out must be one of the inner times {inner.tolist()}"
            f" of adata.obs[{time_key!r}], or of their labels {labels[:_SHOWN]}"
        )
    return float(near[0])


def _looked_up(adata: AnnData, time_key: str | None, text: str) -> float:
    number = _as_number(text)
    if time_key is None:
        if number is None:
            raise ValueError(f"{text!r} is a label, and with time_key=None times are numbers")
        return _finite(number, text)
    check_adata(adata)
    if number is not None and time_key not in adata.obs:
        return _finite(number, text)
    known = labels_of(adata, time_key)
    if text in known:
        return known[text]
    if number is not None:
        return _finite(number, text)
    found = list(known)
    raise ValueError(
        f"no time {text!r} in adata.obs[{time_key!r}]; labels found: {some(found, _SHOWN)}. A "
        "time at which no cell was observed is typed as a number"
    )


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _finite(number: float, typed: object) -> float:
    if not np.isfinite(number):
        raise ValueError(f"a time must be finite; found {typed!r}")
    return number


def _column(adata: AnnData, time_key: str) -> pd.Series:
    """Return the column once it is known to hold a time of some kind for every cell."""
    way = "Pass time_key= with the column that holds the sampling times"
    column = column_of(adata, time_key, what="times", way=way)
    if adata.n_obs == 0:
        raise ValueError("adata has no cells (n_obs is 0); check the filter that came before")
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


def _check_order(column: pd.Series, times: Mapping[object, float], place: str) -> None:
    labels = column.cat.remove_unused_categories().cat.categories.tolist()
    numbers = [times[label] for label in labels]
    if any(b < a for a, b in pairwise(numbers)):
        raise ValueError(
            f"{place} is ordered {labels}, but its numbers read {numbers}; "
            "reorder the categories or write a column of numbers"
        )
