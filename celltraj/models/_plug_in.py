"""The drift of the empirical bridge, exact and without training.

Pooladian & Niles-Weed, *Plug-in estimation of Schroedinger bridges* (2024), eq. 10.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._snapshots import Snapshots
from celltraj._typing import Cells
from celltraj.models.references import Brownian
from celltraj.ot import Coupling

_BLOCK = 4_000_000


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
        reference: Brownian,
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
    reference: Brownian
    couplings: tuple[Coupling, ...]

    def drift(self, t: float, x: Cells) -> Cells:
        """Return ``(sum_j w_j y_j - x) / (t1 - t)``, ``w_j ~ exp(g_j/eps) p_ref(y_j | x)``."""
        k = self.snapshots.gap_of(t)
        left = self.snapshots.times[k + 1] - t
        if left <= 0:
            raise ValueError(_no_density(t, "forward drift ends with the gap"))
        return (self._expected(self.couplings[k].g, k, k + 1, left, x) - x) / left

    def backward_drift(self, t: float, x: Cells) -> Cells:
        """Return ``(x - sum_i w_i x_i) / (t - t0)``, ``w_i ~ exp(f_i/eps) p_ref(x | x_i)``."""
        k = self.snapshots.gap_of(t)
        gone = t - self.snapshots.times[k]
        if gone <= 0:
            raise ValueError(_no_density(t, "backward drift begins after the snapshot"))
        return (x - self._expected(self.couplings[k].f, k, k, gone, x)) / gone

    def score(self, t: float, x: Cells) -> Cells:
        """Return ``(b_forward - b_backward) / sigma^2`` at a time strictly inside a gap."""
        return (self.drift(t, x) - self.backward_drift(t, x)) / self.reference.sigma**2

    def _expected(self, potential: Tensor, k: int, end: int, duration: float, x: Cells) -> Cells:
        """Return the mean of the cells at snapshot ``end`` that a path through ``x`` reaches."""
        y, state = self.snapshots.x[end], x.double()
        log_h = potential / self.couplings[k].epsilon
        scale = 2 * self.reference.sigma**2 * duration
        blocks = (
            torch.softmax(log_h - torch.cdist(part, y).square_() / scale, 1) @ y
            for part in state.split(max(1, _BLOCK // len(y)))
        )
        return torch.cat(list(blocks)).to(x.dtype)
