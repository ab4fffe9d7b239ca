r"""Likelihood of points of paths under the flow that is being trained.

``log p_t(x) = log p_0(x_0) - int_0^t div v ds`` along the ODE that leads back from ``x`` to the
first snapshot, whose density is a Gaussian kernel estimate with Scott's bandwidth. The gradient is
led back through the steps of the ODE in memory that does not grow with them, see
:mod:`celltraj.models.solvers.adjoint`. The divergence is Hutchinson's estimate with one direction
of random signs, the same along a path. Chen et al., *Neural ordinary differential equations*
(2018); Grathwohl et al., *FFJORD* (2019).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._typing import Cells, Column, Earlier
from celltraj.models.solvers.adjoint import AdjointOptions, integrate_with_gradient
from celltraj.snapshots import Snapshots

_CENTRES = 512  # cells of the first snapshot that its density is estimated from
_TOLERANCE = 1e-3  # of a step, relative and in units of the spread of the first snapshot
_KEPT = 4
Velocity = Callable[[Column, Cells], Cells]


@dataclass(frozen=True, eq=False)
class StartDensity:
    """Estimate the density of the first snapshot, in a form that can be differentiated.

    Parameters
    ----------
    time
        Its time, in the user's unit.
    centres
        ``(m, d)`` some of its cells.
    factor
        ``(d, d)`` lower root of the covariance of the kernel, in [x].
    """

    time: float
    centres: Tensor
    factor: Tensor

    @classmethod
    def of(cls, snapshots: Snapshots, generator: torch.Generator) -> StartDensity:
        """Return the density of the first snapshot, of cells drawn by their weights.

        Raises
        ------
        ValueError
            Its cells lie in fewer dimensions than it has.
        """
        x, weights = snapshots.x[0].double(), snapshots.weights[0].double()
        n, d = x.shape
        drawn = torch.multinomial(weights, min(n, _CENTRES), replacement=True, generator=generator)
        share = weights / weights.sum()
        apart = x - share @ x
        # of the effective number of cells, as scipy has it
        bandwidth = float(share.square().sum()) ** (2 / (d + 4))
        covariance = bandwidth * (share[:, None] * apart).T @ apart
        factor, failed = torch.linalg.cholesky_ex(covariance)
        if int(failed) or not bool((factor.diagonal() > 1e-6 * factor.diagonal().max()).all()):
            raise ValueError(
                f"the cells at {snapshots.times[0]:g} do not span their {d} variables, so that "
                "they have no density for Penalties(likelihood=); choose fewer variables"
            )
        return cls(snapshots.times[0], x[drawn], factor)

    def log(self, x: Cells) -> Earlier:
        """Return the log density ``(n,)``, in nats; density in [x]^-d."""
        factor, centres = self.factor.to(x), self.centres.to(x)
        z = torch.linalg.solve_triangular(factor, (x[:, None] - centres).mT, upper=False)
        kernels = -z.square().sum(1) / 2
        volume = factor.diagonal().log().sum() + x.shape[1] / 2 * math.log(2 * math.pi)
        found: Tensor = torch.logsumexp(kernels, 1) - math.log(len(centres)) - volume
        return found

    @property
    def spread(self) -> float:
        """Mean width of the kernel, in [x]."""
        return float(self.factor.diagonal().mean())


def path_log_density(
    velocity: Velocity,
    parameters: Sequence[Tensor],
    start: StartDensity,
    points: tuple[Column, Cells, Cells],
    options: AdjointOptions | None = None,
) -> Earlier:
    """Return the log densities ``(n,)`` of points under a flow, differentiable in its parameters.

    Parameters
    ----------
    velocity
        ``velocity(t, x)`` at a time of each state, twice differentiable.
    parameters
        What it depends on.
    start
        Density at the first time.
    points
        Times ``(n, 1)`` and states ``(n, d)``, and random signs ``(n, d)`` for the divergence.
    options
        How the ODE is integrated; by default to a thousandth.

    Returns
    -------
    ``(n,)`` log densities, in nats.
    """
    times, x, signs = points
    length = start.time - times

    def rates(share: float, state: Tensor) -> Tensor:
        # each path runs back over its own time, from 0 to 1
        is_led_back = torch.is_grad_enabled()
        with torch.enable_grad():
            at = state[:, :-1]
            at = at if at.requires_grad else at.detach().requires_grad_()
            v = velocity(times + share * length, at)
            (pulled,) = torch.autograd.grad((v * signs).sum(), at, create_graph=is_led_back)
            found = length * torch.cat([v, (pulled * signs).sum(1, keepdim=True)], 1)
        return found if is_led_back else found.detach()

    tolerance = AdjointOptions(_TOLERANCE, _TOLERANCE * start.spread, n_kept=_KEPT)
    state = torch.cat([x, torch.zeros_like(x[:, :1])], 1)
    chosen = tolerance if options is None else options
    end = integrate_with_gradient(rates, state, (0.0, 1.0), parameters, chosen)
    # integrated backwards, the last column is minus the integral of the divergence
    return start.log(end[:, :-1]) + end[:, -1]
