"""Straight lines at the speed that costs the population least kinetic energy."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.integrate import cumulative_trapezoid
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from celltraj._card import card
from celltraj._checks import checked_fields
from celltraj._typing import Earlier
from celltraj.models.interpolants._curves import HermiteCurves, Schedule, ScheduledCurves
from celltraj.models.interpolants._interpolant import (
    bridge_noise,
    check_sigma,
    ends_of,
    fitted,
    with_noise_of,
)

_NODES = 17  # of beta, and of s, in each gap
_MOST_PAIRS = 500  # of a gap that the mean velocity is estimated from
_FLOOR = 0.05  # of the greatest g: where the flow stands still, paths are 4.5 times as fast at most


@card()
@checked_fields
@dataclass(frozen=True, eq=False)
class KineticInterpolant:
    r"""Join neighbouring cells of a chain by straight lines, at the speed of least kinetic energy.

    ``x_t = x0 + beta(s) (x1 - x0)`` with ``s = (t - t0)/(t1 - t0)``, and beta from 0 to 1. At the
    place ``beta`` the flow moves by ``beta' u``, where ``u(x) = E[x1 - x0 | x_beta = x]`` depends
    on the place alone. With ``g(beta) = E|u(x_beta)|^2`` its kinetic energy over a gap is

        int beta'^2 g(beta) ds >= (int beta' sqrt(g(beta)) ds)^2 = (int_0^1 sqrt(g(b)) db)^2

    by the inequality of Cauchy and Schwarz, with equality where ``beta' sqrt(g(beta))`` is
    constant: ``beta' ~ 1 / sqrt(g(beta))``. Under an exact coupling, whose lines do not cross,
    ``g`` is constant and so is the speed; under a loose one, lines cross half way, the flow there
    is their small mean, and beta hurries through. The noise is a Brownian bridge over each gap.

    ``fit`` estimates ``g`` at 17 places of each gap, without the noise, by the regression of
    Nadaraya and Watson: ``g = E[(x1 - x0) . u_without(x_beta)]`` where a pair is left out of its
    own ``u``, so that its scatter about ``u`` averages out. ``g`` is taken as 5 % of its greatest
    value at least.

    **Where it gains**: in kinetic energy, where a loose coupling joins populations that lie upon
    each other. Independent pairs of two equal Gaussians save ``1 - (2 - sqrt 2)^2 / (2 - pi/2)``,
    20 % (flows trained on 400 such cells moved with 14 % less than along straight lines), and of
    one three times as wide as the other 16 %; but where they lie one standard deviation apart 1 %
    in one variable and 7 % in five, and three apart half a percent at most.
    **Where not**: under the entropic couplings of embryoid bodies, at most 1.1 % at the default
    sigma and 5 % at 30 times as much. Nor is it a better guess of cells at held-out times, since
    it changes when a flow passes its states more than which; ``ReferenceInterpolant`` is for that.

    Parameters
    ----------
    sigma
        Noise, in [x]/sqrt([t]); None takes that of the fit.
    schedule
        ``(T - 1, K)`` beta of each gap at K equally spaced s from 0 to 1, joined by the monotone
        cubic; None takes the optimal one of the fit.

    Raises
    ------
    ValueError
        ``sigma`` is negative, or a row of ``schedule`` does not rise from 0 to 1.

    References
    ----------
    Shaul et al., *On kinetic optimal probability paths for generative models* (2023); Scott,
    *Multivariate density estimation* (1992), for the width of the kernel.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import KineticInterpolant
    >>> times, first = torch.tensor([0.0, 1.0]), torch.tensor([0])
    >>> chain = torch.tensor([0.0, 4.0]).reshape(2, 1, 1)
    >>> late = KineticInterpolant(schedule=torch.tensor([[0.0, 0.25, 1.0]]))
    >>> x, _ = late.curves(times, chain, first).at(first, torch.tensor([0.5]))
    >>> float(x)
    1.0
    """

    sigma: float | None = None
    schedule: Tensor | None = None

    def __post_init__(self) -> None:
        check_sigma(self)
        if self.schedule is not None:
            _check_schedule(self.schedule)

    def fit(self, times: Tensor, chain: Tensor, gap: Tensor, *, sigma: float) -> KineticInterpolant:
        """Return the interpolant with the optimal schedule of each gap.

        Gaps without chains have the straight one.
        """
        current: KineticInterpolant = with_noise_of(self, sigma)
        if current.schedule is not None:
            return current
        rows = [_spread_out((gap == k).nonzero().flatten()) for k in range(len(times) - 1)]
        energies = [_energies(*ends_of(chain[:, here], gap[here])) for here in rows]
        return replace(current, schedule=torch.stack([_optimal(g) for g in energies]))

    def curves(self, times: Tensor, chain: Tensor, gap: Tensor) -> ScheduledCurves:
        """Return the line of each chain ``(T, n, d)`` over its gap ``(n,)``.

        Raises
        ------
        ValueError
            There is no schedule yet, or not one for each gap.
        """
        beta = _as_curves(fitted(self, self.schedule, "schedule"))
        if len(beta.start) != len(times) - 1:
            raise ValueError(f"{len(times) - 1} gaps have {len(beta.start)} schedules; fit again")

        def weights(rows: Tensor, s: Tensor) -> Schedule:
            value, slope = (part[:, 0] for part in beta.at(gap[rows], s))
            none = torch.zeros_like(value)
            return Schedule(none, value, none, slope)

        x0, x1 = ends_of(chain, gap)
        # both ends measured from the first: what moves is x1 - x0, times beta
        return ScheduledCurves(times[gap], times[gap + 1] - times[gap], x0, x1, x0, x0, weights)

    def noise(self, times: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return gamma ``(n,)`` and ``gamma gamma'`` of a Brownian bridge over each gap."""
        return bridge_noise(self, times, t)


