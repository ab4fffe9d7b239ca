r"""The mass of paths: how cells multiply and die between two snapshots, as their coupling says.

A plan with relaxed marginals sends ``r_i = sum_j P_ij / w_i`` of what a cell of the earlier
snapshot holds, and brings ``1 / q_j = sum_i P_ij / w_j`` of what a later one does. Along a path
from ``i`` to ``j`` the mass

    m(s) = r_i^phi(s) q_j^psi(s) / Z(s),  phi(s) = 1 - (1 - s)^p,  psi(s) = s^p,

with ``s`` the share of the gap that is gone, begins as the one snapshot, ends as the other, and is
the plan's in between. Growth belongs to a state and not to a cell: what a plan adds to the growth
that was expected is a mean over a few neighbours, without which the scatter of single cells would
add up from gap to gap. A plan that adds nothing keeps both marginals exactly. ``p = 1`` is
growth at a constant rate (Schiebinger et al. 2019); with ``p = 3`` most of it happens within a
third of the gap of the snapshot that asks for it: which cells have descendants is settled where
they are seen. ``Z`` keeps the total at 1; with ``N(t)`` the declared size of the population,

    d log m / dt = [p (1 - s)^(p-1) log r_i + p s^(p-1) log q_j - d log Z / ds
                    + log(N(t1) / N(t0))] / (t1 - t0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Earlier
from celltraj.models._card_facts import masses_facts
from celltraj.models.interpolants import gap_of
from celltraj.ot import Transport
from celltraj.ot.sampling import systematic
from celltraj.snapshots import Snapshots

EARLY = 3.0  # p: of 1, 2, 3, 4 the best or next to it on the held-out snapshots of eight data sets
NEIGHBOURS = 3
N_NODES = 33  # of s at which Z is computed
_MOST = 5.0  # of |log r| and |log q|: a cell that sends 1/150 of its share or less counts as that
_DRAWN = 4  # pairs drawn for each that is kept by its mass
_ROWS = 1000  # cells whose distances to all others are held at once
_SAME = 1e-9  # relative, of masses that a solver holds exactly
_STEADY = 1e-2  # logarithm of a ratio of masses below which a plan counts as balanced


@card()
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
    sizes
        ``(T - 1,)`` logarithm of how the size of the population changes over each gap.
    """

    times: Tensor
    drift: Tensor
    bounds: Tensor
    sizes: Tensor

    def rate(self, t: float, sent: Earlier, met: Earlier) -> Earlier:
        """Return the rate ``(n,)``, in 1/[t], from mean ``log r`` and ``log q`` at one time."""
        k = int(gap_of(self.times, torch.tensor(t, dtype=self.times.dtype)))
        length = float(self.times[k + 1] - self.times[k])
        s = min(max((t - float(self.times[k])) / length, 0.0), 1.0)
        node = min(int(s * (N_NODES - 1)), N_NODES - 2)
        share = s * (N_NODES - 1) - node
        drift = torch.lerp(self.drift[k, node], self.drift[k, node + 1], share)
        sent, met = (
            v.clamp(*bounds) for v, bounds in zip((sent, met), self.bounds[k].tolist(), strict=True)
        )
        rate = EARLY * ((1 - s) ** (EARLY - 1) * sent + s ** (EARLY - 1) * met)
        rates: Tensor = (rate + (self.sizes[k] - drift).to(rate)) / length
        return rates


@card(masses_facts)
@dataclass(frozen=True)
class Masses:
    """Hold what the cells of each gap send and meet.

    Parameters
    ----------
    times
        ``(T,)`` sampling times, in the user's unit.
    sent
        ``T - 1`` logarithms ``(n_k,)`` of ``r``; minus infinity for a cell that sends nothing, 0
        for one without weight.
    met
        ``T - 1`` logarithms ``(n_{k+1},)`` of ``q``.
    totals
        ``(T - 1, K)`` values of ``log Z`` at equally spaced shares of each gap.
    sizes
        ``(T - 1,)`` logarithm of how the size of the population changes over each gap.
    """

    times: tuple[float, ...]
    sent: tuple[np.ndarray, ...]
    met: tuple[np.ndarray, ...]
    totals: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(
        cls,
        snapshots: Snapshots,
        couplings: Sequence[Transport],
        *,
        neighbours: int = NEIGHBOURS,
    ) -> Masses:
        """Return the masses of plans, ratios averaged over ``neighbours`` cells."""
        weights = [w.numpy() for w in snapshots.weights]
        near = [_Near(x, neighbours) for x in snapshots.x]
        sent, met, totals = [], [], []
        for k, one in enumerate(couplings):
            row, column = (v.numpy() / float(v.sum()) for v in (one.row_mass, one.column_mass))
            expected = snapshots.expected(k).numpy()
            sent.append(_log_sent(row, expected, weights[k], near[k]))
            met.append(-_log_ratio(column, weights[k + 1], near[k + 1]))
            totals.append(_log_totals(one, departing(weights[k], sent[-1]), sent[-1], met[-1]))
        sizes = np.diff(np.log(snapshots.sizes))
        return cls(snapshots.times, tuple(sent), tuple(met), np.stack(totals), sizes)

    @property
    def is_growing(self) -> bool:
        """Whether any plan misses the weights of its snapshots, or the population changes."""
        ratios = (*self.sent, *self.met, self.sizes)
        return any(np.abs(ratio[np.isfinite(ratio)]).max(initial=0) > _STEADY for ratio in ratios)

    def log_mass(self, k: int, sent: Earlier, met: Earlier, s: Earlier) -> Earlier:
        """Return the logarithm ``(n,)`` of the mass of paths at shares ``s`` of gap ``k``."""
        total = torch.from_numpy(self.curves[k](s.numpy()))
        return (1 - (1 - s) ** EARLY) * sent + s**EARLY * met - total

    def growth(self) -> Growth | None:
        """Return how mass grows along paths; None where it does not."""
        return self.rate if self.is_growing else None

    @cached_property
    def rate(self) -> Growth:
        """Return how mass grows along paths."""
        at = np.linspace(0, 1, N_NODES)
        drift = torch.from_numpy(np.stack([curve(at, 1) for curve in self.curves]))
        bounds = torch.tensor(
            [[_range(r), _range(q)] for r, q in zip(self.sent, self.met, strict=True)]
        )
        times = torch.tensor(self.times, dtype=torch.float64)
        return Growth(times, drift, bounds, torch.from_numpy(self.sizes))

    @cached_property
    def curves(self) -> tuple[CubicSpline, ...]:
        """Return ``log Z`` of every gap as a function of ``s``."""
        nodes = np.linspace(0, 1, N_NODES)
        return tuple(CubicSpline(nodes, values) for values in self.totals)


