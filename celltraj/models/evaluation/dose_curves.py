"""Curves over doses of every population, and what populations have in common."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from celltraj._stats.hill import HillCurve, fit_hill
from celltraj._stats.interval import bootstrap_interval, resampled_counts, resampled_means

EVERYONE = "all populations"
DOSE_COLUMNS = ("population", "condition", "dose", "readout", "variable", "kind", "value")
CURVE = ("kind", "readout", "variable")
_NUMBERS = ("half_dose", "slope", "top", "area")
_LOGARITHMIC = ("half_dose", "slope")


class DoseCurve(NamedTuple):
    """The curve of one population.

    Parameters
    ----------
    population
        Its name.
    curve
        What was fitted; None where there is no effect at all.
    doses
        Least and greatest dose.
    """

    population: str
    curve: HillCurve | None
    doses: tuple[float, float]

    @property
    def numbers(self) -> dict[str, float]:
        """Half-maximal dose, slope, effect of any amount, and area; NaN without an effect."""
        one = self.curve
        if one is None:
            return {"half_dose": math.nan, "slope": math.nan, "top": math.nan, "area": 0.0}
        area = one.area(*self.doses)
        return {"half_dose": one.half_dose, "slope": one.slope, "top": one.top, "area": area}

    @property
    def is_extrapolated(self) -> bool:
        """Whether the half-maximal dose lies outside the doses."""
        low, high = self.doses
        return self.curve is not None and not low <= self.curve.half_dose <= high


def check_doses(table: pd.DataFrame) -> pd.DataFrame:
    """Return responses over doses as they are.

    Raises
    ------
    TypeError
        It is no DataFrame.
    ValueError
        It lacks a column, has no rows, or a population has no control at dose zero.
    """
    if not isinstance(table, pd.DataFrame):
        raise TypeError(
            f"responses must be the table of ct.tl.dose_response; found {type(table).__name__}"
        )
    if missing := [name for name in DOSE_COLUMNS if name not in table]:
        raise ValueError(
            f"responses lack the columns {missing}; make them with ct.tl.dose_response"
        )
    if table.empty:
        raise ValueError("responses have no rows")
    has_control = table.groupby([*CURVE, "population"])["dose"].min() == 0
    if not has_control.all():
        raise ValueError(
            f"responses lack the control of {has_control.index[~has_control][0]}, at dose 0"
        )
    return table


def curves_of(table: pd.DataFrame) -> Iterator[tuple[tuple[str, str, str], list[DoseCurve]]]:
    """Yield kind, readout and variable with the curves of all populations."""
    for name, rows in table.groupby(list(CURVE), sort=False):
        yield name, [_curve(who, own) for who, own in rows.groupby("population", sort=False)]


def _curve(population: str, rows: pd.DataFrame) -> DoseCurve:
    given = rows[rows["dose"] > 0]
    doses, values = given["dose"].to_numpy(float), given["value"].to_numpy(float)
    bottom = float(rows.loc[rows["dose"] == 0, "value"].mean())
    ends = float(doses.min(initial=math.inf)), float(doses.max(initial=0.0))
    return DoseCurve(population, fit_hill(doses, values, bottom=bottom), ends)


def dose_curves(table: pd.DataFrame, *, n_bootstrap: int, seed: int) -> pd.DataFrame:
    """Return one row for each curve, and one for all populations of a readout.

    Examples
    --------
    >>> import pandas as pd
    >>> from celltraj._stats.hill import HillCurve
    >>> from celltraj.models.evaluation import DOSE_COLUMNS, dose_curves
    >>> doses = [0.0, 0.1, 1.0, 10.0]
    >>> rows = [
    ...     ("a", "drug", dose, "size", "", "predicted", HillCurve(0, 1, 1, 1).at(dose))
    ...     for dose in doses
    ... ]
    >>> found = dose_curves(pd.DataFrame(rows, columns=DOSE_COLUMNS), n_bootstrap=10, seed=0)
    >>> found[["population", "half_dose"]].round(3).values.tolist()
    [['a', 1.0], ['all populations', 1.0]]
    """
    rows: list[dict[str, object]] = []
    for name, curves in curves_of(table):
        where = dict(zip(CURVE, name, strict=True))
        for one in curves:
            said = {"is_extrapolated": one.is_extrapolated, "n_curves": int(one.curve is not None)}
            rows.append({**where, "population": one.population, **_columns(one.numbers), **said})
        numbers = pd.DataFrame([one.numbers for one in curves])
        shared = _shared(numbers, n_bootstrap=n_bootstrap, seed=seed)
        said = {
            "is_extrapolated": any(one.is_extrapolated for one in curves),
            "n_curves": sum(one.curve is not None for one in curves),
        }
        rows.append({**where, "population": EVERYONE, **_columns(shared), **said})
    return pd.DataFrame(rows)


def _columns(values: dict[str, float]) -> dict[str, float]:
    """Return each number followed by the ends of its interval, NaN where there is none."""
    names = [key for one in _NUMBERS for key in (one, f"{one}_low", f"{one}_high")]
    return {name: values.get(name, math.nan) for name in names}


def _shared(numbers: pd.DataFrame, *, n_bootstrap: int, seed: int) -> dict[str, float]:
    """Return means over populations, geometric ones of doses and slopes, with intervals."""
    counts = resampled_counts(len(numbers), n_bootstrap, rng=np.random.default_rng(seed))
    found: dict[str, float] = {}
    for name in _NUMBERS:
        values = numbers[name].to_numpy(float)
        is_log = name in _LOGARITHMIC
        values = np.log(values) if is_log else values
        n = int(np.isfinite(values).sum())
        if n == 0:
            continue
        ends = bootstrap_interval(resampled_means(values, counts), n)
        mean, low, high = (
            math.exp(value) if is_log else value for value in (float(np.nanmean(values)), *ends)
        )
        found |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    return found
