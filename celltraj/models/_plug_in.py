r"""The drift of the empirical bridge from its potentials, without training.

    h_s(x) = sum_j exp(g_j / eps) p(y_j at t1 | x at s)
    k_s(x) = sum_i exp(f_i / eps) p(x at s | x_i at t0)
    b = b_ref + sigma^2 grad log h,  backwards b_ref - sigma^2 grad log k,  score = grad log h k

with the Gaussian transitions of :mod:`celltraj.models._flow`: exact for an affine reference, else
linearised afresh from every state. Pooladian & Niles-Weed, *Plug-in estimation of Schroedinger
bridges* (2024), eq. 10.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._snapshots import Snapshots
from celltraj._typing import Cells
from celltraj.models._flow import gap_flow, gaussian_problem
from celltraj.models._paths import apply
from celltraj.models._process import Reference, sigma_of
from celltraj.ot import Coupling


def _no_density(t: float, what: str) -> str:
    return (
        f"the empirical bridge has no density at the snapshot {t:g}: its {what}; "
        "use drift=ct.models.NeuralDrift() there"
    )


@dataclass(frozen=True)
class PlugInDrift:
    """Ask for the drift that follows from the potentials in closed form; nothing is trained.

    The right tool in few dimensions (below about five) and the fastest everywhere.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, drift=ct.models.PlugInDrift(), seed=0, progress=False)
    """

    def fit(
        self,
        snapshots: Snapshots,
        reference: Reference,
        couplings: tuple[Coupling, ...],
        *,
        generator: torch.Generator,
        progress: bool = True,
    ) -> PlugInField:
        """Return the field of the solved bridge (``generator`` and ``progress`` have no use)."""
        return PlugInField(snapshots, reference, couplings)


@dataclass(frozen=True)
class PlugInField:
    """Evaluate drift and score of the empirical bridge from its potentials."""

    snapshots: Snapshots
    reference: Reference
    couplings: tuple[Coupling, ...]

    def drift(self, t: float, x: Cells) -> Cells:
        """Return ``b_ref + sigma^2 grad log h``, ``(n, d)``, in [x]/[t]."""
        return self._tilted(t, x, self._forward_tilt(t, x.double()))

    def backward_drift(self, t: float, x: Cells) -> Cells:
        """Return ``b_ref - sigma^2 grad log k``, ``(n, d)``, in [x]/[t]."""
        return self._tilted(t, x, -self._backward_tilt(t, x.double()))

    def score(self, t: float, x: Cells) -> Cells:
        """Return ``grad log h k``, ``(n, d)``, in 1/[x], at a time strictly inside a gap."""
        state = x.double()
        return (self._forward_tilt(t, state) + self._backward_tilt(t, state)).to(x.dtype)

    def _tilted(self, t: float, x: Cells, tilt: Cells) -> Cells:
        return self.reference.drift(t, x) + (sigma_of(self.reference) ** 2 * tilt).to(x.dtype)

    def _forward_tilt(self, t: float, x: Cells) -> Cells:
        """Return ``grad log h = Phi' Sigma^-1 (E[end | x] - m)``."""
        k = self.snapshots.gap_of(t)
        end = self.snapshots.times[k + 1]
        if t >= end:
            raise ValueError(_no_density(t, "forward drift ends with the gap"))
        flow = gap_flow(self.reference, x, t, end, (end - t) / self.snapshots.gaps[k])
        cost, epsilon = flow.problem(self.snapshots.x[k + 1])
        log_h = self.couplings[k].g / self.couplings[k].epsilon
        ends = [
            torch.softmax(log_h - block / epsilon, 1) @ self.snapshots.x[k + 1]
            for _, block in cost.blocks()
        ]
        pull = torch.linalg.solve(flow.covariance[-1], flow.to_end[0]).mT
        return apply(pull, torch.arange(len(x)), torch.cat(ends) - flow.mean[-1])

    def _backward_tilt(self, t: float, x: Cells) -> Cells:
        """Return ``grad log k = sum_i w_i Sigma_i^-1 (m_i - x)``."""
        k = self.snapshots.gap_of(t)
        start = self.snapshots.times[k]
        if t <= start:
            raise ValueError(_no_density(t, "backward drift begins after the snapshot"))
        share = (t - start) / self.snapshots.gaps[k]
        flow = gap_flow(self.reference, self.snapshots.x[k], start, t, share)
        cost, epsilon = gaussian_problem(flow.mean[-1], flow.covariance[-1], x)
        log_k = self.couplings[k].f / self.couplings[k].epsilon
        precision = torch.linalg.inv(flow.covariance[-1])
        pulled = apply(precision, torch.arange(len(flow.mean[-1])), flow.mean[-1])
        totals = _Averages(len(x), pulled, precision)
        for rows, block in cost.blocks():
            totals.add(rows, log_k[rows, None] - block / epsilon)
        return totals.tilt(x)


class _Averages:
    """Gather weighted means over earlier cells while their log weights arrive in blocks of rows."""

    def __init__(self, n: int, pulled: Cells, precision: Tensor) -> None:
        d = pulled.shape[1]
        self.pulled, self.precision = pulled, precision
        self.top = torch.full((n,), -torch.inf, dtype=torch.float64)
        self.mass = torch.zeros(n, dtype=torch.float64)
        self.force = torch.zeros(n, d, dtype=torch.float64)
        self.stiffness = torch.zeros(n, d * d, dtype=torch.float64)

    def add(self, rows: slice, log_w: Tensor) -> None:
        top = torch.maximum(self.top, log_w.amax(0))
        kept, w = (self.top - top).exp(), (log_w - top).exp()
        self.top, self.mass = top, self.mass * kept + w.sum(0)
        self.force = self.force * kept[:, None] + w.T @ self.pulled[rows]
        if len(self.precision) > 1:
            flat = self.precision[rows].flatten(1)
            self.stiffness = self.stiffness * kept[:, None] + w.T @ flat

    def tilt(self, x: Cells) -> Cells:
        force = self.force / self.mass[:, None]
        if len(self.precision) == 1:
            return force - x @ self.precision[0]
        stiffness = (self.stiffness / self.mass[:, None]).reshape(len(x), x.shape[1], -1)
        return force - (stiffness @ x[..., None])[..., 0]