def pairs_of(
    masses: Masses,
    one: Transport,
    weights: Earlier,
    place: tuple[int, float],
    n: int,
    *,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Draw ``n`` pairs of cells of a gap as the paths between them have mass.

    ``one`` is the plan of the gap, ``weights (n,)`` those of its earlier cells, ``place`` the
    number of the gap and the share of it that is gone.
    """
    k, s = place
    sent, met = (torch.from_numpy(v) for v in (masses.sent[k], masses.met[k]))
    rows = torch.where(torch.isfinite(sent), weights, 0.0)
    i, j = one.sample(_DRAWN * n, generator=generator, rows=rows)
    shares = torch.full((_DRAWN * n,), s, dtype=torch.float64)
    mass = masses.log_mass(k, sent[i], met[j], shares).exp()
    kept = systematic(mass, n, generator)
    return i[kept], j[kept]


def masses_of(snapshots: Snapshots, couplings: Sequence[Transport]) -> Masses | None:
    """Return the masses of couplings; None where none keeps off the weights of its snapshots."""
    weights = snapshots.weights
    is_still = len(set(snapshots.sizes)) == 1 and all(
        _is_steady(one.row_mass, weights[k]) and _is_steady(one.column_mass, weights[k + 1])
        for k, one in enumerate(couplings)
    )
    return None if is_still else Masses.of(snapshots, couplings)


def _is_steady(mass: Tensor, weights: Tensor) -> bool:
    return bool(((mass - weights).abs() <= _STEADY * weights).all())


def departing(weights: np.ndarray, sent: np.ndarray) -> np.ndarray:
    """Return the weights of the cells that send anything."""
    return np.where(np.isfinite(sent), weights, 0.0)


def _log_totals(one: Transport, start: np.ndarray, sent: np.ndarray, met: np.ndarray) -> np.ndarray:
    """Return ``log sum_ij start_i r_i^phi (P_ij / sum_j P_ij) q_j^psi`` at the nodes of ``s``."""
    nodes = np.linspace(0, 1, N_NODES)
    # cells that send or meet nothing have no entry in the plan
    sent, met = (np.where(np.isfinite(v), v, 0.0) for v in (sent, met))
    row = one.row_mass.numpy()
    later = one.pull(torch.from_numpy(np.exp(met[:, None] * nodes**EARLY))).numpy()
    later *= np.divide(1.0, row, out=np.zeros_like(row), where=row > 0)[:, None]
    earlier = (start / start.sum())[:, None] * np.exp(sent[:, None] * (1 - (1 - nodes) ** EARLY))
    log_mass: np.ndarray = np.log((earlier * later).sum(0))
    return log_mass


def _log_sent(
    row: np.ndarray, expected: np.ndarray, weights: np.ndarray, near: _Near
) -> np.ndarray:
    """Return ``log r``: what was expected of a cell as it is, what the plan adds as a mean.

    The growth that is expected belongs to a state already. Averaged once more it would miss the
    marginals, by a little in each gap and by much along a course.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        told = np.where(weights > 0, np.log(expected) - np.log(weights), 0.0)
    added = _log_ratio(row, expected, near)
    sent: np.ndarray = told + added
    return sent


def _log_ratio(mass: np.ndarray, weights: np.ndarray, near: _Near) -> np.ndarray:
    """Return the logarithm of mass over weight, each summed over the nearest cells."""
    if np.allclose(mass, weights, rtol=_SAME, atol=0):
        return np.zeros_like(mass)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(mass[near.cells].sum(1)) - np.log(weights[near.cells].sum(1))
    bounded = np.where(mass > 0, np.clip(ratio, -_MOST, _MOST), -np.inf)
    return np.where(weights > 0, bounded, 0.0)


@dataclass
class _Near:
    """Find the nearest cells of each, where a plan misses its marginals: it costs as a plan."""

    x: Tensor
    k: int

    @cached_property
    def cells(self) -> np.ndarray:
        """Return the ``(n, k)`` nearest cells of each, itself first; all where there are fewer."""
        k = min(self.k, len(self.x))
        parts = [
            torch.cdist(rows, self.x).topk(k, largest=False).indices for rows in self.x.split(_ROWS)
        ]
        return torch.cat(parts).numpy()


def _range(log_ratios: np.ndarray) -> tuple[float, float]:
    finite = log_ratios[np.isfinite(log_ratios)]
    return float(finite.min()), float(finite.max())