def _spread_out(rows: Tensor) -> Tensor:
    """Return evenly spaced rows, few enough for all their distances; chains may be sorted."""
    return rows[:: math.ceil(max(len(rows), 1) / _MOST_PAIRS)]


def _check_schedule(beta: Tensor) -> None:
    if beta.ndim != 2 or beta.shape[1] < 2:
        raise ValueError(f"schedule must have shape (T - 1, K); found {tuple(beta.shape)}")
    if (beta[:, 0] != 0).any() or (beta[:, -1] != 1).any() or not (beta.diff(dim=1) >= 0).all():
        raise ValueError("each row of schedule must rise from 0 to 1 and never fall")


def _as_curves(schedule: Tensor) -> HermiteCurves:
    """Return the monotone cubic through the schedule of each gap, as a path of one variable."""
    beta = schedule.double().T.numpy()
    at = np.linspace(0, 1, len(beta))
    slope = PchipInterpolator(at, beta).derivative()(at)
    x, v = (torch.from_numpy(part)[:, :, None] for part in (beta, slope))
    ones = torch.ones(len(schedule), dtype=torch.float64)
    return HermiteCurves(0 * ones, ones, x, v)


def _energies(x0: Tensor, x1: Tensor) -> Earlier:
    """Return ``g`` at equally spaced values of beta, of pairs ``(n, d)``; 1 where it is unknown."""
    # a pair that was drawn twice would explain itself
    ends, counts = torch.unique(torch.cat([x0, x1], 1).double(), dim=0, return_counts=True)
    if len(ends) < 2:
        return torch.ones(_NODES, dtype=torch.float64)
    start, stop = ends.tensor_split(2, dim=1)
    velocity = stop - start
    share = counts.double() / counts.sum()
    # Scott's rule, n the effective number of pairs
    width = float(share.square().sum()) ** (1 / (start.shape[1] + 4))
    own = torch.eye(len(ends), dtype=torch.bool)
    energies = []
    for beta in torch.linspace(0, 1, _NODES, dtype=torch.float64):
        x = start + beta * velocity
        unit = (share @ (x - share @ x).square()).sqrt()
        z = x / torch.where(unit > 0, unit, torch.ones_like(unit))
        logits = share.log() - torch.cdist(z, z).square() / (2 * width**2)
        others = torch.softmax(logits.masked_fill(own, -torch.inf), 1)
        energies.append(share @ (velocity * (others @ velocity)).sum(1))
    return torch.stack(energies)


def _optimal(g: Earlier) -> Earlier:
    """Return beta at equally spaced s, with ``beta' ~ 1 / sqrt(g(beta))``."""
    at = np.linspace(0, 1, len(g))
    most = float(g.max())
    if not most > 0:  # nobody moves, or to nowhere in common
        return torch.from_numpy(at)
    # the floor costs energy, but never more than the straight schedule: for sqrt(g) -> f,
    # int f int g/f <= int g while f and g/f both rise with g (Chebyshev's inequality)
    root = g.clamp(min=_FLOOR * most).sqrt().numpy()
    s = cumulative_trapezoid(root, at, initial=0)
    beta = PchipInterpolator(s / s[-1], at)(at)
    beta[[0, -1]] = 0, 1
    return torch.from_numpy(beta)
