"""Fit responses to one fold after the other, and measure what they say of what was left out."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, cast

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj._anndata import Sample, Untreated, read_representation
from celltraj._errors import DataWarning
from celltraj.models import Condition, MetaFlowMatching
from celltraj.models._cell_identity import content_order
from celltraj.models._response_baselines import (
    FLOOR,
    SHUFFLED,
    TRUTH,
    Prediction,
    Seen,
    trivial_responses,
)
from celltraj.models._response_scores import SIZE, Labelled, Trial
from celltraj.tl._predict_response import _covariates
from celltraj.tl._response_folds import Fold, control_rows

Fit = Callable[..., MetaFlowMatching]
Row = tuple[
    str, str, str, str, str, float
]  # left out, population, condition, method, metric, value


@dataclass(frozen=True)
class _Cells:
    """Hold the cells of a fold in the space it is judged in."""

    adata: AnnData
    x: np.ndarray  # (n_obs, d)
    codes: np.ndarray | None  # (n_obs,) cell types, -1 without a label
    left_out_type: int | None
    samples: Sequence[Sample]
    fold: Fold

    def before(self, population: str, *, in_training: bool) -> np.ndarray:
        """Return the untreated rows that predictions start from, or that shifts are taken from."""
        rows = control_rows(self.samples)[population]
        if self.codes is None or self.left_out_type is None:
            return rows
        # where a type was left out, it is what is predicted, and shifts are those of the others
        chosen: np.ndarray = rows[(self.codes[rows] != self.left_out_type) == in_training]
        return chosen

    def types(self, rows: np.ndarray) -> np.ndarray | None:
        return None if self.codes is None else self.codes[rows]

    @cached_property
    def seen(self) -> list[Seen]:
        """What the training shows, by population and condition."""
        found = []
        for one in self.samples:
            after = one.rows[self.fold.kept[one.rows]]
            if one.condition is not None and len(after):
                before = self.before(one.population, in_training=True)
                states, types = (
                    (self.x[before], self.x[after]),
                    (self.types(before), self.types(after)),
                )
                found.append(Seen(one.population, one.condition, *states, *types))
        return found

    def labelled(
        self, condition: Condition, n_cells: int, rng: np.random.Generator
    ) -> Labelled | None:
        """Return treated cells of the training with their types, at best of this condition."""
        if self.codes is None or self.left_out_type is not None:
            return None
        usable = self.fold.kept & (self.codes >= 0)
        groups = [
            (one.condition, one.rows[usable[one.rows]])
            for one in self.samples
            if one.condition is not None
        ]
        same = [rows for what, rows in groups if what == condition and len(rows)]
        chosen = [_draw(rows, n_cells, rng) for rows in same or [rows for _, rows in groups]]
        rows = np.concatenate(chosen)
        return Labelled(self.x[rows], self.codes[rows]) if len(rows) else None


class _Case(NamedTuple):
    """Name what is predicted, and from which rows."""

    population: str
    condition: Condition
    treated: np.ndarray
    chosen: np.ndarray  # untreated rows that are measured
    other: np.ndarray  # untreated rows of another population


@dataclass(frozen=True)
class Judge:
    """Score every row of the table, fold by fold.

    Parameters
    ----------
    adata
        All cells.
    samples
        The same by population and condition.
    types
        ``(n_obs,)`` cell type of each as text, None where it has none; None without types.
    fits
        What fits a response, by name.
    given
        Arguments that every fit gets.
    prepare
        What computes the representation; None where it is there.
    use_rep
        Representation, None for the default.
    n_cells
        Most cells on either side of a distance.
    seed
        Seed of everything random.
    """

    adata: AnnData
    samples: Sequence[Sample]
    types: np.ndarray | None
    fits: Mapping[str, Fit]
    given: Mapping[str, object]
    prepare: Callable[..., None] | None
    use_rep: str | None
    n_cells: int
    seed: int

    def rows(self, fold: Fold) -> list[Row]:
        """Fit without what the fold leaves out, predict that, and measure it."""
        adata = self._prepared(fold)
        use_rep, x = read_representation(adata, self.use_rep)
        models = {name: self._fitted(name, adata, use_rep, fold) for name in self.fits}
        codes, left_out_type = None, None
        if self.types is not None:
            codes, names = pd.factorize(self.types, sort=True)
            left_out_type = None if fold.cell_type is None else names.tolist().index(fold.cell_type)
        # what is drawn by position shall not depend on the order that the file has
        rank = content_order(torch.from_numpy(x), _as_types(codes)).argsort().numpy()
        samples, held = (_in_order(part, rank) for part in (self.samples, fold.held))
        fold = replace(fold, held=held)
        cells = _Cells(adata, x, codes, left_out_type, samples, fold)
        rows: list[Row] = []
        for sample in fold.held:
            with _named(f"raised by {sample.population!r} with {fold.left_out!r} left out"):
                rows += self._judged(cells, models, sample)
        return rows

    def _prepared(self, fold: Fold) -> AnnData:
        if self.prepare is None:
            return self.adata
        adata = _copy(self.adata)
        with _named(f"raised by prepare with {fold.left_out!r} left out"):
            returned = self.prepare(adata, fit_on=fold.kept.copy())
            if returned is not None:
                raise TypeError(
                    "prepare must change the AnnData it is given and return nothing; found "
                    f"{type(returned).__name__}"
                )
        return adata

    def _fitted(self, name: str, adata: AnnData, use_rep: str, fold: Fold) -> MetaFlowMatching:
        """Return a model of what is left; what is odd about all cells is not said again."""
        with _named(f"raised by {name!r} with {fold.left_out!r} left out"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DataWarning)
                model = self.fits[name](
                    _copy(adata[fold.kept]), use_rep=use_rep, seed=self.seed, **self.given
                )
            if not isinstance(model, MetaFlowMatching):
                raise TypeError(
                    "fit must return a response, as ct.tl.fit_response does; found "
                    f"{type(model).__name__}"
                )
        return model

    def _judged(
        self, cells: _Cells, models: Mapping[str, MetaFlowMatching], sample: Sample
    ) -> list[Row]:
        """Return all scores of one population under one condition."""
        population, condition = sample.population, cast("Condition", sample.condition)
        label = cells.fold.left_out, population, condition.name
        rng = np.random.default_rng([self.seed, zlib.crc32("\n".join(label).encode())])
        other = cells.fold.other_controls(cells.samples, population, rng)
        before = cells.before(population, in_training=False)
        chosen, after = (_draw(rows, self.n_cells, rng) for rows in (before, sample.rows))
        source, truth = cells.x[chosen], cells.x[after]
        trial = Trial(source, truth, cells.labelled(condition, self.n_cells, rng))
        predictions = trivial_responses(
            cells.seen,
            population,
            condition,
            source,
            truth,
            types=cells.types(chosen),
            n_cells=self.n_cells,
            rng=rng,
        )
        case = _Case(population, condition, sample.rows, chosen, other)
        for name, model in models.items():
            predictions |= self._responses(name, model, cells, case)
        scores = {FLOOR: trial.floor(seed=self.seed)}
        scores |= {name: trial.score(one) for name, one in predictions.items()}
        scores[TRUTH] = {SIZE: trial.size}
        return [
            (*label, method, metric, value)
            for method, values in scores.items()
            for metric, value in values.items()
        ]

    def _responses(
        self, name: str, model: MetaFlowMatching, cells: _Cells, case: _Case
    ) -> dict[str, Prediction]:
        """Return what a model predicts of the chosen cells, in their population and in another."""
        everyone = control_rows(cells.samples)[case.population]
        treated = Untreated(case.population, case.treated, torch.from_numpy(cells.x[case.treated]))
        covariates = _covariates(model, cells.adata, treated, {})
        condition = replace(case.condition, covariates=covariates)

        def respond(population: np.ndarray) -> Prediction:
            # as ct.tl.predict_response does
            response = model.respond(
                torch.from_numpy(cells.x[case.chosen]),
                condition,
                population=torch.from_numpy(cells.x[population]),
                generator=torch.Generator().manual_seed(self.seed),
            )
            survival = None if response.survival is None else response.survival.numpy()
            return Prediction(response.x.numpy(), survival)

        found = {name: respond(everyone)}
        if model.reads_population:
            found[name + SHUFFLED] = respond(case.other)
        return found


def _as_types(codes: np.ndarray | None) -> torch.Tensor | None:
    return None if codes is None else torch.from_numpy(codes)


def _in_order(samples: Sequence[Sample], rank: np.ndarray) -> tuple[Sample, ...]:
    """Return the samples with their rows by rank."""
    return tuple(replace(one, rows=one.rows[rank[one.rows].argsort()]) for one in samples)


def _draw(rows: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return at most ``n`` of the rows, in their order."""
    return rows[np.sort(rng.permutation(len(rows))[:n])]


def _copy(adata: AnnData) -> AnnData:
    return adata.to_memory() if adata.isbacked else adata.copy()


@contextmanager
def _named(note: str) -> Iterator[None]:
    """Say of an error where it arose."""
    try:
        yield
    except Exception as error:
        error.add_note(note)
        raise
