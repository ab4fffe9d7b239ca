"""Rate at which a law of motion produces entropy, from its drift, its noise and a cloud of cells.

With ``D = sigma^2 / 2``, ``s = grad log p`` and the mean velocity ``v = b - D s``, the rate is
``E[v' D^-1 v] >= 0``, in nats per [t]: zero where all currents vanish. Seifert, *Stochastic
thermodynamics, fluctuation theorems and molecular machines* (2012); Boffi & Vanden-Eijnden, *Deep
learning probability flows and entropy production rates in active matter* (2024).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._stats.sign_flips import sign_flip_p, wald
from celltraj._typing import Cells, Earlier, Targets
from celltraj.models.process import Process
from celltraj.models.thermodynamics.score_matching import ScoreFit, matched_score

N_FOLDS = 3
_STEP = 1e-3  # standard deviations, of a difference
_MOST_DIRECTIONS = 30  # beyond so many variables the divergence is told by random directions
_STATIONARY = 0.01  # p below which the density is known to change
_N_DRAWS = 500  # of the bootstrap


@dataclass(frozen=True, eq=False)
class EntropyProduction:
    """Hold the rate of a snapshot, all in nats per [t] but the velocity.

    Parameters
    ----------
    velocity
        ``(n, d)`` mean velocity ``v = b - D s``, in [x]/[t].
    noise
        ``(d,)`` diagonal of ``D``, in [x]^2/[t].
    by_variable
        ``(n, d)`` parts ``v_i^2 / D_i``, which add up to the rate of a cell.
    lower
        ``E[b' D^-1 b] + 2 E[div b] - E[s' D s] - 2 E[div(D s)]``: the truth less the error of the
        score, ``E |s - grad log p|_D^2``.
    plug_in
        ``E[v' D^-1 v]`` with the estimated score: the truth plus that error where the density is
        stationary.
    middle
        ``(lower + plug_in) / 2``, without that error where the density is stationary; else NaN.
    interval
        From the lower end of ``lower`` to the upper one of ``plug_in`` over resampled cells.
    medium, system
        ``E[b' D^-1 v]``, given to the medium, and ``E[div v]``, by which the entropy of the cells
        grows.
    p_stationary
        Of the test that ``E[b . grad f + D lap f]`` is zero for linear and quadratic ``f``.
    """

    velocity: Cells
    noise: Tensor
    by_variable: Cells
    lower: float
    plug_in: float
    middle: float
    interval: tuple[float, float]
    medium: float
    system: float
    p_stationary: float

    @property
    def best(self) -> float:
        """The middle where the density is stationary, else the lower bound."""
        return self.lower if self.middle != self.middle else self.middle


def entropy_production(
    process: Process,
    t: float,
    x: Cells,
    *,
    confidence: float,
    generator: torch.Generator,
) -> EntropyProduction:
    """Return the rate of entropy production of cells that follow a law.

    Parameters
    ----------
    process
        Law of motion, with noise that is the same for all cells.
    t
        Time, in the user's unit.
    x
        ``(n, d)`` cells of that time, float64.
    confidence
        Level of the interval.
    generator
        Source of folds, directions and draws.

    Raises
    ------
    ValueError
        The law has no noise, or noise that depends on the state; too few cells.
    """
    noise = _noise(process, t, x)
    drift = process.drift(t, x).double()
    slope = _divergence(process, t, x, generator)
    fit = matched_score(x, noise, n_folds=N_FOLDS, generator=generator)
    velocity = drift - noise * fit.score
    by_variable = velocity.square() / noise
    plug_in = by_variable.sum(1)
    lower = _lower(drift, slope, fit, noise)
    p = _stationarity(x, drift, noise, generator)
    means = float(lower.mean()), float(plug_in.mean())
    return EntropyProduction(
        velocity,
        noise,
        by_variable,
        *means,
        middle=sum(means) / 2 if p >= _STATIONARY else float("nan"),
        interval=bracket(lower, plug_in, confidence, generator),
        medium=float((drift * velocity / noise).sum(1).mean()),
        system=float((slope - fit.divergence).mean()),
        p_stationary=p,
    )


def _lower(drift: Cells, slope: Earlier, fit: ScoreFit, noise: Tensor) -> Earlier:
    """Return the terms of the lower bound, whose mean it is."""
    spent = (drift.square() / noise).sum(1) + 2 * slope
    return spent - (noise * fit.score.square()).sum(1) - 2 * fit.divergence


def bracket(
    lower: Earlier, upper: Earlier, confidence: float, generator: torch.Generator
) -> tuple[float, float]:
    """Return the ends of the means of two bounds over cells that are drawn again."""
    n, means = len(lower), []
    for _ in range(_N_DRAWS):
        drawn = torch.randint(0, n, (n,), generator=generator)
        means.append(torch.stack([lower[drawn].mean(), upper[drawn].mean()]))
    low, high = torch.stack(means).T
    tail = (1 - confidence) / 2
    return float(torch.quantile(low, tail)), float(torch.quantile(high, 1 - tail))


def _noise(process: Process, t: float, x: Cells) -> Tensor:
    """Return the diagonal of ``D``, ``(d,)``, once it is known to be that of all cells."""
    sigma = process.diffusion(t, x).double()
    if not torch.allclose(sigma, sigma[:1].expand_as(sigma), rtol=1e-5, atol=0):
        raise ValueError(
            f"the noise of the {type(process).__name__} depends on the state; work in variables in "
            "which it is constant, such as the logarithm where it grows with the state"
        )
    if not bool((sigma > 0).all()):
        raise ValueError(
            f"the {type(process).__name__} has no noise, and a law without noise has no finite "
            "entropy production; give it the noise that cells have, such as flow.with_noise(sigma)"
        )
    return sigma[0].square() / 2


def _divergence(process: Process, t: float, x: Cells, generator: torch.Generator) -> Earlier:
    """Return ``div b``, ``(n,)``, by central differences; along random signs in many variables."""
    n, d = x.shape
    if d <= _MOST_DIRECTIONS:
        directions = torch.eye(d, dtype=x.dtype)
    else:
        signs = torch.randint(0, 2, (_MOST_DIRECTIONS, d), generator=generator).to(x.dtype) * 2 - 1
        directions = signs / _MOST_DIRECTIONS**0.5
    scale = x.std(0)
    found = x.new_zeros(n)
    with torch.no_grad():
        for one in directions:
            step = _STEP * scale * one
            ahead, behind = (process.drift(t, x + k * step).double() for k in (1, -1))
            found += ((ahead - behind) * one / (2 * _STEP * scale)).sum(1)
    return found


def _stationarity(x: Cells, drift: Cells, noise: Tensor, generator: torch.Generator) -> float:
    """Return p of ``E[b . grad f + D lap f] = 0`` for linear and squared ``f``."""
    z = (x - x.mean(0)) / x.std(0)
    pull = drift / x.std(0)
    moments = torch.cat([pull, 2 * z * pull + 2 * noise / x.var(0)], 1)
    return sign_flip_p(wald(moments)[1], generator=generator)


def least_rate(x0: Cells, x1: Targets, noise: Tensor, gap: float) -> float:
    """Return the least mean rate of any law that takes one cloud to another, in nats per [t].

    ``W2^2 / gap^2`` in the metric of ``D^-1`` (Benamou & Brenier, 2000), with the lower bound of
    Gelbrich (1990), which is exact for Gaussian clouds and of which few cells make no more:
    ``|m_0 - m_1|^2 + tr(C_0 + C_1 - 2 (C_0^1/2 C_1 C_0^1/2)^1/2)``.
    """
    y0, y1 = x0 / noise.sqrt(), x1 / noise.sqrt()
    moved = (y0.mean(0) - y1.mean(0)).square().sum()
    c0, c1 = (torch.cov(one.T).reshape(one.shape[1], one.shape[1]) for one in (y0, y1))
    root = _root(c0)
    turned = torch.trace(c0) + torch.trace(c1) - 2 * torch.trace(_root(root @ c1 @ root))
    return float(moved + turned.clamp_min(0)) / gap**2


def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    root: Tensor = vectors * values.clamp_min(0).sqrt() @ vectors.T
    return root
