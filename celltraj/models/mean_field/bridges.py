"""A fitted mean-field law, and the bridge of each population."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import pandas as pd

from celltraj._arrays import ArrayLike
from celltraj._card import card
from celltraj.models._card_facts import mean_field_facts
from celltraj.models._files import Content
from celltraj.models._saved import Saved, content_of, named
from celltraj.models.bridge.bridge import Bridge
from celltraj.models.references.mean_field import MeanField
from celltraj.models.references.mean_field_process import MeanFieldProcess

FAILS = 0.9  # of the squared velocities left, above which a law foretells next to nothing


@dataclass(frozen=True)
class SeenPopulation:
    """Say what is known of one population.

    Parameters
    ----------
    name
        The population.
    times
        ``(T,)`` sampling times, in the user's unit.
    n_cells
        Cells of each.
    unexplained
        Share of the squared velocities of its paths that the law of all others leaves.
    growth
        What the growth of its cells is, in words; empty where it is what was given.
    """

    name: str
    times: tuple[float, ...]
    n_cells: tuple[int, ...]
    unexplained: float
    growth: str = ""


@card(mean_field_facts)
@dataclass(frozen=True, eq=False)
class MeanFieldBridges(Saved, Mapping[str, Bridge]):
    """Populations whose cells influence each other, fitted: one mean-field law, a bridge of each.

    A mapping from the name of a population to its :class:`Bridge`. Beyond its last snapshot, for as
    long again as it was seen, a population moves on by the law, all of its cells together.

    Parameters
    ----------
    bridges
        Bridge of each population.
    own
        How much what is around a cell counts: 0 is one law whatever the population is.
    candidates
        Values of ``own`` that were tried, and the share of the squared velocities of a population
        that laws of all others leave.
    seen
        What is known of each population, in their order.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=60, seed=0)
    >>> adata.obs["dish"] = [f"dish {k % 3}" for k in range(adata.n_obs)]
    >>> fitted = ct.tl.fit_mean_field(
    ...     adata, population_key="dish", growth=None, training=None, progress=False
    ... )
    >>> list(fitted), fitted.law.is_fitted
    (['dish 0', 'dish 1', 'dish 2'], True)
    """

    bridges: dict[str, Bridge]
    own: float
    candidates: tuple[tuple[float, float], ...]
    seen: tuple[SeenPopulation, ...]

    def __getitem__(self, population: str) -> Bridge:
        """Return the bridge of a population."""
        if population not in self.bridges:
            raise KeyError(f"no population {population!r}; found {list(self)}")
        return self.bridges[population]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the populations."""
        return iter(one.name for one in self.seen)

    def __len__(self) -> int:
        """Return the number of populations."""
        return len(self.seen)

    @property
    def law(self) -> MeanField:
        """Law of motion of all populations."""
        process = cast("MeanFieldProcess", next(iter(self.bridges.values())).reference)
        return process.law

    def of(
        self, cells: ArrayLike, *, start: float, stop: float, n_steps: int = 50, seed: int = 0
    ) -> MeanFieldProcess:
        """Return how a population that was not seen moves, from its cells ``(n, d)`` at a time.

        All of its cells are moved together, see :meth:`celltraj.models.MeanFieldProcess.of`.

        Parameters
        ----------
        cells
            ``(n, d)`` cells in the space of the fit, in [x], such as ``new.obsm["X_pca"]``.
        start, stop
            First and last time, in the user's unit.
        n_steps
            Steps from one to the other.
        seed
            Seed of the noise, and of which cells stand for the population.
        """
        return MeanFieldProcess.of(
            self.law, cells, start=start, stop=stop, n_steps=n_steps, seed=seed
        )

    @property
    def dim(self) -> int:
        """Number of state variables d."""
        return next(iter(self.bridges.values())).dim

    @property
    def unexplained(self) -> float:
        """Share of the squared velocities of a population that the law of all others leaves."""
        return dict(self.candidates)[self.own]

    @property
    def in_words(self) -> str:
        """What was chosen, and what it is worth."""
        left = self.unexplained
        whole = f"{left:.2f} of the squared velocities of a population left out remain"
        if self.own == 0:
            return f"populations move by the same law whatever they are ({whole})"
        gained = 1 - left / dict(self.candidates)[0.0]
        return (
            f"what is around a cell explains {100 * gained:.0f} % of what a law of the state alone "
            f"misses of a population left out ({whole})"
        )

    @property
    def table(self) -> pd.DataFrame:
        """One row for each population and time: population, time, cells, unexplained, growth.

        ``unexplained`` is that of the whole population.
        """
        rows = [
            (one.name, t, n, one.unexplained, one.growth)
            for one in self.seen
            for t, n in zip(one.times, one.n_cells, strict=True)
        ]
        return pd.DataFrame(rows, columns=["population", "time", "cells", "unexplained", "growth"])

    def pack(self) -> Content:
        """Return law and bridges as facts and tensors."""
        facts: dict[str, Any] = {
            "own": self.own,
            "candidates": self.candidates,
            "seen": [asdict(one) for one in self.seen],
            "parts": {},
        }
        parts = {}
        for k, name in enumerate(self):
            content = self.bridges[name].pack()
            facts["parts"][name], parts[f"{k}"] = content.facts, content.tensors
        return content_of("mean field", facts, named(parts))
