"""What a report is about, once it is known to be whole."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj import __version__
from celltraj._anndata import read_snapshots, read_times, warn_of_limits
from celltraj._anndata.results import FATES, ROOT, SIMULATE, held_results, records_of
from celltraj._errors import DataWarning
from celltraj.models.evaluation import ScoreTable
from celltraj.pl._report.convergence import convergence_table, missed_in_words
from celltraj.pl._report.facts import TOLD, source_of

_FIT = "ct.tl.fit_bridge(adata)"
_STALE = "stale"


@dataclass(frozen=True, eq=False)
class Run:
    """Hold what was computed, and of which cells.

    Parameters
    ----------
    adata
        Observed cells with results.
    fits
        Records of the fits and couplings that are reported on.
    trajectories
        Simulated cells, if any.
    scores
        Held-out scores, if any.
    basis
        Representation to draw, None for the usual one.
    """

    adata: AnnData
    fits: Mapping[str, Mapping[str, Any]]
    trajectories: AnnData | None
    scores: ScoreTable | None
    basis: str | None

    @classmethod
    def of(
        cls,
        adata: AnnData,
        *,
        key: str | None,
        trajectories: AnnData | None,
        scores: pd.DataFrame | None,
        basis: str | None,
    ) -> Run:
        """Return what there is to tell.

        Raises
        ------
        KeyError
            There is no fit and there are no couplings, or none of that name.
        ValueError
            One of them is not whole.
        """
        table = None if scores is None else ScoreTable(scores)
        return cls(adata, _fits(adata, key), trajectories, table, basis)

    @cached_property
    def held(self) -> pd.DataFrame:
        """The table of all results."""
        return held_results(self.adata)

    @property
    def fresh(self) -> dict[str, Mapping[str, Any]]:
        """Records of results that are still true of the cells; of fits, those reported on."""
        stale = set(self.held["key"][self.held["state"] == _STALE])
        told = {one.kind for one in TOLD}
        return {
            str(key): record
            for key, record in records_of(self.adata).items()
            if key not in stale and (record.get("kind") not in told or key in self.fits)
        }

    @property
    def time_key(self) -> str | None:
        """The column of times, None where no fit names one that is there."""
        names = (source_of(record)[0] for record in self.fits.values())
        return next((name for name in names if name in self.adata.obs), None)

    @property
    def sampled(self) -> list[float]:
        """The sampling times."""
        key = self.time_key
        return [] if key is None else np.unique(read_times(self.adata, key)).tolist()

    @property
    def fates_key(self) -> str | None:
        """The fates that a cell is asked for, if any."""
        kinds = self.fresh.items()
        return next((key for key, one in kinds if one.get("kind") == FATES.kind), None)

    def doubts(self) -> Iterator[str]:
        """Yield what deserves a look, but for what comes up in drawing."""
        for one in self.held.itertuples():
            if one.state == _STALE:
                yield f"The result “{one.key}” of {one.call} is stale, and left out: {one.change}"
            elif one.state == "unknown":
                yield f"“{one.key}” in adata.uns[{ROOT!r}] is {one.change}"
        for key, record in self.fits.items():
            table = convergence_table(self.adata, key, record)
            if table is not None:
                yield from missed_in_words(key, table)
            if (made := record["version"]) != __version__:
                yield f"“{key}” was computed by celltraj {made}, this page by {__version__}"
        yield from _doubts_of_cells(self.adata, self.fresh)
        if self.trajectories is not None and _is_beyond(self.trajectories):
            yield "Some simulated times lie beyond those of the fit: they are a forecast"


def trajectories_of(adata: AnnData, given: AnnData | None) -> AnnData | None:
    """Return the simulated cells that were given, or ``adata`` where it is simulated itself."""
    return adata if given is None and SIMULATE.find(adata) is not None else given


def _fits(adata: AnnData, key: str | None) -> dict[str, Mapping[str, Any]]:
    records = records_of(adata)
    order = {one.kind: k for k, one in enumerate(TOLD)}
    found = {
        str(name): record
        for name, record in records.items()
        if isinstance(record, Mapping) and record.get("kind") in order
    }
    if not found:
        raise KeyError(
            f"adata holds no fit and no couplings to report on, only {sorted(records)} in "
            f"adata.uns[{ROOT!r}], as after a run that was interrupted; run {_FIT} first, or let "
            "the run go on with celltraj fit --resume"
        )
    if key is not None and key not in found:
        raise KeyError(f"no fit and no couplings {key!r} to report on; found {sorted(found)}")
    chosen = found if key is None else {key: found[key]}
    for name, record in chosen.items():
        _check_whole(name, record)
    return dict(sorted(chosen.items(), key=lambda item: order[item[1]["kind"]]))


def _check_whole(key: str, record: Mapping[str, Any]) -> None:
    result = next(one for one in TOLD if one.kind == record["kind"])
    needed = [one.name for one in result.fields if not one.is_optional]
    missing = [name for name in ("params", "version", *needed) if name not in record]
    if missing:
        raise ValueError(
            f"the {result.kind} {key!r} is not whole, it lacks {missing}, as after a run that was "
            f"interrupted or one of an older version; run {result.call} again"
        )


def _doubts_of_cells(adata: AnnData, records: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield what a fit says of the cells that it is given."""
    sources = {source_of(records[key]) for key in records if "time_points" in records[key]}
    for time_key, use_rep in sorted(one for one in sources if None not in one):
        with warnings.catch_warnings(record=True) as raised:
            warnings.simplefilter("always", DataWarning)
            snapshots, _ = read_snapshots(
                adata, time_key=time_key, use_rep=use_rep, growth_key=None, counts="proportions"
            )
            warn_of_limits(snapshots)
        yield from (str(one.message) for one in raised)


def _is_beyond(trajectories: AnnData) -> bool:
    return bool(np.any(trajectories.obs.get("extrapolated", False)))
