r"""A network that learns drift and score of a bridge from reference bridges.

With ``x_s`` on the bridge of the reference from ``x0`` to ``x1`` over a gap of length ``D``, two
regressions without a singularity at either end give every velocity:

- ``m(t, x) = E[rate | x_s = x]``, where ``rate`` is ``(x1 - x0) / D`` under Brownian motion, and
  what :class:`~celltraj.models.references.paths.Pinning` derives under any other reference,
- ``score(t, x) = E[score of the bridge between x0 and x1 | x_s = x]``, weighted by its variance;

``drift = b_ref + m + s sigma^2 score``; backwards ``b_ref + m - (1-s) sigma^2 score``. Both are
held to what every bridge satisfies: the mean end of a path through ``x`` lies within the cells of
that snapshot.
Tong et al., *Simulation-free Schroedinger bridges via score and flow matching* (2023), eq. 9.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Cells, Earlier
from celltraj.models.networks import TwoHeads
from celltraj.models.references.family import Reference, is_smooth, sigma_of
from celltraj.models.references.gaussian_law import gap_flow, runge_kutta
from celltraj.models.references.paths import apply
from celltraj.snapshots import Snapshots

_TOUCHING = 1e-9  # share of a gap within which a path is at the snapshot
_MOVES = 2  # Runge-Kutta steps along a smooth law


@card()
@dataclass(frozen=True)
class NeuralField:
    """Predict drift and score of a bridge by a trained network.

    Parameters
    ----------
    heads
        The network.
    snapshots
        The observed clouds, within whose boxes the ends of paths lie.
    reference
        Law of motion that the bridge is nearest to.
    losses
        Training loss at each step.
    """

    heads: TwoHeads
    snapshots: Snapshots
    reference: Reference
    losses: tuple[float, ...] = ()

    def drift(self, t: float, x: Cells) -> Cells:
        """Return ``b_ref + m + s sigma^2 score``, ``(n, d)``."""
        return self.reference.drift(t, x) + self._forward_tilt(t, x)

    def backward_drift(self, t: float, x: Cells) -> Cells:
        """Return ``b_ref + m - (1 - s) sigma^2 score``, ``(n, d)``."""
        return self.reference.drift(t, x) + self._backward_tilt(t, x)

    def score(self, t: float, x: Cells) -> Cells:
        """Return ``grad log p_t(x)``, ``(n, d)``."""
        difference = self._forward_tilt(t, x) - self._backward_tilt(t, x)
        return difference / sigma_of(self.reference) ** 2

    def masses(self, t: float, x: Cells) -> tuple[Earlier, Earlier]:
        """Return the mean logarithms ``(n,)`` of what paths through ``x`` send and meet."""
        sent, met = self.heads.predict_mass(t, x).unbind(1)
        return sent, met

    @cached_property
    def _boxes(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """Least and greatest value of each variable of each snapshot, which every step asks for."""
        return tuple((x.amin(dim=0), x.amax(dim=0)) for x in self.snapshots.x)

    def _moved(self, x: Cells, start: float, stop: float) -> Cells:
        """Return where a smooth law alone takes cells.

        How far the noise can turn them is that of Brownian motion nearly: a bound is looked for, at
        every step of a simulation, and the slope of the law would be most of its cost.
        """

        def rates(t: float, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (self.reference.drift(t, state[0]),)

        h, state = (stop - start) / _MOVES, (x.double(),)
        for step in range(_MOVES):
            state = (runge_kutta(rates, start + step * h, h, state)[0],)
        return state[0]

    def _place(self, t: float) -> tuple[int, float]:
        """Return the gap of ``t`` and the share of it that is gone."""
        k = self.snapshots.gap_of(t)
        return k, (t - self.snapshots.times[k]) / self.snapshots.gaps[k]

    def _forward_tilt(self, t: float, x: Cells) -> Cells:
        rate, score = self.heads.predict(t, x)
        k, s = self._place(t)
        tilt = rate + s * sigma_of(self.reference) ** 2 * score
        return self._ends_inside(t, k, x, tilt) if s < 1 - _TOUCHING else tilt

    def _backward_tilt(self, t: float, x: Cells) -> Cells:
        rate, score = self.heads.predict(t, x)
        k, s = self._place(t)
        tilt = rate - (1 - s) * sigma_of(self.reference) ** 2 * score
        return self._starts_inside(t, k, x, tilt) if s > _TOUCHING else tilt

    def _ends_inside(self, t: float, k: int, x: Cells, tilt: Cells) -> Cells:
        """Return the tilt of the forward drift under which the mean end lies within its snapshot.

        With ``L = Sigma Phi'^-1 / sigma^2`` of the flow to the end, ``E[end | x] = m + L tilt`` is
        a weighted mean of the cells of a snapshot, hence within their box. A network keeps to that
        near the data; off the data, where it only extrapolates, this is what brings a path back.
        """
        end = self.snapshots.times[k + 1]
        share = (end - t) / self.snapshots.gaps[k]
        if is_smooth(self.reference):
            lever = (end - t) * torch.eye(x.shape[1], dtype=torch.float64)[None]
            return _confined(tilt, self._moved(x, t, end), lever, self._boxes[k + 1])
        flow = gap_flow(self.reference, x, t, end, share)
        turn = torch.linalg.solve(flow.to_end[0], flow.covariance[-1]).mT
        lever = turn / sigma_of(self.reference) ** 2
        return _confined(tilt, flow.mean[-1], lever, self._boxes[k + 1])

    def _starts_inside(self, t: float, k: int, x: Cells, tilt: Cells) -> Cells:
        """Return the tilt of the backward drift under which the mean start does so.

        ``E[m(start) | x] = x - Sigma tilt / sigma^2`` is a weighted mean of where the flow takes
        the cells of the snapshot before.
        """
        start = self.snapshots.times[k]
        share = (t - start) / self.snapshots.gaps[k]
        if is_smooth(self.reference):
            lever = (start - t) * torch.eye(x.shape[1], dtype=torch.float64)[None]
            moved = self._moved(self.snapshots.x[k], start, t)
            return _confined(tilt, x.double(), lever, moved.aminmax(dim=0))
        flow = gap_flow(self.reference, self.snapshots.x[k], start, t, share)
        lever = -flow.covariance[-1].mean(0, keepdim=True) / sigma_of(self.reference) ** 2
        return _confined(tilt, x.double(), lever, flow.mean[-1].aminmax(dim=0))


def _confined(tilt: Cells, origin: Cells, lever: Tensor, box: tuple[Tensor, Tensor]) -> Cells:
    """Return the tilt nearest to the given one with ``origin + lever tilt`` inside ``box``."""
    rows, lever = torch.arange(len(tilt)), lever.to(tilt.device)
    reached = origin + apply(lever, rows, tilt.double())
    excess = reached.clamp(*(side.to(tilt.device) for side in box)) - reached
    return tilt + apply(torch.linalg.inv(lever), rows, excess).to(tilt.dtype)
