r"""The drift of the empirical bridge from its potentials, without training.

    h_s(x) = sum_j exp(g_j / eps) p(y_j at t1 | x at s)
    k_s(x) = sum_i exp(f_i / eps) p(x at s | x_i at t0)
    b = b_ref + sigma^2 grad log h,  backwards b_ref - sigma^2 grad log k,  score = grad log h k

Where cells divide and die, terms are weighted by ``r_i^(phi(s) - 1)`` and ``q_j^psi(s)`` of
:mod:`celltraj.models.growth.path_mass`; drift and score keep their form, since ``h`` and ``k`` then
solve equations whose source terms are the growth.

Transitions are those of the Gaussian law of the reference: exact for an affine one, else
linearised afresh from every state. Pooladian & Niles-Weed, *Plug-in estimation of Schroedinger
bridges* (2024), eq. 10.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Cells, Earlier, Later, Targets
from celltraj.models.growth.path_mass import EARLY, Masses
from celltraj.models.references.family import Reference, is_smooth, sigma_of
from celltraj.models.references.gaussian_law import N_STEPS, Flow, gap_flow, gaussian_problem
from celltraj.models.references.paths import apply
from celltraj.ot import Coupling
from celltraj.snapshots import Snapshots

_SMOOTH = 4  # steps of a gap along a smooth law
_TOUCHING = 1e-9  # share of a gap within which a state is at the snapshot
# share of a gap that is kept from its ends: the first time after 0 is 5e-324, and its noise 0
_KEPT_AWAY = 1e-15


def _no_density(t: float, what: str) -> str:
    return (
        f"the empirical bridge has no density at the snapshot {t:g}: its {what}; "
        "train a network there: training=ct.models.Training()"
    )


@card()
@dataclass(frozen=True)
class PlugInField:
    """Evaluate drift and score of the empirical bridge from its potentials."""

    snapshots: Snapshots
    reference: Reference
    couplings: tuple[Coupling, ...]
    cell_masses: Masses | None = None
    losses = ()  # nothing is trained

    def drift(self, t: float, x: Cells) -> Cells:
        """Return ``b_ref + sigma^2 grad log h``, ``(n, d)``, in [x]/[t]."""
        return self._tilted(t, x, self._forward_tilt(t, x.double()))

    def drift_and_masses(self, t: float, x: Cells) -> tuple[Cells, tuple[Earlier, Earlier]]:
        """Return :meth:`drift` and :meth:`masses`; the paths to the end of a gap serve both."""
        if not self._is_inside(t):
            return self.drift(t, x), self.masses(t, x)
        k, state = self.snapshots.gap_of(t), x.double()
        flow, (ends, met) = self._later(t, state, self.snapshots.x[k + 1], self._met(k)[:, None])
        drift = self._tilted(t, x, _pull(flow, ends))
        return drift, (self._mean_sent(t, state).to(x.dtype), met[:, 0].to(x.dtype))

    def backward_drift(self, t: float, x: Cells) -> Cells:
        """Return ``b_ref - sigma^2 grad log k``, ``(n, d)``, in [x]/[t]."""
        return self._tilted(t, x, -self._backward_tilt(t, x.double()))

    def score(self, t: float, x: Cells) -> Cells:
        """Return ``grad log h k``, ``(n, d)``, in 1/[x], at a time strictly inside a gap."""
        state = x.double()
        return (self._forward_tilt(t, state) + self._backward_tilt(t, state)).to(x.dtype)

    def masses(self, t: float, x: Cells) -> tuple[Earlier, Earlier]:
        """Return the mean logarithms ``(n,)`` of what paths through ``x`` send and meet.

        At a snapshot the nearest cell of it stands for the paths through ``x``.
        """
        state = x.double()
        return self._mean_sent(t, state).to(x.dtype), self._mean_met(t, state).to(x.dtype)

    def _mean_sent(self, t: float, x: Cells) -> Earlier:
        k = self.snapshots.gap_of(t)
        sent = _finite(torch.from_numpy(self._known.sent[k]))
        if (t - self.snapshots.times[k]) / self.snapshots.gaps[k] > _TOUCHING:
            return self._earlier(t, x, sent[:, None])[1][:, 0]
        return sent[_nearest(x, self.snapshots.x[k])]

    def _mean_met(self, t: float, x: Cells) -> Earlier:
        k = self.snapshots.gap_of(t)
        met = self._met(k)
        if self._is_inside(t):
            return self._later(t, x, met[:, None])[1][0][:, 0]
        return met[_nearest(x, self.snapshots.x[k + 1])]

    def _met(self, k: int) -> Later:
        return _finite(torch.from_numpy(self._known.met[k]))

    def _is_inside(self, t: float) -> bool:
        """Whether there is a way left to the end of the gap."""
        k = self.snapshots.gap_of(t)
        return (t - self.snapshots.times[k]) / self.snapshots.gaps[k] < 1 - _TOUCHING

    @property
    def _known(self) -> Masses:
        if self.cell_masses is None:
            raise ValueError("the couplings of this bridge keep the mass of every cell")
        return self.cell_masses

    def _log_h(self, k: int, s: float) -> Earlier:
        """Return the logarithm of the weight of each later cell, without its transition."""
        log_h = self.couplings[k].g / self.couplings[k].epsilon
        if self.cell_masses is None:
            return log_h
        log_mass: Tensor = log_h + _finite(torch.from_numpy(self.cell_masses.met[k])) * s**EARLY
        return log_mass

    def _log_k(self, k: int, s: float) -> Earlier:
        """Return the logarithm of the weight of each earlier cell, without its transition."""
        coupling = self.couplings[k]
        log_k = coupling.f / coupling.epsilon
        if self.cell_masses is None:
            return log_k
        sent = torch.from_numpy(self.cell_masses.sent[k])
        leaving = self.snapshots.weights[k].log() - coupling.row_mass.log()
        gained = leaving + _finite(sent) * (1 - (1 - s) ** EARLY)
        return torch.where(
            torch.isfinite(sent) & (coupling.row_mass > 0), log_k + gained, -torch.inf
        )

    @property
    def _n_nodes(self) -> int:
        """Return the steps of a gap: a smooth law needs few."""
        return _SMOOTH if is_smooth(self.reference) else N_STEPS

    def _tilted(self, t: float, x: Cells, tilt: Cells) -> Cells:
        return self.reference.drift(t, x) + (sigma_of(self.reference) ** 2 * tilt).to(x.dtype)

    def _forward_tilt(self, t: float, x: Cells) -> Cells:
        """Return ``grad log h = Phi' Sigma^-1 (E[end | x] - m)``."""
        k = self.snapshots.gap_of(t)
        if t >= self.snapshots.times[k + 1]:
            raise ValueError(_no_density(t, "forward drift ends with the gap"))
        flow, (ends,) = self._later(t, x, self.snapshots.x[k + 1])
        return _pull(flow, ends)

    def _later(self, t: float, x: Cells, *values: Tensor) -> tuple[Flow, list[Tensor]]:
        """Return the law from ``x`` to the end of the gap, and means of ``values`` of its cells."""
        k = self.snapshots.gap_of(t)
        end = self.snapshots.times[k + 1]
        gap = self.snapshots.gaps[k]
        t = min(t, end - _KEPT_AWAY * gap)
        left = (end - t) / gap
        flow = gap_flow(self.reference, x, t, end, left, n_nodes=self._n_nodes)
        cost, epsilon = flow.problem(self.snapshots.x[k + 1])
        log_h = self._log_h(k, 1 - left)
        means = []
        for _, block in cost.blocks():
            shares = torch.softmax(log_h - block / epsilon, 1)
            means.append([shares @ value for value in values])
        return flow, [torch.cat(mean) for mean in zip(*means, strict=True)]

    def _backward_tilt(self, t: float, x: Cells) -> Cells:
        """Return ``grad log k = sum_i w_i Sigma_i^-1 (m_i - x)``."""
        if t <= self.snapshots.times[self.snapshots.gap_of(t)]:
            raise ValueError(_no_density(t, "backward drift begins after the snapshot"))
        flow, means = self._earlier(t, x, None)
        precision = torch.linalg.inv(flow.covariance[-1])
        d = x.shape[1]
        force = means[:, :d]
        if len(precision) == 1:
            pull: Tensor = force - x @ precision[0]
            return pull
        stiffness = means[:, d:].reshape(len(x), d, d)
        return force - (stiffness @ x[..., None])[..., 0]

    def _earlier(self, t: float, x: Cells, values: Tensor | None) -> tuple[Flow, Tensor]:
        """Return the law from the cells before to ``t``, and means of their ``values`` given ``x``.

        By default of precision times mean, and of the precision where it differs from cell to cell:
        what the backward drift is made of.
        """
        k = self.snapshots.gap_of(t)
        start = self.snapshots.times[k]
        gap = self.snapshots.gaps[k]
        t = max(t, start + _KEPT_AWAY * gap)
        share = (t - start) / gap
        cells, n_nodes = self.snapshots.x[k], self._n_nodes
        flow = gap_flow(self.reference, cells, start, t, share, n_nodes=n_nodes)
        cost, epsilon = gaussian_problem(flow.mean[-1], flow.covariance[-1], x)
        if values is None:
            precision = torch.linalg.inv(flow.covariance[-1])
            pulled = apply(precision, torch.arange(len(flow.mean[-1])), flow.mean[-1])
            flat = [precision.flatten(1)] if len(precision) > 1 else []
            values = torch.cat([pulled, *flat], 1)
        log_k = self._log_k(k, share)
        totals = _Averages(len(x), values)
        for rows, block in cost.blocks():
            totals.add(rows, log_k[rows, None] - block / epsilon)
        return flow, totals.means()


