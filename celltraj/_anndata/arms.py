"""Cells of several conditions, read from an AnnData, and where what is fitted to them goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj._anndata.columns import column_of
from celltraj._anndata.groups import read_groups
from celltraj._anndata.read import read_rates, read_representation, variables_of
from celltraj._anndata.times import read_times
from celltraj._errors import DataWarning, FitWarning, warn
from celltraj.models import Arms, Bridge, Representation
from celltraj.models.arms.courses import ArmCourses
from celltraj.models.arms.states import ArmStates
from celltraj.models.response.condition import Value
from celltraj.snapshots import Snapshots

_FEW_CELLS = 10  # of a condition at a time
_SHOWN = 10


@dataclass(frozen=True, eq=False)
class ArmCells:
    """Hold the cells of a study with several conditions.

    Parameters
    ----------
    use_rep
        Name of the representation that was read.
    variables
        Names of its ``d`` variables.
    states
        States of all cells, with condition and time.
    growth
        ``(n,)`` growth that is expected of each cell; None where none is.
    covariates
        Value of each covariate by condition, by name.
    """

    use_rep: str
    variables: tuple[str, ...]
    states: ArmStates
    growth: np.ndarray | None
    covariates: dict[str, dict[str, Value]]

    @classmethod
    def of(
        cls,
        adata: AnnData,
        *,
        condition_key: str,
        time_key: str,
        use_rep: str | None,
        covariate_keys: Sequence[str] = (),
        growth_key: str | None = None,
    ) -> ArmCells:
        """Return the cells, once columns and states are known to be in order.

        Raises
        ------
        KeyError
            A column or representation does not exist.
        ValueError
            A cell has no condition, a covariate varies within one, or states, times or rates
            cannot be used.
        """
        groups = read_groups(adata, condition_key)
        if groups.isna().any():
            cell = adata.obs_names[groups.isna()][0]
            raise ValueError(
                f"{int(groups.isna().sum())} cells have no condition in "
                f"adata.obs[{condition_key!r}] (first: {cell!r}); fill it in, or drop them with "
                f"adata[adata.obs[{condition_key!r}].notna()].copy()"
            )
        times = read_times(adata, time_key)
        names = groups.astype(str).to_numpy(dtype=object)
        covariates = {key: _covariate(adata, key, names) for key in _listed(covariate_keys)}
        growth = None if growth_key is None else read_rates(adata, growth_key)
        use_rep, x = read_representation(adata, use_rep)
        variables = variables_of(adata, use_rep)
        return cls(use_rep, variables, ArmStates(x, times, names), growth, covariates)

    def courses(self) -> ArmCourses:
        """Return the snapshots of every condition.

        Raises
        ------
        ValueError
            Fewer than two conditions, none seen twice, or gaps too short beside others.
        """
        courses, once = {}, {}
        for name in self.states.conditions:
            times = self.states.times_of(name)
            if len(times) == 1:
                once[name] = times[0], torch.from_numpy(self.states.at(name, times[0]))
            else:
                courses[name] = self._snapshots(name, times)
        return ArmCourses(courses, once, self.covariates)

    def _snapshots(self, name: str, times: Sequence[float]) -> Snapshots:
        rows = [self.states.rows(name, t) for t in times]
        x = tuple(torch.from_numpy(self.states.x[here]) for here in rows)
        rates = self.growth
        growth = () if rates is None else tuple(torch.from_numpy(rates[here]) for here in rows)
        snapshots = Snapshots(tuple(times), x, growth=growth)
        snapshots.check_gaps()
        return snapshots

    def warn_of_limits(self) -> None:
        """Say which conditions and combinations tell little."""
        counts = (
            pd.Series(1, index=[self.states.names, self.states.times]).groupby(level=[0, 1]).sum()
        )
        few = [f"{n} of {name!r} at {t:g}" for (name, t), n in counts.items() if n < _FEW_CELLS]
        if few:
            warn(
                f"fewer than {_FEW_CELLS} cells of a condition at a time: {', '.join(few[:_SHOWN])}"
                f"{_more(few)}; what is said of them is mostly noise, drop or merge them",
                DataWarning,
            )
        per_condition = counts.groupby(level=0).size()
        once = per_condition.index[per_condition == 1].tolist()
        if once:
            warn(
                f"conditions {once[:_SHOWN]}{_more(once)} were seen at one time: nothing couples "
                "their cells, and what becomes of them is a forecast by the law that they share "
                "with others",
                FitWarning,
            )

    def represented(self, bridge: Bridge) -> Representation:
        """Return what the cells of a bridge tell of their representation."""
        return Representation.of(self.use_rep, self.variables, bridge.snapshots)

    def velocity(self, arms: Arms) -> np.ndarray:
        """Return the mean velocity ``(n, d)`` of every cell at its time, float32, in [x]/[t]."""
        velocity = np.empty(self.states.x.shape, dtype=np.float32)
        for name in arms:
            model = arms[name]
            at = model.velocity if isinstance(model, Bridge) else model.drift
            for t in self.states.times_of(name):
                here = self.states.rows(name, t)
                velocity[here] = at(t, torch.from_numpy(self.states.x[here])).numpy()
        return velocity


def _listed(keys: str | Sequence[str]) -> tuple[str, ...]:
    return (keys,) if isinstance(keys, str) else tuple(keys)


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""


def _covariate(adata: AnnData, key: str, names: np.ndarray) -> dict[str, Value]:
    """Return the value that a covariate has in each condition."""
    column = column_of(adata, key, what="covariates")
    if column.isna().any():
        raise ValueError(
            f"adata.obs[{key!r}] is missing for {int(column.isna().sum())} cells (first: "
            f"{adata.obs_names[column.isna()][0]!r}); fill it in, or drop them"
        )
    is_number = pd.api.types.is_numeric_dtype(column.dtype)
    is_number &= not pd.api.types.is_bool_dtype(column.dtype)
    values = column.astype(float if is_number else str).astype(object)
    by_condition = pd.Series(values.to_numpy(), index=names).groupby(level=0)
    varying = [name for name, n in by_condition.nunique().items() if n > 1]
    if varying:
        raise ValueError(
            f"adata.obs[{key!r}] varies within the conditions {varying[:_SHOWN]}; a covariate is "
            "one value for a condition, such as its dose"
        )
    return {str(name): value for name, value in by_condition.first().items()}
