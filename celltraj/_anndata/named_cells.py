"""Cells of several courses, read from an AnnData, and where what is fitted to them goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from anndata import AnnData

from celltraj._anndata.columns import check_written
from celltraj._anndata.counts_by_name import read_counts_by_name
from celltraj._anndata.groups import read_groups
from celltraj._anndata.read import read_rates, read_representation, variables_of
from celltraj._anndata.times import read_times
from celltraj._errors import DataWarning, warn
from celltraj._typing import CountsByName
from celltraj.models import Bridge, Process, Representation
from celltraj.models.arms.states import ArmStates
from celltraj.snapshots import Snapshots

SHOWN = 10  # names in a message


@dataclass(frozen=True, eq=False)
class NamedCells:
    """Hold the cells of several courses, such as conditions or populations.

    Parameters
    ----------
    noun
        What one course is, such as ``"condition"``.
    key
        Column of ``obs`` with the names of the courses.
    use_rep
        Name of the representation that was read.
    variables
        Names of its ``d`` variables.
    states
        States of all cells, with the name of the course and the time.
    growth
        ``(n,)`` growth that is expected of each cell; None where none is.
    weights
        ``(n,)`` number of cells that each cell stands for; None where all stand for as many.
    sizes
        Size of each course at each of its times, by name; where there is none it stays the same.
    """

    noun: str
    key: str
    use_rep: str
    variables: tuple[str, ...]
    states: ArmStates
    growth: np.ndarray | None
    weights: np.ndarray | None = None
    sizes: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        adata: AnnData,
        noun: str,
        key: str,
        *,
        time_key: str,
        use_rep: str | None,
        growth_key: str | None = None,
    ) -> NamedCells:
        """Return the cells, once columns and states are known to be in order.

        Raises
        ------
        KeyError
            A column or representation does not exist.
        ValueError
            A cell has no name of a course, or states, times or rates cannot be used.
        """
        groups = read_groups(adata, key)
        if groups.isna().any():
            cell = adata.obs_names[groups.isna()][0]
            raise ValueError(
                f"{int(groups.isna().sum())} cells have no {noun} in adata.obs[{key!r}] (first: "
                f"{cell!r}); fill it in, or drop them with "
                f"adata[adata.obs[{key!r}].notna()].copy()"
            )
        check_written(groups, f"adata.obs[{key!r}]", f"no {noun}")
        times = read_times(adata, time_key)
        names = groups.astype(str).to_numpy(dtype=object)
        growth = None if growth_key is None else read_rates(adata, growth_key)
        use_rep, x = read_representation(adata, use_rep)
        variables = variables_of(adata, use_rep)
        return cls(noun, key, use_rep, variables, ArmStates(x, times, names), growth)

    def counted(self, adata: AnnData, counts: CountsByName, *, time_key: str) -> NamedCells:
        """Return the cells with what their numbers mean in each course.

        Raises
        ------
        TypeError, ValueError
            Numbers of cells that cannot be used; the message names the course.
        """
        weights, sizes = read_counts_by_name(
            adata, counts, self.states, noun=self.noun, keys=(self.key, time_key)
        )
        return replace(self, weights=weights, sizes=sizes)

    def counts(self) -> dict[tuple[str, float], int]:
        """Return how many cells there are of each name and time."""
        return {
            (name, t): int(self.states.rows(name, t).sum())
            for name in self.states.conditions
            for t in self.states.times_of(name)
        }

    def seen_once(self) -> list[str]:
        """Return the names of what was seen at one time."""
        names = self.states.conditions
        return [name for name in names if len(self.states.times_of(name)) == 1]

    def warn_of_few(self, least: int, why: str) -> None:
        """Say where there are fewer than ``least`` cells, and what that does."""
        few = [f"{n} of {name!r} at {t:g}" for (name, t), n in self.counts().items() if n < least]
        if few:
            warn(
                f"fewer than {least} cells of a {self.noun} at a time: {', '.join(few[:SHOWN])}"
                f"{', ...' if len(few) > SHOWN else ''}; {why}",
                DataWarning,
            )

    def snapshots(self, name: str) -> Snapshots:
        """Return the snapshots of one course.

        Raises
        ------
        ValueError
            A gap is too short beside others.
        """
        times = self.states.times_of(name)
        rows = [self.states.rows(name, t) for t in times]
        x = tuple(torch.from_numpy(self.states.x[here]) for here in rows)
        weights, growth = (
            () if of is None else tuple(torch.from_numpy(of[here]) for here in rows)
            for of in (self.weights, self.growth)
        )
        snapshots = Snapshots(tuple(times), x, weights, growth, self.sizes.get(name, ()))
        snapshots.check_gaps()
        return snapshots

    def represented(self, bridges: Mapping[str, Bridge]) -> dict[str, Bridge]:
        """Return bridges with what their cells tell of the representation."""
        return {
            name: replace(
                one, representation=Representation.of(self.use_rep, self.variables, one.snapshots)
            )
            for name, one in bridges.items()
        }

    def velocity(self, models: Mapping[str, Process]) -> np.ndarray:
        """Return the mean velocity ``(n, d)`` of every cell at its time, float32, in [x]/[t]."""
        velocity = np.empty(self.states.x.shape, dtype=np.float32)
        for name in models:
            model = models[name]
            at = model.velocity if isinstance(model, Bridge) else model.drift
            for t in self.states.times_of(name):
                here = self.states.rows(name, t)
                velocity[here] = at(t, torch.from_numpy(self.states.x[here])).numpy()
        return velocity
