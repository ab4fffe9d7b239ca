"""Read what numbers of cells mean in each of several courses, such as conditions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata.counts import check_text, read_counts
from celltraj._errors import some
from celltraj._typing import Counts, CountsByName
from celltraj.models.arms.states import ArmStates
from celltraj.models.growth.population_sizes import population_sizes

_PAIR = 2  # levels of an index: name and time
_EQUAL: Counts = "proportions"


def read_counts_by_name(
    adata: AnnData, counts: CountsByName, states: ArmStates, *, noun: str, keys: tuple[str, str]
) -> tuple[np.ndarray | None, dict[str, tuple[float, ...]]]:
    """Return weights ``(n_obs,)``, None for equal ones, and sizes of each course by name.

    Parameters
    ----------
    adata
        Annotated data.
    counts
        A text that holds for all courses, a dict of what each one's is, see
        :func:`celltraj._anndata.counts.read_counts`, or sizes by name and time.
    states
        Names and times of all cells.
    noun
        What one course is, such as ``"condition"``.
    keys
        Columns of ``obs`` with the names and the times.

    Raises
    ------
    TypeError, ValueError
        They are not these, or there is none for a course that was seen twice.
    """
    if isinstance(counts, str):
        check_text(adata, counts)  # before it is one course that a message names
        own: dict[str, Counts] = dict.fromkeys(states.conditions, counts)
    else:
        own = _by_name(counts, states, noun, keys)
    parts: dict[str, np.ndarray] = {}
    sizes: dict[str, tuple[float, ...]] = {}
    for name in states.conditions:
        here = states.names == name
        times = states.times_of(name)
        numbers = [int(states.rows(name, t).sum()) for t in times]
        try:
            w, given = read_counts(adata, own[name], states.times, time_key=keys[1], rows=here)
            sizes[name] = population_sizes(times, numbers, given)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{noun} {name!r}: {error}") from error
        if w is not None:
            parts[name] = w
    if not parts:
        return None, sizes
    weights = np.ones(len(states.names))
    for name, w in parts.items():
        weights[states.names == name] = w
    return weights, sizes


def _by_name(
    counts: Mapping[Any, Any] | pd.Series, states: ArmStates, noun: str, keys: tuple[str, str]
) -> dict[str, Counts]:
    """Return what is given for each course; nothing where one seen once is left out."""
    given = _nested(counts, keys)
    once = {name for name in states.conditions if len(states.times_of(name)) == 1}
    missing = [name for name in states.conditions if name not in given and name not in once]
    extra = [name for name in given if name not in states.conditions]
    if missing or extra:
        found = [f"nothing for {some(missing)}"] * bool(missing)
        found += [f"{some(extra)}, of which there are no cells"] * bool(extra)
        raise ValueError(
            f"counts= has {' and '.join(found)}; give sizes by {noun} and time, "
            f"{{{noun}: {{time: size}}}} or adata.obs.groupby({list(keys)}, observed=True).size(), "
            f"for {some(states.conditions)}"
        )
    return {name: given.get(name, _EQUAL) for name in states.conditions}


def _nested(counts: Mapping[Any, Any] | pd.Series, keys: tuple[str, str]) -> dict[str, Any]:
    """Return sizes by name, each by time, whichever way they came."""
    if isinstance(counts, pd.Series) and list(counts.index.names) == list(reversed(keys)):
        counts = counts.swaplevel()
    nested: dict[str, Any] = {}
    for key, value in counts.items():
        if isinstance(key, tuple) and len(key) == _PAIR:
            nested.setdefault(str(key[0]), {})[key[1]] = value
        else:
            nested[str(key)] = value
    return nested
