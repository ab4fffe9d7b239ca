"""Read from obs which cells are of which population, and what was done to them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata.columns import check_adata, column_of
from celltraj._errors import DataWarning, some, warn
from celltraj.models import Condition
from celltraj.models.evaluation import Sample

_SHOWN = 5


@dataclass(frozen=True)
class ResponseKeys:
    """Name the columns of ``obs`` that say which population a cell is of and what was done to it.

    Parameters
    ----------
    population
        Column with the populations.
    conditions
        Columns with the drugs given together.
    controls
        Labels of untreated cells.
    doses
        Columns with the dose of each drug; empty where doses are not known.
    covariates
        Columns with covariates of the treated cells.
    cell_type
        Column with cell types; None where there is none.
    survival
        Column with counts or viabilities; None where there is none.

    Raises
    ------
    ValueError
        Another number of dose columns than of condition columns.
    """

    population: str
    conditions: tuple[str, ...]
    controls: tuple[str, ...]
    doses: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    cell_type: str | None = None
    survival: str | None = None

    def __post_init__(self) -> None:
        if self.doses and len(self.doses) != len(self.conditions):
            raise ValueError(
                f"dose_key names {list(self.doses)} and condition_key {list(self.conditions)}; "
                "each drug needs the column of its dose"
            )

    @classmethod
    def of(
        cls,
        population_key: str,
        condition_key: str | Sequence[str],
        control: str | Sequence[str],
        *,
        dose_key: str | Sequence[str] | None = None,
        covariate_keys: str | Sequence[str] = (),
        cell_type_key: str | None = None,
        survival_key: str | None = None,
    ) -> ResponseKeys:
        """Return the keys from what a user typed, where one column or label may stand alone."""
        return cls(
            population_key,
            _listed(condition_key),
            tuple(map(str, _listed(control))),
            () if dose_key is None else _listed(dose_key),
            _listed(covariate_keys),
            cell_type_key,
            survival_key,
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that must be there."""
        rest = [one for one in (self.cell_type, self.survival) if one is not None]
        return (self.population, *self.conditions, *self.doses, *self.covariates, *rest)


def _listed(value: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):  # such as the label 0
        return (value,)
    return tuple(value)


def read_samples(adata: AnnData, keys: ResponseKeys) -> list[Sample]:
    """Return the cells of every population under every condition, controls first.

    Raises
    ------
    TypeError
        ``adata`` is not an AnnData.
    KeyError
        A column does not exist, or no cell has the label of a control.
    ValueError
        No cells; a cell without population or condition, without a dose of its drug, with one drug
        twice, or a treated one without a covariate.
    """
    check_adata(adata)
    if adata.n_obs == 0:
        raise ValueError("adata has no cells")
    for key in keys.columns:
        column_of(adata, key)
    populations = adata.obs[keys.population].astype(object)
    if populations.isna().any():
        cell = adata.obs_names[populations.isna()][0]
        raise ValueError(f"cell {cell!r} has no population in obs[{keys.population!r}]; drop it")
    _check_told(adata, keys)
    drugs = _drugs(adata, keys)
    if not drugs.isna().all(axis=1).any():
        labels = sorted(set(drugs.to_numpy().ravel().tolist()) - {None})
        raise KeyError(
            f"no untreated cells: control={list(keys.controls)} is not among {labels[:10]} of "
            f"obs[{keys.conditions[0]!r}]"
        )
    _check_once(adata, keys, drugs)
    doses = _doses(adata, keys, drugs)
    _warn_of_dosed_controls(drugs, doses)
    covariates = _covariates(adata, keys, drugs)
    parts = [populations.astype(str), drugs, doses, covariates]
    table = pd.concat([part.reset_index(drop=True) for part in parts], axis=1)
    return _grouped(table, drugs.shape[1], doses.shape[1])


def never_treated(samples: Sequence[Sample]) -> list[str]:
    """Return the populations with untreated cells alone."""
    treated = {one.population for one in samples if one.condition is not None}
    return sorted({one.population for one in samples} - treated)


def warn_of_never_treated(samples: Sequence[Sample]) -> None:
    """Warn of populations that nothing is learned from."""
    if names := never_treated(samples):
        warn(
            f"{len(names)} populations have untreated cells only and are left out, since a "
            f"response is learned from cells before and after: {some(names, _SHOWN)}",
            DataWarning,
        )


def _check_told(adata: AnnData, keys: ResponseKeys) -> None:
    """Raise where cells name neither a drug nor the control: they may be either."""
    untold = adata.obs[list(keys.conditions)].isna().all(axis=1)
    if untold.any():
        columns = " and ".join(f"obs[{key!r}]" for key in keys.conditions)
        raise ValueError(
            f"{int(untold.sum())} cells have no condition in {columns} (first: "
            f"{adata.obs_names[untold][0]!r}); drop them, or label untreated ones as the control "
            f"({list(keys.controls)})"
        )


