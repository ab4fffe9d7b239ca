r"""Chains of cells through all snapshots, drawn along the couplings, and the mass they carry.

A plan with relaxed marginals sends ``r_i = sum_j P_ij / a_i`` of what a cell of the earlier
snapshot holds, and brings ``1 / q_j = sum_i P_ij / b_j`` of what a later one does. Along a path
from ``i`` to ``j`` the mass

    m(s) = r_i^phi(s) q_j^psi(s) / Z(s),  phi(s) = 1 - (1 - s)^p,  psi(s) = s^p,

with ``s`` the share of the gap that is gone, begins as the one snapshot, ends as the other, and is
the plan's in between. Growth belongs to a state and not to a cell: ``r`` and ``q`` are means over a
few neighbours, without which the scatter of single cells would add up from gap to gap. ``p = 1`` is
growth at a constant rate (Schiebinger et al. 2019); with ``p = 3`` most of it happens within a
third of the gap of the snapshot that asks for it: which cells have descendants is settled where
they are seen. ``Z`` keeps the total at 1, so that rates are relative to the mean of the population:

    d log m / dt = [p (1 - s)^(p-1) log r_i + p s^(p-1) log q_j - d log Z / ds] / (t1 - t0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from scipy.sparse import csr_array
from torch import Tensor

from celltraj._snapshots import Snapshots
from celltraj._typing import Earlier
from celltraj.models.interpolants import gap_of

EARLY = 3.0  # p: of 1, 2, 3, 4 the best or next to it on the held-out snapshots of eight data sets
_NODES = 33  # of s at which Z is computed
_MOST = 5.0  # of |log r| and |log q|: a cell that sends 1/150 of its share or less counts as that
NEIGHBOURS = 3
_ROWS = 1000  # cells whose distances to all others are held at once
_STEADY = 1e-2  # logarithm of a ratio of masses below which a plan counts as balanced


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
class Growth:
    """Turn what paths through a state send and meet into a rate of growth.

    Parameters
    ----------
    times
        ``(T,)`` sampling times, in the user's unit.
    drift
        ``(T - 1, K)`` derivative of ``log Z`` at equally spaced shares of each gap.
    bounds
        ``(T - 1, 2, 2)`` least and greatest ``log r``, and ``log q``, of each gap. A mean lies
        between them; a network need not.
    """

    times: Tensor
    drift: Tensor
    bounds: Tensor

    def rate(self, t: float, sent: Earlier, met: Earlier) -> Earlier:
        """Return the rate ``(n,)``, in 1/[t], from mean ``log r`` and ``log q`` at one time."""
        k = int(gap_of(self.times, torch.tensor(t, dtype=self.times.dtype)))
        length = float(self.times[k + 1] - self.times[k])
        s = min(max((t - float(self.times[k])) / length, 0.0), 1.0)
        node = min(int(s * (_NODES - 1)), _NODES - 2)
        share = s * (_NODES - 1) - node
        drift = torch.lerp(self.drift[k, node], self.drift[k, node + 1], share)
        sent, met = (
            v.clamp(*bounds) for v, bounds in zip((sent, met), self.bounds[k].tolist(), strict=True)
        )
        rate = EARLY * ((1 - s) ** (EARLY - 1) * sent + s ** (EARLY - 1) * met)
        return (rate - drift.to(rate.dtype)) / length


@dataclass(frozen=True)
class GapPlans:
    """Hold the sparse plan of every gap, and what its cells send and meet.

    Parameters
    ----------
    plans
        ``T - 1`` sparse plans ``(n_k, n_{k+1})``, each of total mass 1.
    weights
        ``T`` weights ``(n_k,)`` of the cells.
    times
        ``(T,)`` sampling times, in the user's unit.
    sent
        ``T - 1`` logarithms ``(n_k,)`` of ``r``; minus infinity for a cell that sends nothing, 0
        for one without weight.
    met
        ``T - 1`` logarithms ``(n_{k+1},)`` of ``q``.
    """

    plans: tuple[csr_array, ...]
    weights: tuple[np.ndarray, ...]
    times: tuple[float, ...]
    sent: tuple[np.ndarray, ...]
    met: tuple[np.ndarray, ...]

    @classmethod
    def of(
        cls, snapshots: Snapshots, plans: Sequence[csr_array], *, neighbours: int = NEIGHBOURS
    ) -> GapPlans:
        """Return the plans scaled to mass 1, and ratios averaged over ``neighbours`` cells."""
        scaled = tuple(csr_array(plan / plan.sum()) for plan in plans)
        weights = tuple(w.numpy() for w in snapshots.weights)
        near = [_nearest(x, neighbours) for x in snapshots.x]
        sent, met = [], []
        for k, plan in enumerate(scaled):
            sent.append(_log_ratio(np.asarray(plan.sum(1)).ravel(), weights[k], near[k]))
            met.append(-_log_ratio(np.asarray(plan.sum(0)).ravel(), weights[k + 1], near[k + 1]))
        return cls(scaled, weights, snapshots.times, tuple(sent), tuple(met))

    @cached_property
    def _onwards(self) -> tuple[csr_array, ...]:
        return tuple(_by_rows(plan) for plan in self.plans)

    @cached_property
    def _backwards(self) -> tuple[csr_array, ...]:
        return tuple(_by_rows(csr_array(plan.T)) for plan in self.plans)

    @property
    def is_growing(self) -> bool:
        """Whether any plan misses the weights of its snapshots."""
        ratios = (*self.sent, *self.met)
        return any(np.abs(ratio[np.isfinite(ratio)]).max(initial=0) > _STEADY for ratio in ratios)

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
            start = _systematic(self._departing(k), len(here), generator)
            part = self._through(k, start, generator)
            cells[:, here] = torch.from_numpy(part)
            sent[here] = torch.from_numpy(self.sent[k][part[k]])
            met[here] = torch.from_numpy(self.met[k][part[k + 1]])
        return Chains(cells, gap, sent, met)

    def _departing(self, k: int) -> np.ndarray:
        """Return the weights of the cells of snapshot ``k`` that send anything."""
        return np.where(np.isfinite(self.sent[k]), self.weights[k], 0.0)

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
        gap, before, after = chains.gap[rows], 1 - (1 - s) ** EARLY, s**EARLY
        log_mass = before * chains.sent[rows] + after * chains.met[rows]
        for k, curve in enumerate(self._totals):
            here = gap == k
            log_mass[here] -= torch.from_numpy(curve(s[here].numpy()))
        return log_mass.exp()

    def growth(self) -> Growth | None:
        """Return how mass grows along paths; None where it does not."""
        if not self.is_growing:
            return None
        at = np.linspace(0, 1, _NODES)
        drift = torch.from_numpy(np.stack([curve(at, 1) for curve in self._totals]))
        bounds = torch.tensor(
            [[_range(r), _range(q)] for r, q in zip(self.sent, self.met, strict=True)]
        )
        return Growth(torch.tensor(self.times, dtype=torch.float64), drift, bounds)

    @cached_property
    def _totals(self) -> tuple[CubicSpline, ...]:
        """Return ``log Z`` of every gap as a function of ``s``."""
        nodes = np.linspace(0, 1, _NODES)
        curves = []
        for k, onwards in enumerate(self._onwards):
            start = self._departing(k) / self._departing(k).sum()
            # cells that send or meet nothing have no entry in the plan
            sent, met = (np.where(np.isfinite(v), v, 0.0) for v in (self.sent[k], self.met[k]))
            values = []
            for s in nodes:
                earlier = start * np.exp(sent * (1 - (1 - s) ** EARLY))
                values.append(np.log(earlier @ (onwards @ np.exp(met * s**EARLY))))
            curves.append(CubicSpline(nodes, np.array(values)))
        return tuple(curves)


def _by_rows(plan: csr_array) -> csr_array:
    """Return the plan with rows of mass 1: shares of a tiny row would drown in a running sum."""
    mass = np.asarray(plan.sum(1)).ravel()
    scale = np.divide(1.0, mass, out=np.zeros_like(mass), where=mass > 0)
    rows = plan.copy()
    rows.data = rows.data * np.repeat(scale, np.diff(rows.indptr))
    return rows


def _log_ratio(mass: np.ndarray, weights: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Return the logarithm of mass over weight, each summed over the cells ``near (n, k)``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(mass[near].sum(1)) - np.log(weights[near].sum(1))
    bounded = np.where(mass > 0, np.clip(ratio, -_MOST, _MOST), -np.inf)
    return np.where(weights > 0, bounded, 0.0)


def _nearest(x: Tensor, k: int) -> np.ndarray:
    """Return the ``(n, k)`` nearest cells of each, itself first; all where there are fewer."""
    k = min(k, len(x))
    parts = [torch.cdist(rows, x).topk(k, largest=False).indices for rows in x.split(_ROWS)]
    return torch.cat(parts).numpy()


def _range(log_ratios: np.ndarray) -> tuple[float, float]:
    finite = log_ratios[np.isfinite(log_ratios)]
    return float(finite.min()), float(finite.max())


def _systematic(weights: np.ndarray, n: int, generator: torch.Generator) -> np.ndarray:
    """Draw ``n`` cells in random order, each ``n w_i`` times to within one."""
    offset = float(torch.rand(1, dtype=torch.float64, generator=generator))
    cumulative = np.cumsum(weights)
    hits = np.searchsorted(
        cumulative, (np.arange(n) + offset) / n * cumulative[-1], side="right"
    ).clip(max=int(np.flatnonzero(weights)[-1]))
    return hits[torch.randperm(n, generator=generator).numpy()]


def draw_partners(plan: csr_array, rows: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Return the column of each row at which its share ``uniform`` of the row's mass is passed.

    Uniform shares draw a column with the probabilities of that row of the plan.
    """
    first, last = plan.indptr[rows], plan.indptr[rows + 1] - 1
    mass = np.concatenate([[0.0], np.cumsum(plan.data)])
    low, high = mass[first], mass[last + 1]
    drawn = np.searchsorted(mass, low + (high - low) * uniform, side="right") - 1
    # the cumulative sum rounds, so that a draw may fall on the border to the next row
    return plan.indices[np.clip(drawn, first, last)]
