"""Which cells the drivers of a fate are told from, and what they are compared within."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata import read_groups, read_times
from celltraj._anndata.quantities import Quantities, told_cells
from celltraj._errors import DataWarning, warn
from celltraj._typing import Time

POOLED = "pooled"  # in place of times: no label, which always holds a number
_FEWEST = 4  # cells, in one stratum; another one for each further stratum
_FEWEST_SAMPLES = 2
_ROUNDING = 1e-6  # relative: fates are float32
_SHOWN = 10


@dataclass(frozen=True)
class DriverCells:
    """Hold the cells to correlate over.

    Parameters
    ----------
    rows
        ``(n,)`` numbers of the cells.
    values
        ``(n, k)`` their fates; constant in a stratum where they differ by rounding alone.
    strata
        ``(n,)`` sampling times to correlate within, and samples if there are any; None for none.
    samples
        ``(n,)`` samples; None where cells are the units.
    """

    rows: np.ndarray
    values: np.ndarray
    strata: np.ndarray | None
    samples: np.ndarray | None

    @property
    def n_samples(self) -> int:
        """Number of samples; 0 where cells are the units."""
        return 0 if self.samples is None else len(np.unique(self.samples))


def read_driver_cells(
    adata: AnnData,
    fates: Quantities,
    *,
    key: str,
    time: Time | Sequence[Time] | None,
    time_key: str,
    within_time: bool,
    sample_key: str | None,
) -> DriverCells:
    """Return the cells that have a value, a sample and one of the times.

    Raises
    ------
    KeyError
        There are no times to correlate within, or no samples.
    ValueError
        Too few cells or samples.
    """
    chosen = told_cells(adata, key, fates.is_known, time, time_key)
    names = None if sample_key is None else read_groups(adata, sample_key)
    if names is not None:
        chosen &= names.notna().to_numpy()
    rows = np.flatnonzero(chosen)
    strata = _times(adata, time_key, key)[rows] if within_time else None
    samples = None if names is None else names.astype(str).to_numpy(dtype=object)[rows]
    _check_number(rows, strata, key)
    if samples is not None:
        keep = _is_large(samples, strata, str(sample_key))
        rows, samples = rows[keep], samples[keep]
        strata = None if strata is None else strata[keep]
        if len(np.unique(samples)) < _FEWEST_SAMPLES:
            raise ValueError(
                f"cells with a value of {key!r} come from the sample {np.unique(samples).tolist()} "
                f"of adata.obs[{sample_key!r}] alone; two or more are needed to tell what holds in "
                "others. Leave sample_key= out to take cells as the units"
            )
    values = _without_rounding(fates.values[rows], strata, samples)
    _warn_of_constant(values, strata, samples, fates, key)
    return DriverCells(rows, values, strata, samples)


def _times(adata: AnnData, time_key: str, key: str) -> np.ndarray:
    if time_key not in adata.obs:
        raise KeyError(
            f"no sampling times in adata.obs[{time_key!r}] to correlate {key!r} within; columns "
            f"found: {list(adata.obs.columns)}. Give the sampling times that name, or pass "
            "time='pooled' to correlate over all cells, where genes that merely change with time "
            "are found too"
        )
    return read_times(adata, time_key)


def _check_number(rows: np.ndarray, strata: np.ndarray | None, key: str) -> None:
    needed = _FEWEST - 1 + (1 if strata is None else max(1, len(np.unique(strata))))
    if len(rows) < needed:
        raise ValueError(
            f"{len(rows)} cells have a value of {key!r} there; a correlation needs at least "
            f"{needed}. Fates end at the time that they are read at, and cells of that time are "
            "left out unless it is named in time=; choose earlier times, or read fates later"
        )


def _is_large(samples: np.ndarray, strata: np.ndarray | None, sample_key: str) -> np.ndarray:
    """Return which cells ``(n,)`` are of a sample with enough of them to correlate over."""
    table = pd.DataFrame({"sample": samples, "time": 0.0 if strata is None else strata})
    by_sample = table.groupby("sample")["time"]
    is_small = by_sample.size() - by_sample.nunique() < _FEWEST - 1
    small = is_small.index[is_small].tolist()
    if small:
        warn(
            f"{len(small)} samples of adata.obs[{sample_key!r}] have too few cells to correlate "
            f"over and are left out: {small[:_SHOWN]}. {_FEWEST} of one time are needed, and one "
            "more for each further time",
            DataWarning,
        )
    return ~np.isin(samples, small)


def _without_rounding(
    values: np.ndarray, strata: np.ndarray | None, samples: np.ndarray | None
) -> np.ndarray:
    """Return values that are constant in a stratum where they differed by rounding alone."""
    values = values.copy()
    for rows in _cells_by(strata, samples, len(values)):
        mine = values[rows]
        is_same = np.ptp(mine, axis=0) <= _ROUNDING * np.abs(mine).max(0)
        values[rows] = np.where(is_same, mine[:1], mine)
    return values


def _cells_by(strata: np.ndarray | None, samples: np.ndarray | None, n: int) -> list[np.ndarray]:
    labels = [one for one in (strata, samples) if one is not None]
    if not labels:
        return [np.arange(n)]
    table = pd.DataFrame(dict(enumerate(labels)))
    return list(table.groupby(list(table.columns)).indices.values())


def _warn_of_constant(
    values: np.ndarray,
    strata: np.ndarray | None,
    samples: np.ndarray | None,
    fates: Quantities,
    key: str,
) -> None:
    groups = _cells_by(strata, samples, len(values))
    is_same = np.all([np.ptp(values[rows], axis=0) == 0 for rows in groups], axis=0)
    if not is_same.any():
        return
    names = np.array(fates.names, dtype=object)[is_same].tolist()
    inside = [
        *(["sample"] if samples is not None else []),
        *(["time"] if strata is not None else []),
    ]
    where = f" of each {' and '.join(inside)}" if len(groups) > 1 else ""
    advice = ', or time="pooled" to let them go with time' if strata is not None else ""
    if samples is not None:
        advice += ", or compare samples by ct.tl.compare_conditions"
    warn(
        f"{names} of {key!r} are the same in all cells{where} ({len(values)} cells); nothing "
        f"correlates with them. Take more times{advice}",
        DataWarning,
    )
