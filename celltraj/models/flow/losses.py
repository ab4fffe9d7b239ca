r"""What the network of a flow is trained on: regressions on points of paths, and penalties.

Weighted by the mass ``w`` of each path, with ``m`` the mean rate of paths through a state:

- ``w |m - rate|^2``, so that ``velocity = m - gamma gamma' score``;
- ``w |z + gamma score|^2``, bounded where gamma vanishes;
- ``w |masses - (log r, log q)|^2``, where paths carry mass that changes, see
  :mod:`celltraj.models.growth.path_mass`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.integrate import RK45
from torch import Tensor

from celltraj._typing import Cells, Column, Earlier
from celltraj.metrics import directional, score_residual
from celltraj.models.flow.options import Penalties
from celltraj.models.flow.path_likelihood import StartDensity, path_log_density
from celltraj.models.growth.path_mass import EARLY
from celltraj.models.interpolants import Interpolant, share_of
from celltraj.models.networks import Points, TwoHeads, point_errors

_SUBSET = 64  # points of a batch that penalties with derivatives are taken on
_FOLLOWED = 16  # points whose likelihood is taken
_TOLERANCE = 1e-3  # of the mean speed, what a step may miss
# A score that vanishes has the least residual, and thin paths hold their scores by little: beside
# much more of it than this the regression gives way, and ODE and SDE part.
_RESIDUAL = 0.03
_STEP = 0.5  # of a mean gap: the longest step whose error is penalised


@dataclass(frozen=True)
class FlowLoss:
    """Compute the loss of a network on points of paths.

    Parameters
    ----------
    interpolant
        Paths, whose noise ties rate, score and velocity.
    penalties
        Weights of the penalties.
    start
        Density of the first snapshot, for the likelihood; None without.
    """

    interpolant: Interpolant
    penalties: Penalties
    start: StartDensity | None = None

    def __call__(self, field: TwoHeads, points: Points) -> Tensor:
        """Return the loss, a scalar."""
        loss = (points.mass[:, 0] * point_errors(field, points)).mean()
        if self.penalties == Penalties():
            return loss
        return loss + self._penalty(field, points)

    def _penalty(self, field: TwoHeads, points: Points) -> Tensor:
        # a batch is in random order, so that its first points are a sample of it
        t, x = points.t[:_SUBSET], points.x[:_SUBSET]
        motion = Motion(field, self.interpolant)
        total = torch.zeros((), dtype=x.dtype, device=x.device)
        weights = self.penalties
        if weights.kinetic:
            total = total + weights.kinetic * motion.relative(motion.velocity(t, x))
        if weights.acceleration:
            moved = motion.acceleration(t, x) * field.mean_gap
            total = total + weights.acceleration * motion.relative(moved)
        if weights.solver_error:
            missed = motion.step_error(t, x) / _TOLERANCE
            total = total + weights.solver_error * motion.relative(missed)
        if weights.fokker_planck:
            signs = torch.where(points.z[:_SUBSET] > 0, 1.0, -1.0)
            left, right = score_residual(
                motion.velocity, motion.score, motion.growth, t, x, probes=signs[None]
            )
            parts = points.width[:_SUBSET] * (left + right) * field.mean_gap
            total = total + weights.fokker_planck * _RESIDUAL * parts.square().mean()
        if weights.likelihood and self.start is not None:
            signs = torch.where(points.z[:_FOLLOWED] > 0, 1.0, -1.0)
            some = (t[:_FOLLOWED], x[:_FOLLOWED], signs)
            parameters = [p for p in field.parameters() if p.requires_grad]
            log_density = path_log_density(motion.velocity, parameters, self.start, some)
            total = total - weights.likelihood * log_density.mean() / x.shape[1]
        return total


@dataclass(frozen=True)
class Motion:
    """Evaluate a network at one time for each state, differentiable in both."""

    field: TwoHeads
    interpolant: Interpolant

    def velocity(self, t: Column, x: Cells) -> Cells:
        """Return the velocity of the ODE, ``(n, d)``, in [x]/[t]."""
        rate, score, _ = self.field.all_heads(t, x)
        _, slope = self.interpolant.noise(self.field.times, t[:, 0])
        return rate * self.field.speed - slope[:, None] * score / self.field.scale

    def score(self, t: Column, x: Cells) -> Cells:
        """Return the score, ``(n, d)``, in 1/[x]."""
        return self.field.all_heads(t, x)[1] / self.field.scale

    def growth(self, t: Column, x: Cells) -> Earlier:
        """Return the rate of growth, ``(n,)``, in 1/[t], up to a function of time."""
        masses = self.field.all_heads(t, x)[2]
        if not self.field.sizes.has_mass:
            return torch.zeros_like(x[:, 0])
        length, s = share_of(self.field.times, t[:, 0])
        early = torch.stack([(1 - s) ** (EARLY - 1), s ** (EARLY - 1)], 1)
        return EARLY * (early * masses).sum(1) / length

    def relative(self, velocity: Cells) -> Tensor:
        """Return the mean square of a velocity in units of the mean speed of the paths."""
        return (velocity / self.field.speed).square().mean()

    def acceleration(self, t: Column, x: Cells) -> Cells:
        """Return ``dv/dt + (v . grad) v``, ``(n, d)``, in [x]/[t]^2."""
        velocity = self.velocity(t, x)
        # the direction counts as given: its own derivative would ask for a slower field, not a
        # straighter one
        directions = (torch.ones_like(t), velocity.detach())
        return directional(self.velocity, (t, x), directions)

    def step_error(self, t: Column, x: Cells) -> Cells:
        """Return the error estimate of steps of Dormand and Prince over their length, ``(n, d)``.

        In [x]/[t]; steps of all lengths up to the longest, none across the next snapshot.
        """
        last = len(self.field.times) - 1
        after = torch.searchsorted(self.field.times, t, right=True).clamp(max=last)
        share = torch.linspace(0.1, 1, len(t), dtype=t.dtype, device=t.device)[:, None]
        h = torch.minimum(share * _STEP * self.field.mean_gap, self.field.times[after] - t)
        slopes = [self.velocity(t, x)]
        for c, row in zip(RK45.C[1:], RK45.A[1:], strict=True):
            ahead = _sum(row, slopes)
            slopes.append(self.velocity(t + float(c) * h, x + h * ahead))
        slopes.append(self.velocity(t + h, x + h * _sum(RK45.B, slopes)))
        return _sum(RK45.E, slopes)


def _sum(weights: np.ndarray, slopes: list[Cells]) -> Cells:
    """Return the weighted sum of as many slopes as there are, from the first weight on."""
    return torch.stack([float(w) * k for w, k in zip(weights, slopes, strict=False)]).sum(0)