def _pull(flow: Flow, ends: Cells) -> Cells:
    """Return ``Phi' Sigma^-1 (E[end | x] - m)``."""
    pull = torch.linalg.solve(flow.covariance[-1], flow.to_end[0]).mT
    return apply(pull, torch.arange(len(ends)), ends - flow.mean[-1])


class _Averages:
    """Gather weighted means over earlier cells while their log weights arrive in blocks of rows."""

    def __init__(self, n: int, values: Tensor) -> None:
        self.values = values
        self.top = torch.full((n,), -torch.inf, dtype=torch.float64)
        self.mass = torch.zeros(n, dtype=torch.float64)
        self.sums = torch.zeros(n, values.shape[1], dtype=torch.float64)

    def add(self, rows: slice, log_w: Tensor) -> None:
        top = torch.maximum(self.top, log_w.amax(0))
        kept, w = (self.top - top).exp(), (log_w - top).exp()
        # no weight yet: minus infinity minus itself
        kept, w = torch.nan_to_num(kept, nan=0.0), torch.nan_to_num(w, nan=0.0)
        self.top, self.mass = top, self.mass * kept + w.sum(0)
        self.sums = self.sums * kept[:, None] + w.T @ self.values[rows]

    def means(self) -> Tensor:
        return self.sums / self.mass[:, None]


def _nearest(x: Cells, cells: Targets) -> Tensor:
    """Return the index ``(n,)`` of the cell nearest to each state."""
    centre = cells.mean(0)  # far from zero, products lose the digits of a distance
    return torch.cdist(x - centre, cells - centre).argmin(1)


def _finite(log_ratios: Earlier) -> Earlier:
    """Return logarithms with 0 for cells that send or meet nothing: no path is theirs."""
    return torch.where(torch.isfinite(log_ratios), log_ratios, 0.0)
