"""Cells of several populations, read from an AnnData, and where what is fitted to them goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from anndata import AnnData

from celltraj._anndata.groups import read_groups
from celltraj._anndata.read import read_rates, read_representation, variables_of
from celltraj._anndata.times import read_times
from celltraj._errors import DataWarning, warn
from celltraj.models import MeanFieldBridges, Representation
from celltraj.models.mean_field.courses import PopulationCourses
from celltraj.snapshots import Snapshots

_FEW_CELLS = 20  # of a population at a time, of whose density they tell next to nothing
_SHOWN = 10


@dataclass(frozen=True, eq=False)
class PopulationCells:
    """Hold the cells of several populations over time.

    Parameters
    ----------
    key
        Column of ``obs`` with the populations.
    use_rep
        Name of the representation that was read.
    variables
        Names of its ``d`` variables.
    x
        ``(n, d)`` states.
    times
        ``(n,)`` sampling times.
    names
        ``(n,)`` populations.
    growth
        ``(n,)`` growth that is expected of each cell; None where none is.
    """

    key: str
    use_rep: str
    variables: tuple[str, ...]
    x: np.ndarray
    times: np.ndarray
    names: np.ndarray
    growth: np.ndarray | None

    @classmethod
    def of(
        cls,
        adata: AnnData,
        *,
        population_key: str,
        time_key: str,
        use_rep: str | None,
        growth_key: str | None = None,
    ) -> PopulationCells:
        """Return the cells, once columns and states are known to be in order.

        Raises
        ------
        KeyError
            A column or representation does not exist.
        ValueError
            A cell has no population, or states, times or rates cannot be used.
        """
        groups = read_groups(adata, population_key)
        if groups.isna().any():
            cell = adata.obs_names[groups.isna()][0]
            raise ValueError(
                f"{int(groups.isna().sum())} cells have no population in "
                f"adata.obs[{population_key!r}] (first: {cell!r}); fill it in, or drop them with "
                f"adata[adata.obs[{population_key!r}].notna()].copy()"
            )
        times = read_times(adata, time_key)
        names = groups.astype(str).to_numpy(dtype=object)
        growth = None if growth_key is None else read_rates(adata, growth_key)
        use_rep, x = read_representation(adata, use_rep)
        variables = variables_of(adata, use_rep)
        return cls(population_key, use_rep, variables, x, times, names, growth)

    def courses(self) -> PopulationCourses:
        """Return the snapshots of every population.

        Raises
        ------
        ValueError
            A population was seen at one time or there are fewer than three, there are fewer than
            three cells of one at a time, or gaps are too short beside others.
        """
        by_name = {name: self._times_of(name) for name in sorted(set(self.names.tolist()))}
        self._check(by_name)
        return PopulationCourses({name: self._snapshots(name, t) for name, t in by_name.items()})

    def _check(self, by_name: dict[str, list[float]]) -> None:
        once = [name for name, times in by_name.items() if len(times) == 1]
        if once:
            raise ValueError(
                f"populations {once[:_SHOWN]}{_more(once)} in adata.obs[{self.key!r}] were seen at "
                "one time, and a mean-field law is learned from those that were seen twice or "
                "more. Drop them, and ask fitted.of(their cells, start=, stop=) how they move"
            )
        counts = {
            (name, t): int(self._at(name, t).sum()) for name in by_name for t in by_name[name]
        }
        if min(counts.values()) < 3:
            (name, t), n = min(counts.items(), key=lambda one: one[1])
            raise ValueError(
                f"population {name!r} has {n} cells at {t:g}; what is around a cell takes three "
                "or more. Drop or merge it"
            )
        few = [f"{n} of {name!r} at {t:g}" for (name, t), n in counts.items() if n < _FEW_CELLS]
        if few:
            warn(
                f"fewer than {_FEW_CELLS} cells of a population at a time: "
                f"{', '.join(few[:_SHOWN])}{_more(few)}; how dense they lie is mostly noise",
                DataWarning,
            )

    def _snapshots(self, name: str, times: Sequence[float]) -> Snapshots:
        rows = [self._at(name, t) for t in times]
        x = tuple(torch.from_numpy(self.x[here]) for here in rows)
        rates = self.growth
        growth = () if rates is None else tuple(torch.from_numpy(rates[here]) for here in rows)
        snapshots = Snapshots(tuple(times), x, growth=growth)
        snapshots.check_gaps()
        return snapshots

    def represented(self, fitted: MeanFieldBridges) -> dict[str, Representation]:
        """Return what the cells of each bridge tell of their representation."""
        return {
            name: Representation.of(self.use_rep, self.variables, one.snapshots)
            for name, one in fitted.items()
        }

    def velocity(self, fitted: MeanFieldBridges) -> np.ndarray:
        """Return the mean velocity ``(n, d)`` of every cell at its time, float32, in [x]/[t]."""
        velocity = np.empty(self.x.shape, dtype=np.float32)
        for name, bridge in fitted.items():
            for t in self._times_of(name):
                here = self._at(name, t)
                velocity[here] = bridge.velocity(t, torch.from_numpy(self.x[here])).numpy()
        return velocity

    def _times_of(self, name: str) -> list[float]:
        found: list[float] = np.unique(self.times[self.names == name]).tolist()
        return found

    def _at(self, name: str, time: float) -> np.ndarray:
        found: np.ndarray = (self.names == name) & (self.times == time)
        return found


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
