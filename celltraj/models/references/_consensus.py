r"""Minimise what has no gradient by the consensus of particles.

Particles in the unit box drift towards their softmin ``c = sum_i exp(-a f_i) theta_i / sum_i
exp(-a f_i)`` and explore in proportion to their distance from it, each coordinate by itself:

    theta_i <- theta_i - h (theta_i - c) + s sqrt(h) (theta_i - c) z_i,   z_i ~ N(0, I)

so that the ensemble contracts by ``sqrt((1 - h)^2 + s^2 h)`` a step once ``c`` rests. The sharpness
``a`` follows the values: a fixed share of the particles has a say. A contracted ensemble is spread
out anew around the best point, as wide as that has moved, so that it does not settle on its way.
Fornasier, Klock & Riedl, *Consensus-based optimization methods converge globally* (2024), for the
global convergence; Riedl, Klock, Geldhauser & Fornasier, *Gradient is all you need?* (2023), eq. 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

_STEP, _NOISE = 0.2, 1.0  # contraction by .92 a step
_SAY = 0.15  # share of the particles that the consensus is made of
_PER_PARAMETER, _AT_LEAST = 12, 36  # particles
_CONTRACTED = 0.05  # of its first spread, where an ensemble is spread out anew
_RESPREAD = 0.1  # of its former spread, unless the consensus is still on its way
_SETTLED = 3e-4  # spread of the ensemble, in widths of the box
MOST_STEPS = 400


class Consensus(NamedTuple):
    """Hold what the particles agreed upon.

    Parameters
    ----------
    at
        ``(dim,)`` minimiser, in widths of the box.
    n_steps
        Steps that it took, of an evaluation of every particle each; one more, of a single point,
        follows the last.
    spread
        Largest standard deviation of a coordinate at the last step.
    """

    at: Tensor
    n_steps: int
    spread: float

    @property
    def is_settled(self) -> bool:
        """Whether the particles met before the steps were spent."""
        return self.spread < _SETTLED


def n_particles(dim: int) -> int:
    """Return how many particles look for ``dim`` parameters."""
    return max(_AT_LEAST, _PER_PARAMETER * dim)


def minimise_by_consensus(
    objective: Callable[[Tensor], Tensor],
    dim: int,
    *,
    start: Tensor | None = None,
    most_steps: int = MOST_STEPS,
    generator: torch.Generator,
) -> Consensus:
    """Look for the minimiser ``(dim,)`` of ``objective`` over the unit box.

    Parameters
    ----------
    objective
        Values ``(n,)`` at points ``(n, dim)`` of the box; not finite where a point is no good.
    dim
        Number of parameters.
    start
        ``(dim,)`` guess that the particles begin around; by default they fill the box.
    most_steps
        Steps after which the best point is taken, settled or not.
    generator
        Source of randomness.

    Raises
    ------
    ValueError
        ``objective`` is finite at none of the particles.
    """
    n = n_particles(dim)
    if start is None:
        theta, wide = torch.rand(n, dim, dtype=torch.float64, generator=generator), 0.3
    else:
        theta, wide = _spread_out(start, 0.1, n, generator), 0.1
    best, lowest, home = theta[0], math.inf, theta.mean(0)
    n_steps = 0
    while n_steps < most_steps:
        n_steps += 1
        values = objective(theta)
        values = torch.where(torch.isfinite(values), values, math.inf)
        if not torch.isfinite(values).any():
            raise ValueError("the simulator gives no finite states anywhere within its bounds")
        if float(values.min()) < lowest:
            lowest, best = float(values.min()), theta[values.argmin()].clone()
        centre = _votes(values) @ theta
        away = theta - centre
        spread = float(theta.std(0).max())
        if spread < _SETTLED:
            break
        if spread < _CONTRACTED * wide:
            moved = float((best - home).abs().max())
            wide, home = min(0.3, max(moved / 2, _RESPREAD * wide)), best
            theta = _spread_out(best, wide, n, generator)
            continue
        noise = torch.randn(theta.shape, dtype=torch.float64, generator=generator)
        theta = (theta - _STEP * away + _NOISE * math.sqrt(_STEP) * away * noise).clamp(0, 1)
    (at_centre,) = objective(centre[None]).tolist()
    return Consensus(centre if at_centre <= lowest else best, n_steps, spread)


def _spread_out(centre: Tensor, width: float, n: int, generator: torch.Generator) -> Tensor:
    noise = torch.randn(n, len(centre), dtype=torch.float64, generator=generator)
    theta = (centre + width * noise).clamp(0, 1)
    theta[0] = centre
    return theta


def _votes(values: Tensor) -> Tensor:
    """Return the softmin weights whose effective number is the share that has a say."""
    excess = values - values.min()
    excess = excess / excess[torch.isfinite(excess)].mean().clamp(min=1e-300)
    low, high = -5.0, 12.0  # of log10 of the sharpness
    for _ in range(40):
        middle = (low + high) / 2
        votes = torch.softmax(-(10**middle) * excess, 0)
        if float(1 / votes.square().sum()) > _SAY * len(values):
            low = middle
        else:
            high = middle
    return torch.softmax(-(10**low) * excess, 0)
