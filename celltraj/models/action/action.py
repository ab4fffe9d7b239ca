r"""Action of a path of straight pieces, for a fixed duration or the best one.

With ``|v|`` the length of a velocity in units of the noise, ``|v|^2 = sum_i (v_i / s_i)^2``, and
everything of a piece ``d_k = x_{k+1} - x_k`` taken at its middle,

    fixed times   ``S = 1/2 sum_k h_k |d_k / h_k - b_k|^2``
    best duration ``S = sum_k |d_k| |b_k| - <d_k, b_k>``

The second is the least of the first over how fast the path is run: at ``|x'| = |b|``. It does not
depend on how points lie along the path, so that a penalty may hold pieces at one length.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from celltraj._typing import Cells
from celltraj.models.jacobian.differentiable import differentiable
from celltraj.models.process import Process
from celltraj.models.solvers.solver import Law

Points = Float[Tensor, "points d"]
Pieces = Float[Tensor, " n"]
# of the squared change of the drift over a piece, a twelfth of which is its variance there: without
# it a search sticks where the middle of a piece meets a rest point
_ROUND = 1 / 48
_EQUAL = 1.0  # weight of unequal pieces, in units of the action of the first guess


@dataclass(frozen=True)
class Motion:
    """Hold drift and noise of a law, both differentiable in the state.

    Parameters
    ----------
    drift, noise
        ``(t, x)`` to ``(n, d)``, in [x]/[t] and [x]/sqrt([t]).
    is_autonomous
        Whether neither depends on time, so that one call serves a whole path.
    """

    drift: Law
    noise: Law
    is_autonomous: bool

    @classmethod
    def of(cls, process: Process, t: float, x: Cells, *, is_autonomous: bool) -> Motion:
        """Return the motion of a process, tried at states of a path."""
        drift = differentiable(process.drift, t, x)
        noise: Law = process.diffusion
        at = noise(t, x)
        if not bool((at == at[:1]).all()):
            noise = differentiable(noise, t, x)
        return cls(drift, noise, is_autonomous)

    def at(self, law: Law, times: Tensor, x: Cells) -> Cells:
        """Return a law at a time of each state, ``(n, d)``."""
        if self.is_autonomous:
            return law(float(times[0]), x)
        rows = zip(times.tolist(), x.split(1), strict=True)
        return torch.cat([law(t, row) for t, row in rows])


@dataclass(frozen=True)
class TimedAction:
    """Compute the action of a path whose points have times.

    Parameters
    ----------
    motion
        Law of motion.
    times
        ``(n + 1,)`` times of the points, in the user's unit.
    with_divergence
        Whether to add half of the integral of the divergence of the drift.
    """

    motion: Motion
    times: Tensor
    with_divergence: bool = False

    def pieces(self, x: Points) -> Pieces:
        """Return the action of each piece, ``(n,)``, without unit."""
        h = self.times.diff()[:, None]
        centres, middle = (self.times[1:] + self.times[:-1]) / 2, (x[1:] + x[:-1]) / 2
        drift = self.motion.at(self.motion.drift, centres, middle)
        noise = self.motion.at(self.motion.noise, centres, middle)
        cost = (h / 2 * ((x.diff(dim=0) / h - drift) / noise).square()).sum(1)
        if self.with_divergence:
            cost = cost + h[:, 0] / 2 * self._divergence(centres, middle)
        return cost

    def _divergence(self, times: Tensor, middle: Cells) -> Pieces:
        """Return ``div b`` at each state, differentiable itself."""
        with torch.enable_grad():
            point = middle if middle.requires_grad else middle.detach().requires_grad_()
            drift = self.motion.at(self.motion.drift, times, point)
            total = torch.zeros_like(point[:, 0])
            for i in range(point.shape[1]):
                (slope,) = torch.autograd.grad(
                    drift[:, i].sum(), point, create_graph=True, allow_unused=True
                )
                total = total if slope is None else total + slope[:, i]
        return total

    def loss(self, x: Points) -> Tensor:
        """Return what is minimised: the action."""
        return self.pieces(x).sum()


@dataclass(frozen=True)
class GeometricAction:
    """Compute the action of a path that is run as fast as is best.

    Parameters
    ----------
    motion
        Law of motion, the same at all times.
    time
        Time to evaluate it at, in the user's unit.
    unit
        What unequal pieces are weighed with, without unit.
    """

    motion: Motion
    time: float
    unit: float

    def pieces(self, x: Points) -> Pieces:
        """Return the action of each piece, ``(n,)``, without unit."""
        step, drift = self._in_units_of_noise(x)
        return _length(step) * self._speed(drift) - (step * drift).sum(1)

    def durations(self, x: Points) -> Pieces:
        """Return how long each piece takes at ``|x'| = |b|``, ``(n,)``, in [t]."""
        step, drift = self._in_units_of_noise(x)
        return _length(step) / self._speed(drift)

    def rests(self, x: Points, change: float) -> bool:
        """Return whether the drift vanishes on a path: it changes there by as much as it is.

        Next to a rest point it changes from piece to piece by twice its own length, elsewhere by
        the less the shorter pieces are.
        """
        _, drift = self._in_units_of_noise(x)
        turned = _length(drift.diff(dim=0))
        least = torch.minimum(_length(drift[1:]), _length(drift[:-1]))
        return bool((turned > change * least).any())

    def loss(self, x: Points) -> Tensor:
        """Return what is minimised: the action, and the penalty of unequal pieces."""
        step, drift = self._in_units_of_noise(x)
        length = _length(step)
        uneven = (length / length.mean() - 1).square().mean()
        cost = (length * self._speed(drift) - (step * drift).sum(1)).sum()
        return cost + _EQUAL * self.unit * uneven

    def _speed(self, drift: Cells) -> Pieces:
        """Return the length of the drift over each piece, with a slope also where it turns."""
        ahead = torch.cat([drift[1:], drift[-1:]])
        behind = torch.cat([drift[:1], drift[:-1]])
        change = (ahead - behind).square().sum(1) / 4
        tiny = torch.finfo(drift.dtype).tiny
        return (drift.square().sum(1) + _ROUND * change + tiny).sqrt()

    def _in_units_of_noise(self, x: Points) -> tuple[Cells, Cells]:
        middle = (x[1:] + x[:-1]) / 2
        noise = self.motion.noise(self.time, middle)
        return x.diff(dim=0) / noise, self.motion.drift(self.time, middle) / noise


def _length(v: Cells) -> Pieces:
    # with a slope where a path rests, as at a rest point of the drift
    return (v.square().sum(1) + torch.finfo(v.dtype).tiny).sqrt()
