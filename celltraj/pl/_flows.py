"""The mass that moves between groups of cells from time to time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata import column_of

_GAPS = 0.25  # of all mass, between the bars of a column together
_GAP = 0.04  # the most between two bars


@dataclass(frozen=True, eq=False)
class Flows:
    """Times ``(T,)`` and the ``(K, K)`` masses of the gaps between them, of sum 1 each."""

    times: list[float]
    masses: list[np.ndarray]

    def heights(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return what of each group ``(K,)`` arrives at a time, and what leaves."""
        arrives = self.masses[k - 1].sum(0) if k > 0 else self.masses[0].sum(1)
        leaves = self.masses[k].sum(1) if k < len(self.masses) else self.masses[-1].sum(0)
        return arrives, leaves

    def tops(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the upper ends ``(K,)`` of the bars of a time, left and right, about zero."""
        arrives, leaves = self.heights(k)
        is_there = (arrives > 0) | (leaves > 0)
        gap = self._gap()
        gaps = gap * (np.cumsum(is_there) - 1)
        start = (1 + gap * (is_there.sum() - 1)) / 2
        left, right = (start - gaps - np.cumsum(part) + part for part in (arrives, leaves))
        return left, right

    def limits(self) -> tuple[float, float]:
        """Return how far the highest column reaches, down and up."""
        most = max(
            int(((arrives > 0) | (leaves > 0)).sum())
            for arrives, leaves in map(self.heights, range(len(self.times)))
        )
        half = (1 + self._gap() * (most - 1)) / 2 + 0.005
        return -half, half

    def _gap(self) -> float:
        return min(_GAP, _GAPS / max(1, len(self.masses[0]) - 1))


def groups_in_order(adata: AnnData, groupby: str | None, table: pd.DataFrame) -> list[str]:
    """Return the groups in the order of the categories, or of the table."""
    found = list(dict.fromkeys([*table["source"], *table["target"]]))
    if groupby is None or groupby not in adata.obs:
        return found
    column = column_of(adata, groupby, what="groups")
    labels = [str(one) for one in column.astype("category").cat.categories]
    return [one for one in labels if one in found] + [one for one in found if one not in labels]


def read_flows(table: pd.DataFrame, names: Sequence[str]) -> Flows:
    """Return the masses of all gaps, once they are known to lead from each time to the next."""
    spans = table[["t0", "t1"]].drop_duplicates().sort_values("t0").to_numpy(dtype=float)
    if any(before[1] != after[0] for before, after in pairwise(spans)):
        raise ValueError(
            f"transitions {spans.tolist()} do not lead from each time to the next; run "
            "ct.tl.transitions(adata, groupby=...) without source= and target="
        )
    masses = []
    for first, last in spans:
        rows = table[(table["t0"] == first) & (table["t1"] == last)]
        wide = rows.pivot(index="source", columns="target", values="mass")
        mass = wide.reindex(index=names, columns=names).fillna(0.0).to_numpy(dtype=float)
        if not mass.sum() > 0:
            raise ValueError(
                f"no mass moves from time {first:g} to {last:g}; run "
                "ct.tl.transitions(adata, groupby=...) again"
            )
        masses.append(mass / mass.sum())
    return Flows([*spans[:, 0].tolist(), float(spans[-1, 1])], masses)
