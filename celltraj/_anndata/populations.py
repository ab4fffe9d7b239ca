"""Read populations under conditions from AnnData, one after the other."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy.sparse import issparse

from celltraj._anndata.read import find_representation
from celltraj._errors import DataWarning
from celltraj.models import Condition, Group, Populations, ResponseSource, Treated

_FEW_CELLS = 10


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
        covariate_keys: Sequence[str] = (),
        cell_type_key: str | None = None,
    ) -> ResponseKeys:
        """Return the keys from what a user typed, where one column or label may stand alone."""
        return cls(
            population_key,
            _listed(condition_key),
            _listed(control),
            () if dose_key is None else _listed(dose_key),
            tuple(covariate_keys),
            cell_type_key,
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that must be there."""
        types = () if self.cell_type is None else (self.cell_type,)
        return (self.population, *self.conditions, *self.doses, *self.covariates, *types)


def _listed(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


@dataclass(frozen=True)
class Sample:
    """Hold the rows of the cells of one population under one condition; None is the control."""

    population: str
    condition: Condition | None
    rows: np.ndarray


def read_samples(adata: AnnData, keys: ResponseKeys) -> list[Sample]:
    """Return the cells of every population under every condition, controls first.

    Raises
    ------
    TypeError
        ``adata`` is not an AnnData.
    KeyError
        A column does not exist, or no cell has the label of a control.
    ValueError
        A cell without population, or without a dose of its drug.
    """
    if not isinstance(adata, AnnData):
        raise TypeError(f"adata must be an AnnData; found {type(adata).__name__}")
    _check_columns(adata, keys)
    populations = adata.obs[keys.population].astype(object)
    if populations.isna().any():
        cell = adata.obs_names[populations.isna()][0]
        raise ValueError(f"cell {cell!r} has no population in obs[{keys.population!r}]; drop it")
    drugs = _drugs(adata, keys)
    if not drugs.isna().all(axis=1).any():
        labels = sorted(set(drugs.to_numpy().ravel().tolist()) - {None})
        raise KeyError(
            f"no untreated cells: control={list(keys.controls)} is not among {labels[:10]} of "
            f"obs[{keys.conditions[0]!r}]"
        )
    doses = _doses(adata, keys, drugs)
    covariates = adata.obs[list(keys.covariates)].astype(object)
    parts = [populations.astype(str), drugs, doses, covariates]
    table = pd.concat([part.reset_index(drop=True) for part in parts], axis=1)
    return _grouped(table, drugs.shape[1], doses.shape[1])


def _check_columns(adata: AnnData, keys: ResponseKeys) -> None:
    missing = [key for key in keys.columns if key not in adata.obs]
    if missing:
        raise KeyError(f"no adata.obs[{missing[0]!r}]; columns found: {list(adata.obs.columns)}")


def _drugs(adata: AnnData, keys: ResponseKeys) -> pd.DataFrame:
    """Return the drugs of each cell as text, None where there is none."""
    drugs = adata.obs[list(keys.conditions)].astype(object)
    absent = drugs.isna() | drugs.astype(str).isin(keys.controls)
    return drugs.astype(str).astype(object).mask(absent, None)


def _doses(adata: AnnData, keys: ResponseKeys, drugs: pd.DataFrame) -> pd.DataFrame:
    if not keys.doses:
        return pd.DataFrame(index=adata.obs_names)
    doses = adata.obs[list(keys.doses)].apply(pd.to_numeric)
    for dose, drug in zip(keys.doses, keys.conditions, strict=True):
        bad = drugs[drug].notna() & ~(doses[dose] > 0)
        if bad.any():
            raise ValueError(
                f"{int(bad.sum())} cells have a drug in obs[{drug!r}] and no positive dose in "
                f"obs[{dose!r}] (first: {adata.obs_names[bad][0]!r})"
            )
    return doses


def _condition(drugs: tuple, doses: tuple, covariates: tuple) -> Condition | None:
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


def _order(condition: Condition | None) -> tuple:
    if condition is None:
        return ()
    return (condition.name, tuple(map(str, condition.covariates)))


def read_rows(adata: AnnData, use_rep: str, rows: np.ndarray) -> np.ndarray:
    """Return the states ``(n, d)`` of some cells, float64; a backed file is read for these alone.

    Raises
    ------
    ValueError
        Values that are not finite numbers.
    """
    values = adata.X[rows] if use_rep == "X" else adata.obsm[use_rep][rows]
    dense = values.toarray() if issparse(values) else np.asarray(values)
    if dense.dtype.kind not in "fiu":
        raise ValueError(f"{use_rep} has dtype {dense.dtype}, and numbers are needed")
    bad = ~np.isfinite(dense.astype(np.float64)).all(1)
    if bad.any():
        raise ValueError(
            f"{int(bad.sum())} cells have NaN or infinite values in {use_rep} "
            f"(first: {adata.obs_names[rows][bad][0]!r}); drop or impute them"
        )
    return dense.astype(np.float64)


def read_populations(
    adata: AnnData, keys: ResponseKeys, use_rep: str | None
) -> tuple[Populations, ResponseSource]:
    """Return the populations, and what of ``adata`` was read.

    Raises
    ------
    KeyError
        A column, the representation or the control does not exist.
    ValueError
        A treated population without a control, or values that are not finite.
    """
    samples = read_samples(adata, keys)
    use_rep = find_representation(adata, use_rep)
    treated = [one for one in samples if one.condition is not None]
    controls = {one.population: one for one in samples if one.condition is None}
    if bare := sorted({one.population for one in treated} - set(controls)):
        raise ValueError(
            f"population {bare[0]!r} has treated cells and no control "
            f"({list(keys.controls)} in obs[{keys.conditions[0]!r}])"
            + (f", and so have {bare[1:]}" if bare[1:] else "")
            + "; add its untreated cells, or drop it"
        )
    names = sorted({one.population for one in treated})
    if not names:
        raise ValueError(f"every cell is a control ({list(keys.controls)}); add treated cells")
    codes = _type_codes(adata, keys.cell_type)

    def group(sample: Sample) -> Group:
        x = torch.from_numpy(read_rows(adata, use_rep, sample.rows))
        return Group(x, None if codes is None else torch.from_numpy(codes[sample.rows]))

    populations = Populations(
        tuple(names),
        tuple(group(controls[name]) for name in names),
        tuple(
            Treated(names.index(one.population), one.condition, group(one))
            for one in treated
            if one.condition is not None
        ),
    )
    _warn_of_few([*(controls[name] for name in names), *treated])
    cells = [*populations.controls, *(one.cells for one in populations.treated)]
    source = ResponseSource(
        use_rep,
        tuple(variables_of(adata, use_rep)),
        keys.population,
        keys.conditions,
        keys.controls,
        keys.doses,
        keys.covariates,
        keys.cell_type,
        min(float(one.x.min()) for one in cells),
        max(float(one.x.max()) for one in cells),
    )
    return populations, source


def variables_of(adata: AnnData, use_rep: str) -> list[str]:
    """Return the names of the variables of a representation."""
    if use_rep == "X":
        return [str(name) for name in adata.var_names]
    return [f"{use_rep}_{i}" for i in range(adata.obsm[use_rep].shape[1])]


def _type_codes(adata: AnnData, key: str | None) -> np.ndarray | None:
    """Return a code for the cell type of every cell; cells without one share a code."""
    if key is None:
        return None
    return pd.factorize(adata.obs[key].astype(object))[0].astype(np.int64)


def _warn_of_few(samples: Sequence[Sample]) -> None:
    few = {
        f"{one.population} ({'control' if one.condition is None else one.condition.name})": len(
            one.rows
        )
        for one in samples
        if len(one.rows) < _FEW_CELLS
    }
    if few:
        warnings.warn(
            f"fewer than {_FEW_CELLS} cells in {few}: what is learned from them is mostly noise; "
            "merge or drop these",
            DataWarning,
            stacklevel=4,
        )
