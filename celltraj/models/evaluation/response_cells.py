"""The cells of a fold: what predictions start from, and what the training shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import torch

from celltraj.models.evaluation.response_baselines import Observed
from celltraj.models.evaluation.response_folds import ResponseFold
from celltraj.models.evaluation.response_scores import Labelled
from celltraj.models.evaluation.samples import Sample, control_rows
from celltraj.models.response.cell_identity import content_order
from celltraj.models.response.condition import Condition


@dataclass(frozen=True)
class FoldCells:
    """Hold the cells of a fold in the space it is judged in.

    Parameters
    ----------
    x
        ``(n_obs, d)`` states.
    codes
        ``(n_obs,)`` cell types, -1 without a label; None without types.
    held_out_type
        Code of the type that is held out; None where no type is.
    samples
        All cells by population and condition.
    fold
        What is held out.
    """

    x: np.ndarray
    codes: np.ndarray | None
    held_out_type: int | None
    samples: Sequence[Sample]
    fold: ResponseFold

    @classmethod
    def of(
        cls,
        x: np.ndarray,
        types: np.ndarray | None,
        samples: Sequence[Sample],
        fold: ResponseFold,
    ) -> FoldCells:
        """Return the cells of a fold, in an order that depends on what they hold alone.

        Parameters
        ----------
        x
            ``(n_obs, d)`` states as the fold sees them.
        types
            ``(n_obs,)`` types as text, None where a cell has none; None without types.
        samples
            All cells by population and condition.
        fold
            What is held out.
        """
        codes, held_out_type = None, None
        if types is not None:
            codes, names = pd.factorize(types, sort=True)
            held_out_type = None if fold.cell_type is None else names.tolist().index(fold.cell_type)
        # what is drawn by position shall not depend on the order that the file has
        rank = content_order(torch.from_numpy(x), _as_types(codes)).argsort().numpy()
        ordered, held = (_in_order(part, rank) for part in (samples, fold.held))
        return cls(x, codes, held_out_type, ordered, replace(fold, held=held))

    def before(self, population: str, *, in_training: bool) -> np.ndarray:
        """Return the untreated rows that predictions start from, or that shifts are taken from."""
        rows = control_rows(self.samples)[population]
        if self.codes is None or self.held_out_type is None:
            return rows
        # where a type is held out, it is what is predicted, and shifts are those of the others
        chosen: np.ndarray = rows[(self.codes[rows] != self.held_out_type) == in_training]
        return chosen

    def types(self, rows: np.ndarray) -> np.ndarray | None:
        """Return the codes of the types of these rows; None without types."""
        return None if self.codes is None else self.codes[rows]

    @cached_property
    def seen(self) -> list[Observed]:
        """What the training shows, by population and condition."""
        found = []
        for one in self.samples:
            after = one.rows[self.fold.kept[one.rows]]
            if one.condition is not None and len(after):
                before = self.before(one.population, in_training=True)
                states = self.x[before], self.x[after]
                types = self.types(before), self.types(after)
                found.append(Observed(one.population, one.condition, *states, *types))
        return found

    def labelled(
        self, condition: Condition, n_cells: int, rng: np.random.Generator
    ) -> Labelled | None:
        """Return treated cells of the training with their types, at best of this condition."""
        if self.codes is None or self.held_out_type is not None:
            return None
        usable = self.fold.kept & (self.codes >= 0)
        groups = [
            (one.condition, one.rows[usable[one.rows]])
            for one in self.samples
            if one.condition is not None
        ]
        same = [rows for what, rows in groups if what == condition and len(rows)]
        chosen = [draw(rows, n_cells, rng) for rows in same or [rows for _, rows in groups]]
        rows = np.concatenate(chosen)
        return Labelled(self.x[rows], self.codes[rows]) if len(rows) else None


def _as_types(codes: np.ndarray | None) -> torch.Tensor | None:
    return None if codes is None else torch.from_numpy(codes)


def _in_order(samples: Sequence[Sample], rank: np.ndarray) -> tuple[Sample, ...]:
    """Return the samples with their rows by rank."""
    return tuple(replace(one, rows=one.rows[rank[one.rows].argsort()]) for one in samples)


def draw(rows: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return at most ``n`` of the rows, in their order."""
    return rows[np.sort(rng.permutation(len(rows))[:n])]
