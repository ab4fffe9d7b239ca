"""Entropy production over the snapshots of a time course, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from celltraj.models.process import Process, span_of
from celltraj.models.thermodynamics.entropy_production import (
    EntropyProduction,
    bracket,
    entropy_production,
    least_rate,
)


@dataclass(frozen=True, eq=False)
class Produced:
    """Hold the entropy production of each snapshot that a law tells it of.

    Parameters
    ----------
    times
        ``(T,)`` times that the law tells, in the user's unit.
    rows
        ``T`` arrays of row numbers.
    found
        ``T`` rates.
    least
        ``(T,)`` mean rate that any law needs to the next snapshot; NaN after the last.
    """

    times: tuple[float, ...]
    rows: tuple[np.ndarray, ...]
    found: tuple[EntropyProduction, ...]
    least: tuple[float, ...]

    @property
    def of_cells(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of all cells, and the rate of each."""
        rates = [one.by_variable.sum(1).numpy() for one in self.found]
        return np.concatenate(self.rows), np.concatenate(rates)

    def by_time(self) -> pd.DataFrame:
        """Return one row for each time."""
        kept = ("lower", "plug_in", "middle", "medium", "system", "p_stationary")
        table = [
            {"time": t, "n_cells": len(rows)}
            | {name: getattr(one, name) for name in kept}
            | {"low": one.interval[0], "high": one.interval[1], "least": least}
            for t, rows, one, least in zip(
                self.times, self.rows, self.found, self.least, strict=True
            )
        ]
        return pd.DataFrame(table)

    def by_variable(self, names: Sequence[str]) -> pd.DataFrame:
        """Return the part of each variable in the plug-in rate of each time."""
        parts = [one.by_variable.mean(0).numpy() for one in self.found]
        return _long(self.times, "variable", names, parts)

    def by_gene(self, loadings: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
        """Return the part of each gene, which orthonormal ``(g, d)`` loadings pass on in full.

        Raises
        ------
        ValueError
            Variables have noise of their own, so that parts would not add up.
        """
        parts = []
        for one in self.found:
            if not torch.allclose(one.noise, one.noise[:1].expand_as(one.noise), rtol=1e-5):
                raise ValueError("genes need a noise that is the same for all components")
            moved = one.velocity @ torch.from_numpy(loadings).to(one.velocity).T
            parts.append((moved.square().mean(0) / one.noise[0]).numpy())
        return _long(self.times, "gene", names, parts)

    def by_group(
        self, codes: np.ndarray, names: Sequence[str], confidence: float, seed: int
    ) -> pd.DataFrame:
        """Return the plug-in rate of each group of cells, -1 for none, with its interval."""
        table = []
        for t, rows, one in zip(self.times, self.rows, self.found, strict=True):
            rate = one.by_variable.sum(1)
            for k in np.unique(codes[rows][codes[rows] >= 0]):
                part = rate[torch.from_numpy(codes[rows] == k)]
                generator = torch.Generator().manual_seed(seed)
                low, high = bracket(part, part, confidence, generator)
                ends = {"rate": float(part.mean()), "low": low, "high": high}
                table.append({"time": t, "group": names[k], "n_cells": len(part)} | ends)
        return pd.DataFrame(table)


def produced(
    process: Process,
    x: np.ndarray,
    times: np.ndarray,
    *,
    confidence: float,
    seed: int,
    progress: bool = False,
) -> Produced:
    """Return the entropy production of a law at the cells of each time.

    A law that was fitted between two times knows no drift at the last of them, which is left out.

    Raises
    ------
    ValueError
        No cells at a time that the law tells, or see
        :func:`celltraj.models.thermodynamics.entropy_production.entropy_production`.
    """
    span, unique = span_of(process), np.unique(times)
    known = [t for t in unique if span is None or span[0] <= t < span[1]]
    if not known:
        raise ValueError(
            f"no cells at a time that the {type(process).__name__} tells: it was fitted to "
            f"{span}, and cells are at {unique.tolist()}"
        )
    rows, found, least = [], [], []
    for t in tqdm(known, desc="entropy production", unit="time", disable=not progress):
        here = np.flatnonzero(times == t)
        cells = torch.from_numpy(x[here].astype(float))
        generator = torch.Generator().manual_seed(seed)
        one = entropy_production(
            process, float(t), cells, confidence=confidence, generator=generator
        )
        later = unique[unique > t]
        rows.append(here)
        found.append(one)
        if len(later):
            after = torch.from_numpy(x[times == later[0]].astype(float))
            least.append(least_rate(cells, after, one.noise, float(later[0] - t)))
        else:
            least.append(float("nan"))
    return Produced(tuple(map(float, known)), tuple(rows), tuple(found), tuple(least))


def _long(
    times: Sequence[float], name: str, names: Sequence[str], parts: Sequence[np.ndarray]
) -> pd.DataFrame:
    """Return a row for each time and name."""
    index = pd.MultiIndex.from_product([times, list(names)], names=["time", name])
    return pd.DataFrame({"rate": np.concatenate(parts)}, index=index).reset_index()
