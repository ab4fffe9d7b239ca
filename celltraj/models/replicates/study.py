"""A study with samples, and batches where it has some: tables of how far these are apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from celltraj._errors import listed
from celltraj._parallel import mapped
from celltraj.models.evaluation import TIME_METRICS, rng_of
from celltraj.models.replicates.apart import Apart, apart
from celltraj.models.replicates.design import CONFOUNDED, Design
from celltraj.models.replicates.spread import inflation, samples_p
from celltraj.models.replicates.words import shift_in_words, verdict_of

_FEWEST = 10  # cells of a sample or a batch at a time, for distances to mean anything
_PERMUTATIONS = 199

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Study:
    """Compare samples, batches and times of a study.

    Parameters
    ----------
    x
        ``(n, d)`` states.
    times
        ``(n,)`` sampling times.
    samples
        ``(n,)`` names of the samples.
    batches
        ``(n,)`` names of the batches; None where none are told.
    max_cells
        Most cells on each side of a distance.
    seed
        Seed of all draws.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.models.replicates.study import Study
    >>> x = np.random.default_rng(0).normal(size=(160, 1))
    >>> times, samples = np.repeat([0.0, 1.0], 80), np.tile(np.repeat(["a", "b"], 40), 2)
    >>> study = Study(x, times, samples, None, max_cells=50, seed=0)
    >>> tables = study.tables(progress=False)
    >>> tables["table"]["n_samples"].tolist(), tables["gaps"]["t1"].tolist()
    ([2, 2], [1.0])
    """

    x: np.ndarray
    times: np.ndarray
    samples: np.ndarray
    batches: np.ndarray | None
    max_cells: int
    seed: int

    @property
    def at(self) -> tuple[float, ...]:
        """The times, in order."""
        return tuple(np.unique(self.times).tolist())

    @cached_property
    def design(self) -> Design | None:
        """Which batch was seen at which time; None where none are told."""
        return None if self.batches is None else Design.of(self.batches.tolist(), self.times)

    def tables(self, *, progress: bool) -> dict[str, pd.DataFrame]:
        """Return the table of times, that of gaps, of notes, and with batches those of shifts."""
        jobs = [(kind, k) for k in range(len(self.at)) for kind in ("time", "gap", "shift")]
        jobs = [(kind, k) for kind, k in jobs if self._is_asked(kind, k)]
        tasks = ((kind, k) for kind, k in jobs)
        found = mapped(
            _compared,
            tasks,
            n_tasks=len(jobs),
            what=("samples", "comparison"),
            shared=(self,),
            progress=progress,
        )
        rows: dict[str, list[Row]] = {"time": [], "gap": [], "shift": []}
        for (kind, _), row in zip(jobs, found, strict=True):
            rows[kind].append(row)
        shifts = _beside_movement(rows["shift"], rows["gap"])
        tables = {"table": _frame(rows["time"]), "gaps": _frame(rows["gap"], self._gaps)}
        if self.batches is not None:
            tables |= {"shifts": _frame(shifts, SHIFTS), "batches": self._batches()}
        notes = pd.DataFrame(self.notes(shifts), columns=["about", "note"])
        return tables | {"notes": notes.rename(index=str)}

    def of_time(self, k: int) -> Row:
        """Return how far the samples of a time are apart."""
        parts = self._parts(self.samples, self.times == self.at[k])
        usable = [one for one in parts.values() if len(one) >= _FEWEST]
        row = {
            "time": self.at[k],
            "n_samples": len(parts),
            "n_cells": sum(map(len, parts.values())),
            "n_smallest": min(map(len, parts.values())),
        }
        found, p = None, math.nan
        if len(usable) > 1:
            found = apart(usable, max_cells=self.max_cells, rng=self._rng("samples", k))
            rng = self._rng("permutations", k)
            p = samples_p(usable, n_permutations=_PERMUTATIONS, rng=rng)
        row |= _distances(found, "{}_between") | {"inflation": inflation(usable), "p": p}
        return row | {"verdict": verdict_of(row, len(usable), fewest=_FEWEST)}

    def of_gap(self, k: int) -> Row:
        """Return how far cells move from one time to the next, within batches where these tell."""
        pair = [self.times == self.at[j] for j in (k, k + 1)]
        row: Row = {"t0": self.at[k], "t1": self.at[k + 1]}
        if self.design is not None:
            row |= {"told": self.design.told(k, k + 1)}
        shared = [] if self.design is None else self.design.shared(k, k + 1)
        scopes = [self.batches == name for name in shared] or [np.ones(len(self.x), dtype=bool)]
        found: list[Apart] = []
        for scope in scopes:
            parts = [self.x[here & scope] for here in pair]
            if min(map(len, parts)) >= _FEWEST:
                rng = self._rng("movement", k, len(found))
                found.append(apart(parts, max_cells=self.max_cells, rng=rng))
        return row | _distances(_mean(found), "{}") | {"excess": _mean_excess(found)}

    def of_shift(self, k: int) -> Row:
        """Return how far the batches of a time are apart, and samples of one batch."""
        here = self.times == self.at[k]
        parts = self._parts(self.batches, here)
        usable = [one for one in parts.values() if len(one) >= _FEWEST]
        found = None
        if len(usable) > 1:
            found = apart(usable, max_cells=self.max_cells, rng=self._rng("batches", k))
        own: list[Apart] = []
        for name in parts:
            inside = self._parts(self.samples, here & (self.batches == name))
            several = [one for one in inside.values() if len(one) >= _FEWEST]
            if len(several) > 1:
                rng = self._rng("inside", k, len(own))
                own.append(apart(several, max_cells=self.max_cells, rng=rng))
        row: Row = {"time": self.at[k], "n_batches": len(parts)}
        row |= _distances(found, "{}")
        return row | {
            "excess": math.nan if found is None else found.excess,
            "of_samples": _mean_excess(own),
        }

    def notes(self, shifts: Sequence[Row]) -> list[tuple[str, str]]:
        """Return in words what the samples and the batches are like."""
        found = [("samples", text) for text in self._notes_of_samples()]
        if self.design is None:
            return found
        found += [("batches", text) for text in self.design.sentences()]
        return found + [("batches", text) for row in shifts if (text := shift_in_words(row))]

    def _notes_of_samples(self) -> list[str]:
        obs = pd.DataFrame({"sample": self.samples, "time": self.times})
        counts = obs.groupby(["sample", "time"], sort=True).size()
        found = []
        few = [f"{name!r} at {t:g} ({n})" for (name, t), n in counts.items() if n < _FEWEST]
        if few:
            found.append(f"samples of fewer than {_FEWEST} cells, left out there: {listed(few)}")
        per_sample = counts.groupby(level=0).size()
        followed = [repr(name) for name in per_sample.index[per_sample > 1]]
        if followed:
            found.append(
                f"samples seen at several times: {listed(followed)}; ct.tl.couple_samples couples "
                "cells within them, and ct.tl.resample draws them with all their times"
            )
        if len(self.at) == 1:
            found.append(f"all cells are of time {self.at[0]:g}: there are no steps in time")
        if self.batches is not None:
            found += self._split_samples()
        return found

    @property
    def _gaps(self) -> tuple[str, ...]:
        """Names of the columns of gaps, where there are none too."""
        return ("t0", "t1", *(() if self.design is None else ("told",)), *GAPS)

    def _split_samples(self) -> list[str]:
        """Say which samples are in several batches, at one time or at times apart."""
        batches, found = pd.Series(self.batches), []
        at_once = batches.groupby([self.samples, self.times]).nunique().groupby(level=0).max()
        ever = batches.groupby(self.samples).nunique()
        once, apart_ = (
            [repr(n) for n in one]
            for one in (at_once.index[at_once > 1], ever.index[(ever > 1) & (at_once == 1)])
        )
        if once:
            found.append(
                f"samples in several batches at one time: {listed(once)}; their parts differ by "
                "the batch alone"
            )
        if apart_:
            found.append(
                f"samples whose times are in several batches: {listed(apart_)}; what changes in "
                "them holds the shift of batches as well"
            )
        return found

    def _batches(self) -> pd.DataFrame:
        obs = pd.DataFrame({"batch": self.batches, "time": self.times, "sample": self.samples})
        table = obs.groupby(["batch", "time"], sort=True)["sample"].agg(["size", "nunique"])
        table = table.set_axis(["n_cells", "n_samples"], axis=1).reset_index()
        return table.rename(index=str)

    def _parts(self, labels: np.ndarray | None, here: np.ndarray) -> dict[str, np.ndarray]:
        """Return the cells of each label among some."""
        if labels is None:
            return {}
        return {
            name: self.x[here & (labels == name)] for name in np.unique(labels[here].astype(str))
        }

    def _is_asked(self, kind: str, k: int) -> bool:
        if kind == "gap":
            return k + 1 < len(self.at)
        if kind == "shift":
            return self.design is not None and int((self.design.cells[:, k] > 0).sum()) > 1
        return True

    def _rng(self, *names: object) -> np.random.Generator:
        return rng_of(self.seed, *map(str, names))


GAPS = ("n_side", "W1", "W1_within", "energy", "energy_within", "excess")
SHIFTS = (
    *("time", "n_batches", "n_side", "W1", "W1_within", "energy", "energy_within"),
    *("excess", "of_samples", "movement", "ratio"),
)


def _compared(study: Study, kind: str, k: int) -> Row:
    # one door for what other processes are sent
    return {"time": study.of_time, "gap": study.of_gap, "shift": study.of_shift}[kind](k)


def _frame(rows: Sequence[Row], columns: Sequence[str] | None = None) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=columns).rename(index=str)


def _distances(found: Apart | None, name: str) -> Row:
    """Return columns of both distances and their floors; NaN where there are too few cells."""
    row: Row = {"n_side": 0 if found is None else found.n_cells}
    for metric in TIME_METRICS:
        row[name.format(metric)] = math.nan if found is None else found.between[metric]
        row[f"{metric}_within"] = math.nan if found is None else found.within[metric]
    return row


def _mean(found: Sequence[Apart]) -> Apart | None:
    """Return the mean of distances of several batches."""
    if not found:
        return None
    between, within = (
        {name: float(np.mean([one[name] for one in parts])) for name in TIME_METRICS}
        for parts in ([one.between for one in found], [one.within for one in found])
    )
    return Apart(min(one.n_cells for one in found), between, within)


def _mean_excess(found: Sequence[Apart]) -> float:
    return float(np.mean([one.excess for one in found])) if found else math.nan


def _beside_movement(shifts: Sequence[Row], gaps: Sequence[Row]) -> list[Row]:
    """Return shifts with how far cells move to the times beside, as far as batches tell that."""
    rows = []
    for row in shifts:
        beside = [
            gap["excess"]
            for gap in gaps
            if row["time"] in (gap["t0"], gap["t1"]) and gap.get("told") != CONFOUNDED
        ]
        known = [one for one in beside if math.isfinite(one)]
        movement = float(np.mean(known)) if known else math.nan
        ratio = row["excess"] / movement if movement > 0 else math.nan
        rows.append(row | {"movement": movement, "ratio": ratio})
    return rows
