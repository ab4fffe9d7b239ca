"""Cells of a time course as a fit takes them, and where what it finds goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from anndata import AnnData

from celltraj._anndata.columns import opened
from celltraj._anndata.observed import Observed
from celltraj._anndata.read import read_observed, variables_of, warn_of_limits
from celltraj._anndata.results import Result
from celltraj._anndata.source import Source
from celltraj._anndata.write import warn_of_view
from celltraj._typing import Counts
from celltraj.models import Bridge, FlowMatching, Representation


@dataclass(frozen=True, eq=False)
class Course:
    """Hold the cells of a time course that a law of motion is fitted to.

    Parameters
    ----------
    adata
        What a user passed, and gets the result.
    cells
        The same with its columns in memory.
    time_key, growth_key, counts
        Columns of ``obs`` with times and expected growth, and what numbers of cells mean.
    observed
        Times and weights of all cells, and their states where they lie.
    """

    adata: AnnData
    cells: AnnData
    time_key: str
    growth_key: str | None
    counts: Counts
    observed: Observed

    @classmethod
    def of(
        cls,
        adata: AnnData,
        *,
        time_key: str,
        use_rep: str | None,
        growth_key: str | None,
        counts: Counts,
    ) -> Course:
        """Return the course that columns and a representation hold, no states read yet.

        Raises
        ------
        TypeError
            ``adata`` is not an AnnData.
        KeyError
            A named column or representation does not exist.
        ValueError
            Times, rates or counts cannot be used.
        """
        cells = opened(adata, time_key, growth_key, counts if isinstance(counts, str) else None)
        observed = read_observed(
            cells, time_key=time_key, use_rep=use_rep, growth_key=growth_key, counts=counts
        )
        return cls(adata, cells, time_key, growth_key, counts, observed)

    @property
    def use_rep(self) -> str:
        """The representation: ``"X"`` or a key of ``obsm``."""
        return self.observed.states.name

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """Names of the state variables."""
        return variables_of(self.cells, self.use_rep)

    @property
    def params(self) -> dict[str, Any]:
        """What a record says of how the cells were read."""
        return {
            "time_key": self.time_key,
            "use_rep": self.use_rep,
            "growth_key": self.growth_key,
            "counts": self.counts if isinstance(self.counts, str) else "given",
        }

    def surveyed(self, result: Result, key: str) -> Representation:
        """Return what all cells tell of their representation, once all is known to be in order.

        Raises
        ------
        ValueError
            The result could not be written, gaps are too short, or states are not finite numbers.
        """
        result.claim(self.cells, key)
        self.observed.rows.check_gaps()
        representation = self.observed.survey(self.variables)
        warn_of_limits(self.observed.rows)
        return representation

    def write(
        self, result: Result, key: str, record: Mapping[str, Any], model: Bridge | FlowMatching
    ) -> None:
        """Write the record of a fit, and the velocity that it gives every cell."""
        velocity = self.observed.velocity(model)
        source = Source.of(self.cells, self.time_key, self.use_rep)
        warn_of_view(self.adata)
        columns = {f"{key}_velocity": velocity}
        result.write(self.adata, key, record, columns, source=source)