def _drugs(adata: AnnData, keys: ResponseKeys) -> pd.DataFrame:
    """Return the drugs of each cell as text, None where there is none."""
    drugs = adata.obs[list(keys.conditions)].astype(object)
    absent = drugs.isna() | drugs.astype(str).isin(keys.controls)
    return drugs.astype(str).astype(object).mask(absent, None)


def _check_once(adata: AnnData, keys: ResponseKeys, drugs: pd.DataFrame) -> None:
    for one, other in itertools.combinations(keys.conditions, 2):
        twice = drugs[one].notna() & (drugs[one] == drugs[other])
        if twice.any():
            raise ValueError(
                f"cell {adata.obs_names[twice][0]!r} has {drugs[one][twice].iloc[0]!r} both in "
                f"obs[{one!r}] and in obs[{other!r}]; leave one of them empty"
            )


def _doses(adata: AnnData, keys: ResponseKeys, drugs: pd.DataFrame) -> pd.DataFrame:
    if not keys.doses:
        return pd.DataFrame(index=adata.obs_names)
    # what stands beside a control may be a text
    doses = adata.obs[list(keys.doses)].apply(pd.to_numeric, errors="coerce").astype(float)
    for dose, drug in zip(keys.doses, keys.conditions, strict=True):
        bad = drugs[drug].notna() & ~((doses[dose] > 0) & np.isfinite(doses[dose]))
        if bad.any():
            raise ValueError(
                f"{int(bad.sum())} cells have a drug in obs[{drug!r}] and no positive dose in "
                f"obs[{dose!r}] (first: {adata.obs_names[bad][0]!r}, "
                f"{adata.obs[dose][bad].iloc[0]}); fill it in, or, where it is zero, name the "
                f"control ({list(keys.controls)}) as the drug"
            )
    return doses


def _warn_of_dosed_controls(drugs: pd.DataFrame, doses: pd.DataFrame) -> None:
    """Warn where what is named as the control was given at several doses, as drugs are."""
    is_control = drugs.isna().all(axis=1)
    values = np.unique(doses[is_control].to_numpy())
    given = values[values > 0]
    if len(given) > 1:
        warn(
            f"the control has several doses ({given[:_SHOWN].tolist()}), as a drug has; its cells "
            "are pooled as untreated. If it is a drug, pass the label of untreated cells as "
            "control=",
            DataWarning,
        )


def _covariates(adata: AnnData, keys: ResponseKeys, drugs: pd.DataFrame) -> pd.DataFrame:
    covariates = adata.obs[list(keys.covariates)].astype(object)
    is_treated = drugs.notna().any(axis=1)
    for key in keys.covariates:
        bad = is_treated & covariates[key].isna()
        if bad.any():
            raise ValueError(
                f"{int(bad.sum())} treated cells have no covariate obs[{key!r}] (first: "
                f"{adata.obs_names[bad][0]!r}); fill it in, or drop them"
            )
    return covariates


def _condition(
    drugs: tuple[Any, ...], doses: tuple[Any, ...], covariates: tuple[Any, ...]
) -> Condition | None:
    given = [k for k, drug in enumerate(drugs) if not pd.isna(drug)]
    if not given:
        return None
    order = sorted(given, key=lambda k: drugs[k])  # the same set in another order is the same
    return Condition(
        tuple(drugs[k] for k in order),
        tuple(float(doses[k]) for k in order) if doses else (),
        tuple(value if isinstance(value, str) else float(value) for value in covariates),
    )


def _grouped(table: pd.DataFrame, n_drugs: int, n_doses: int) -> list[Sample]:
    """Return the rows of each population and condition, controls first, in a fixed order.

    The columns of ``table`` are population, drugs, doses and covariates.
    """
    codes = table.set_axis(range(table.shape[1]), axis=1)
    kinds = codes.groupby(list(codes.columns), dropna=False, sort=False).indices
    found: dict[tuple[str, Condition | None], list[np.ndarray]] = {}
    for rows in kinds.values():
        population, *values = table.iloc[rows[0]].tolist()
        drugs, rest = values[:n_drugs], values[n_drugs:]
        condition = _condition(tuple(drugs), tuple(rest[:n_doses]), tuple(rest[n_doses:]))
        # the same drugs in other columns are the same condition
        found.setdefault((population, condition), []).append(rows)
    samples = [Sample(*key, np.sort(np.concatenate(rows))) for key, rows in found.items()]
    return sorted(
        samples,
        key=lambda one: (one.condition is not None, one.population, _order(one.condition)),
    )


def _order(condition: Condition | None) -> tuple[Any, ...]:
    if condition is None:
        return ()
    return (condition.name, tuple(map(str, condition.covariates)))
