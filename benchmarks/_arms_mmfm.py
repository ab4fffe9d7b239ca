"""Rows of MMFM beside those of ``benchmarks.designs_arms``, judged by the same cells.

MMFM runs in a Python of its own, see ``benchmarks.peers_mmfm``. It is given, as an ``.npz`` file,
the training ``x`` ``(n, d)``, each component centred and in units of its standard deviation there,
with the ``time`` of each cell, from 0 to 1, and its ``condition``, the rank of its dose from 1 (its
network takes the whole part of a condition, and 0 for none); the ``cells`` ``(m, d)`` to push, all
of the training, with ``begin``, ``end`` and ``label`` of each; ``embedding``, ``interpolation``,
``batch`` and ``within`` of :class:`Settings`, and ``seed``. It answers with ``x`` ``(m, d)`` and
with ``cpu_s``, the CPU seconds of the training.

Each fit gives two rows: from the first cells of the condition, as its authors predict, and
``..., last`` from its last cells before, as all other models here. ``W1_trained`` is W1 to the
combinations that it was trained on, from the first cells: whether it is used right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import anndata as ad
import numpy as np
import pandas as pd

from benchmarks.response_strangers import Program
from celltraj.models.evaluation import Prediction, distances

MODULE = "benchmarks.peers_mmfm"
Pair = tuple[float, str]


@dataclass(frozen=True)
class Settings:
    """Say how MMFM is told conditions, draws curves and takes steps.

    Parameters
    ----------
    embedding
        ``"free"``: conditions are names, each with its own embedding, as in all that its authors
        publish; ``"value"``: numbers, in one linear embedding.
    interpolation
        ``"cubic"`` splines or ``"linear"`` pieces through the cells of a chain.
    batch
        Chains per step; 0 for all.
    within
        Whether curves are learned up to the last snapshot of their condition alone; its script
        takes them up to the end of all times.
    """

    embedding: str = "free"
    interpolation: str = "cubic"
    batch: int = 0
    within: bool = False


PUBLISHED: dict[str, Settings] = {"mmfm": Settings(), "mmfm (dose)": Settings(embedding="value")}
# what might have made it fail where no later snapshot is, chosen once that was seen
KINDER = {
    "mmfm (linear)": Settings(interpolation="linear"),
    "mmfm (within)": Settings(within=True),
    "mmfm (dose, within, batches)": Settings(embedding="value", batch=128, within=True),
}
ROWS = PUBLISHED | KINDER


class Push(NamedTuple):
    """Say which cells are pushed where, and what is measured there."""

    method: str
    metrics: Mapping[str, str]
    begin: float
    end: float
    condition: str


@dataclass(frozen=True)
class Course:
    """Hold all cells of a study, and which combinations are left out.

    Parameters
    ----------
    adata
        Cells with ``obs["condition"]``, ``obs["time"]`` and ``obs["dose"]``.
    left_out
        Combinations of time and condition.
    """

    adata: ad.AnnData
    left_out: tuple[Pair, ...]
    x: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", np.asarray(self.adata.X, dtype=float))

    def rows(self, time: float, condition: str) -> np.ndarray:
        """Return which cells are of this combination."""
        obs = self.adata.obs
        found: pd.Series = (obs["time"] == time) & (obs["condition"] == condition)
        return np.asarray(found, dtype=bool)

    @property
    def kept(self) -> np.ndarray:
        """Return which cells are for training."""
        found = np.ones(self.adata.n_obs, dtype=bool)
        for pair in self.left_out:
            found &= ~self.rows(*pair)
        return found

    def pushes(self, method: str) -> list[Push]:
        """Return all that MMFM is asked."""
        there = self.adata.obs[self.kept].groupby("condition", observed=True)["time"].unique()
        both = {"W1": "W1", "energy": "energy"}
        found = []
        for end, name in self.left_out:
            earlier = [t for t in there[name] if t < end]
            found.append(Push(method, both, min(earlier), end, name))
            found.append(Push(f"{method}, last", both, max(earlier), end, name))
        for name, times in there.items():
            first, *later = sorted(times)
            trained = {"W1": "W1_trained"}
            found += [Push(method, trained, first, t, str(name)) for t in later]
        return found

    def given(self, pushes: Sequence[Push]) -> dict[str, np.ndarray]:
        """Return what MMFM is told of the training and of the cells to push."""
        train, obs = self.x[self.kept], self.adata.obs
        centre, unit = train.mean(0), train.std(0)
        times = obs["time"].to_numpy(float)[self.kept]
        first, duration = times.min(), np.ptp(times)
        rank = np.unique(obs["dose"], return_inverse=True)[1] + 1
        cells = [self.rows(one.begin, one.condition) for one in pushes]
        sizes = [int(rows.sum()) for rows in cells]

        def clock(t: Sequence[float]) -> np.ndarray:
            return np.repeat((np.asarray(t) - first) / duration, sizes).round(9)

        return {
            "x": (train - centre) / unit,
            "time": ((times - first) / duration).round(9),
            "condition": rank[self.kept],
            "cells": (np.concatenate([self.x[rows] for rows in cells]) - centre) / unit,
            "begin": clock([one.begin for one in pushes]),
            "end": clock([one.end for one in pushes]),
            "label": np.concatenate([rank[rows] for rows in cells]),
        }

    def scores(self, pushes: Sequence[Push], found: np.ndarray) -> pd.DataFrame:
        """Return distances of the pushed cells, in the units of the training, from true ones."""
        train = self.x[self.kept]
        sizes = [int(self.rows(one.begin, one.condition).sum()) for one in pushes]
        parts = np.split(train.mean(0) + train.std(0) * found, np.cumsum(sizes)[:-1])
        records = []
        for one, x in zip(pushes, parts, strict=True):
            truth = self.x[self.rows(one.end, one.condition)]
            measured = distances(Prediction(x), truth, metrics=list(one.metrics))
            records += [
                (one.method, one.end, one.metrics[name], value, one.condition)
                for name, value in measured.items()
            ]
        columns = ["method", "held_out", "metric", "value", "condition"]
        return pd.DataFrame(records, columns=columns)


def mmfm_scores(
    python: str,
    adata: ad.AnnData,
    left_out: tuple[Pair, ...],
    seed: int,
    fits: Mapping[str, Settings] = PUBLISHED,
) -> pd.DataFrame:
    """Return the scores of MMFM, trained without these combinations."""
    course, parts = Course(adata, left_out), []
    for name, settings in fits.items():
        program, pushes = Program(python, MODULE), course.pushes(name)
        told = {key: np.asarray(value) for key, value in vars(settings).items()}
        found = program.ask({**course.given(pushes), **told, "seed": np.asarray(seed)})
        parts.append(course.scores(pushes, found).assign(fit_cpu_s=program.seconds[-1]))
    return pd.concat(parts, ignore_index=True).assign(seed=seed)
