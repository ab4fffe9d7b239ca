"""Slow modes as tables and columns of AnnData."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from celltraj.models.modes.course import CoherentSets
from celltraj.models.modes.crossings import Crossings
from celltraj.models.modes.scales import TimeScales


def scales_table(scales: Sequence[TimeScales], singular: Tensor | None = None) -> pd.DataFrame:
    """Return one row for each mode, and for each way in which its rate is known."""
    parts = []
    for one in scales:
        time, low, high = one.times
        columns = {
            "rate": one.rates,
            "lower": one.lower,
            "upper": one.upper,
            "frequency": one.frequencies,
            "time": time,
            "time_lower": low,
            "time_upper": high,
        } | ({} if singular is None else {"singular_value": singular})
        values = {name: value.numpy() for name, value in columns.items()}
        modes = {"mode": np.arange(1, len(time) + 1), "by": one.by}
        parts.append(pd.DataFrame(modes | values))
    table = pd.concat(parts, ignore_index=True).sort_values("mode", kind="stable")
    return table.reset_index(drop=True).rename(index=str)


def set_names(n_sets: int) -> list[str]:
    """Return the names of sets, the largest first."""
    return [str(k) for k in range(n_sets)]


def sets_of_course(sets: CoherentSets, times: Sequence[float]) -> pd.DataFrame:
    """Return one row for each coherent set and time."""
    k = sets.n_sets
    columns = {
        "set": np.tile(np.array(set_names(k), dtype=object), len(times)),
        "time": np.repeat(np.asarray(times, dtype=float), k),
        "share": sets.shares.flatten().numpy(),
        "decided": sets.decided.flatten().numpy(),
    }
    return pd.DataFrame(columns).rename(index=str)


def sets_of_law(labels: np.ndarray, times: np.ndarray, stays: Tensor) -> pd.DataFrame:
    """Return one row for each set of a law and time, with the chance that cells stay in it."""
    k, unique = len(stays), np.unique(times)
    shares = [np.bincount(labels[times == t], minlength=k) / (times == t).sum() for t in unique]
    columns = {
        "set": np.tile(np.array(set_names(k), dtype=object), len(unique)),
        "time": np.repeat(unique, k),
        "share": np.concatenate(shares),
        "stays": np.tile(stays.numpy(), len(unique)),
    }
    return pd.DataFrame(columns).rename(index=str)


def crossings_table(crossings: Crossings, confidence: float) -> pd.DataFrame:
    """Return one row for each pair of sets."""
    k = len(crossings.at_risk)
    rows, columns = (~torch.eye(k, dtype=torch.bool)).nonzero(as_tuple=True)
    names = np.array(set_names(k), dtype=object)
    low, high = crossings.intervals(confidence)
    found = {
        "rate": crossings.rates[rows, columns],
        "lower": low[rows, columns],
        "upper": high[rows, columns],
        "crossings": crossings.counts[rows, columns],
        "at_risk": crossings.at_risk[rows],
    }
    values = {name: value.numpy() for name, value in found.items()}
    ends = {"source": names[rows.numpy()], "target": names[columns.numpy()]}
    return pd.DataFrame(ends | values).astype({"crossings": int}).rename(index=str)


def set_column(labels: np.ndarray, n_sets: int, there: np.ndarray | None = None) -> pd.Categorical:
    """Return the sets of cells by name; missing for -1, and where ``there`` is false."""
    codes = labels if there is None else np.where(there, labels, -1)
    return pd.Categorical.from_codes(codes, categories=set_names(n_sets))


def labels_of_course(rows: Mapping[int, np.ndarray], sets: CoherentSets, n_obs: int) -> np.ndarray:
    """Return the number of the set of each cell ``(n_obs,)``, -1 where there is none."""
    found = np.full(n_obs, -1)
    for place, labels in zip(rows.values(), sets.labels, strict=True):
        found[place] = labels.numpy()
    return found
