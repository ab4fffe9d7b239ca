r"""Paths of the bridge of a reference between paired cells.

A path of the Gaussian chain of the reference, its law between two snapshots, is pinned to its end
``y`` by Matheron's rule: an unconditioned path plus
``Sigma(s) Phi(T, s)' Sigma(T)^-1 (y - its end)``. The drift of the pinned chain,
``b_lin(s, x) + sigma^2 Phi(T, s)' R(s)^-1 (y - m(T | s, x))`` with ``R``
the covariance of the end given ``s``, is what a refinement regresses the reference on: it has the
same conditional mean as the increments of the path without their noise or their bias in the step.

Under a nonlinear reference the pinned linear chain is only a proposal. Girsanov's weights

    log w = sigma^-2 ( int (b - b_lin) . (dX - b_lin ds) - 1/2 int |b - b_lin|^2 ds )

turn averages over it into averages over the true bridge, and their effective sample size says how
good the linearisation is. Schauer, van der Meulen & van Zanten, *Guided proposals for simulating
multi-dimensional diffusion bridges* (2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Cells
from celltraj.models.process import Affine
from celltraj.models.references.family import Paths, Reference, sigma_of
from celltraj.models.references.gaussian_law import Flow, runge_kutta

_DRAWS = 4  # paths for each pair under a nonlinear reference


def apply(matrices: Tensor, rows: Tensor, v: Cells) -> Cells:
    """Return ``M_i v_i`` for the cells ``rows``, where ``matrices`` may be shared by all cells."""
    if len(matrices) == 1:
        return v @ matrices[0].T
    return (matrices[rows] @ v[..., None])[..., 0]


def sample_paths(
    reference: Reference, flow: Flow, rows: Tensor, y: Cells, *, generator: torch.Generator
) -> Paths:
    """Draw paths of the bridge from each cell ``rows (N,)`` of ``flow`` to its end ``y (N, d)``.

    Under a nonlinear reference several are drawn for each pair and share its weight by Girsanov's,
    so that the pairs keep theirs and with them the snapshots.
    """
    n_draws = 1 if isinstance(reference, Affine) else _DRAWS
    rows, y = rows.repeat(n_draws), y.repeat(n_draws, 1)
    x = _unconditioned(flow, rows, generator)
    pull = torch.linalg.solve(flow.covariance[-1], flow.to_end @ flow.covariance).mT
    miss = y - x[-1]
    x = x + torch.stack([apply(gain, rows, miss) for gain in pull])
    x[-1] = y
    inner = range(len(x) - 1)
    velocity = torch.stack([_velocity(reference, flow, k, rows, x[k], y) for k in inner])
    log_w = log_weights(reference, flow, rows, x).reshape(n_draws, -1)
    weights = torch.softmax(log_w, 0)
    effective = float((1 / weights.square().sum(0)).mean()) / n_draws
    weights = weights.flatten() / weights.shape[1]
    return Paths(torch.tensor(flow.times, dtype=torch.float64), x, velocity, weights, effective)


@card()
@dataclass(frozen=True)
class Pinned:
    """Hold points of pinned paths at one time, as a network learns from them.

    Parameters
    ----------
    x
        ``(N, d)`` states, in [x].
    rate
        ``(N, d)`` tilt of the reference's drift less ``s sigma^2`` times the score, in [x]/[t].
    score
        ``(N, d)`` score of the pinned Gaussian, in 1/[x].
    """

    x: Cells
    rate: Cells
    score: Cells


@dataclass(frozen=True)
class Pinning:
    r"""Hold the law at one node of paths that are pinned to their ends, for every cell of a flow.

    With ``H = Phi' Sigma(T)^-1`` the tilt of the pinned drift is
    ``sigma^2 (H (y - m(T)) + H Phi Sigma(s) score)``. Its second term grows without bound towards
    the end of the gap and that of the backward drift towards the start, both as the score does, so
    that ``rate = tilt - s sigma^2 score`` is bounded: ``(y - x) / (t1 - t0)`` of Brownian motion.

    Parameters
    ----------
    mean, end
        ``(n, d)`` flow of each cell at the node and at the end of the gap, in [x].
    pull
        ``(c, d, d)`` matrices ``H``, in 1/[x]^2.
    gain
        ``(c, d, d)`` how far the mean follows the end.
    factor, inverse
        ``(c, d, d)`` root of the covariance that is left, in [x], and its inverse transposed.
    excess
        ``(c, d, d)`` matrices ``H Phi Sigma(s) - s``.
    sigma
        Diffusion, in [x]/sqrt([t]).
    """

    mean: Cells
    end: Cells
    pull: Tensor
    gain: Tensor
    factor: Tensor
    inverse: Tensor
    excess: Tensor
    sigma: float

    @classmethod
    def of(cls, flow: Flow, k: int, sigma: float) -> Pinning:
        """Return the law at node ``k`` of ``flow``."""
        to_end, covariance = flow.to_end[k], flow.covariance[k]
        pull = torch.linalg.solve(flow.covariance[-1], to_end).mT
        share = pull @ to_end @ covariance
        left = covariance - covariance @ share
        factor = torch.linalg.cholesky((left + left.mT) / 2)
        s = (flow.times[k] - flow.times[0]) / (flow.times[-1] - flow.times[0])
        return cls(
            flow.mean[k],
            flow.mean[-1],
            pull,
            covariance @ pull,
            factor,
            torch.linalg.inv(factor).mT,
            share - s * torch.eye(flow.mean.shape[2], dtype=torch.float64),
            sigma,
        )

    def points(self, rows: Tensor, y: Cells, *, generator: torch.Generator) -> Pinned:
        """Draw a point of the path from each of the cells ``rows (N,)`` to ``y (N, d)``."""
        miss = y - self.end[rows]
        z = torch.randn(y.shape, dtype=torch.float64, generator=generator)
        score = -apply(self.inverse, rows, z)
        rate = apply(self.pull, rows, miss) + apply(self.excess, rows, score)
        x = self.mean[rows] + apply(self.gain, rows, miss) + apply(self.factor, rows, z)
        return Pinned(x, self.sigma**2 * rate, score)


def _unconditioned(flow: Flow, rows: Tensor, generator: torch.Generator) -> Tensor:
    factors = torch.linalg.cholesky(flow.noises)
    x = [flow.mean[0, rows]]
    for k, (step, factor) in enumerate(zip(flow.steps, factors, strict=True)):
        z = torch.randn(x[0].shape, dtype=torch.float64, generator=generator)
        drawn = apply(step, rows, x[-1] - flow.mean[k, rows]) + apply(factor, rows, z)
        x.append(flow.mean[k + 1, rows] + drawn)
    return torch.stack(x)


def _velocity(reference: Reference, flow: Flow, k: int, rows: Tensor, x: Cells, y: Cells) -> Cells:
    """Return the drift of the pinned paths at node ``k``."""
    to_end = flow.to_end[k]
    miss = y - flow.mean[-1, rows] - apply(to_end, rows, x - flow.mean[k, rows])
    pull = torch.linalg.solve(flow.remaining[k], to_end).mT
    return reference.drift(flow.times[k], x) + sigma_of(reference) ** 2 * apply(pull, rows, miss)


def log_weights(reference: Reference, flow: Flow, rows: Tensor, x: Tensor) -> Tensor:
    """Return ``(N,)`` log ratios of the density of paths ``x`` to that of the linear chain.

    Both chains gather the same noise in a step; their means differ by what the flow of the step
    adds to its linearisation.
    """
    total = torch.zeros(len(rows), dtype=torch.float64)
    if isinstance(reference, Affine):
        return total

    def rates(t: float, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (reference.drift(t, state[0]),)

    for k, (start, stop) in enumerate(pairwise(flow.times)):
        linear = flow.mean[k + 1, rows] + apply(flow.steps[k], rows, x[k] - flow.mean[k, rows])
        (moved,) = runge_kutta(rates, start, stop - start, (x[k],))
        extra, noise = moved - linear, x[k + 1] - linear
        scaled = apply(torch.linalg.inv(flow.noises[k]), rows, extra)
        total += (scaled * (noise - extra / 2)).sum(1)
    return total
