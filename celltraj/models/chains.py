"""Chains of cells through all snapshots, drawn along the couplings, and the mass they carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from celltraj._typing import Earlier
from celltraj.models.growth.path_mass import NEIGHBOURS, Masses, departing
from celltraj.ot import SparseCoupling, Transport
from celltraj.ot.sampling import draw_partners
from celltraj.snapshots import Snapshots


@dataclass(frozen=True)
class Chains:
    """Hold ``n`` chains, each entered at a pair of one gap.

    Parameters
    ----------
    cells
        ``(T, n)`` index of a cell of each snapshot.
    gap
        ``(n,)`` index of the gap whose plan the pair was drawn from.
    sent, met
        ``(n,)`` logarithms of ``r`` of its earlier and of ``q`` of its later cell.
    """

    cells: Tensor
    gap: Tensor
    sent: Earlier
    met: Earlier

    def states(self, snapshots: Snapshots) -> Tensor:
        """Return the ``(T, n, d)`` states of the cells."""
        return torch.stack([x[i] for x, i in zip(snapshots.x, self.cells, strict=True)])


@dataclass(frozen=True)
class GapPlans:
    """Hold the sparse plan of every gap, and what its cells send and meet.

    Parameters
    ----------
    plans
        ``T - 1`` sparse plans ``(n_k, n_{k+1})``, each of total mass 1.
    weights
        ``T`` weights ``(n_k,)`` of the cells.
    masses
        What the cells send and meet.
    """

    plans: tuple[csr_array, ...]
    weights: tuple[np.ndarray, ...]
    masses: Masses

    @classmethod
    def of(
        cls, snapshots: Snapshots, plans: Sequence[csr_array], *, neighbours: int = NEIGHBOURS
    ) -> GapPlans:
        """Return the plans scaled to mass 1, and ratios averaged over ``neighbours`` cells."""
        couplings = [SparseCoupling(csr_array(plan / plan.sum())) for plan in plans]
        masses = Masses.of(snapshots, couplings, neighbours=neighbours)
        weights = tuple(w.numpy() for w in snapshots.weights)
        return cls(tuple(one.plan for one in couplings), weights, masses)

    @classmethod
    def along(
        cls, snapshots: Snapshots, couplings: Sequence[Transport], *, drop: float
    ) -> GapPlans:
        """Return the plans of couplings, each without a share ``drop`` of the mass of its rows.

        What cells send and meet is that of the couplings themselves.
        """
        plans = (csr_array(one.to_sparse(mass=drop)) for one in couplings)
        scaled = tuple(csr_array(plan / plan.sum()) for plan in plans)
        weights = tuple(w.numpy() for w in snapshots.weights)
        return cls(scaled, weights, Masses.of(snapshots, couplings))

    @cached_property
    def _onwards(self) -> tuple[csr_array, ...]:
        return tuple(_by_rows(plan) for plan in self.plans)

    @cached_property
    def _backwards(self) -> tuple[csr_array, ...]:
        return tuple(_by_rows(csr_array(plan.T)) for plan in self.plans)

    def draw(self, gap: Tensor, *, generator: torch.Generator) -> Chains:
        """Draw a chain for each entry of ``gap (n,)``.

        In its gap: the earlier cell by its weight, the later one given it by the plan; from there
        outwards along the plans of the other gaps, each cell given its neighbour.
        """
        cells = torch.empty(len(self.weights), len(gap), dtype=torch.long)
        sent, met = torch.zeros(2, len(gap), dtype=torch.float64)
        for k in range(len(self.plans)):
            here = (gap == k).nonzero().flatten()
            if not len(here):
                continue
            leaving = departing(self.weights[k], self.masses.sent[k])
            start = _systematic(leaving, len(here), generator)
            part = self._through(k, start, generator)
            cells[:, here] = torch.from_numpy(part)
            sent[here] = torch.from_numpy(self.masses.sent[k][part[k]])
            met[here] = torch.from_numpy(self.masses.met[k][part[k + 1]])
        return Chains(cells, gap, sent, met)

    def _through(self, k: int, start: np.ndarray, generator: torch.Generator) -> np.ndarray:
        """Return the ``(T, n)`` cells of chains through the cells ``start`` of snapshot ``k``."""
        rows = {k: start}

        def follow(plan: csr_array, cells: np.ndarray) -> np.ndarray:
            uniform = torch.rand(len(cells), dtype=torch.float64, generator=generator)
            return draw_partners(plan, cells, uniform.numpy())

        for m in range(k, len(self.plans)):
            rows[m + 1] = follow(self._onwards[m], rows[m])
        for m in range(k, 0, -1):
            rows[m - 1] = follow(self._backwards[m - 1], rows[m])
        return np.stack([rows[m] for m in range(len(self.weights))])

    def mass(self, chains: Chains, rows: Tensor, s: Earlier) -> Earlier:
        """Return the mass ``(m,)`` of the paths ``rows`` at shares ``s (m,)`` of their gaps."""
        gap, found = chains.gap[rows], torch.empty_like(s)
        for k in range(len(self.plans)):
            here = gap == k
            ends = chains.sent[rows[here]], chains.met[rows[here]]
            found[here] = self.masses.log_mass(k, *ends, s[here]).exp()
        return found


def _by_rows(plan: csr_array) -> csr_array:
    """Return the plan with rows of mass 1: shares of a tiny row would drown in a running sum."""
    mass = np.asarray(plan.sum(1)).ravel()
    scale = np.divide(1.0, mass, out=np.zeros_like(mass), where=mass > 0)
    rows = plan.copy()
    rows.data = rows.data * np.repeat(scale, np.diff(rows.indptr))
    return rows


def _systematic(weights: np.ndarray, n: int, generator: torch.Generator) -> np.ndarray:
    """Draw ``n`` cells in random order, each ``n w_i`` times to within one."""
    offset = float(torch.rand(1, dtype=torch.float64, generator=generator))
    cumulative = np.cumsum(weights)
    hits = np.searchsorted(
        cumulative, (np.arange(n) + offset) / n * cumulative[-1], side="right"
    ).clip(max=int(np.flatnonzero(weights)[-1]))
    drawn: np.ndarray = hits[torch.randperm(n, generator=generator).numpy()]
    return drawn
