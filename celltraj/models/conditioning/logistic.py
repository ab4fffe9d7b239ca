r"""Look ahead to an event by logistic regression on where cells go of their own accord.

At each of some twenty times ``log h / (1 - h)`` is linear in the variables, their squares and, of
few variables, their products and cubes; in time between it lies on straight lines. Regressions go
back in time, each of what the next one says of the states that are reached: so they learn from
passages between neighbouring times, and of events that hardly a path meets. What they miss, weights
make up for. Guarniero, Johansen & Lee, *The iterated auxiliary particle filter* (2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from celltraj._typing import Cells, Earlier
from celltraj.models.conditioning.gaussian import place
from celltraj.models.conditioning.pilot import Passages
from celltraj.models.conditioning.reward import Reward, Worth

_PRODUCTS = 5  # variables up to which their products are looked at
_ITERATIONS = 25  # of Newton's method, which converges in about six
_SETTLED = 1e-8
_RIDGE = 1.0  # a prior of one path in units of the variables' spread
_REACH = 5.0  # spreads beyond which a square grows no more: nothing was seen there


@dataclass(frozen=True, eq=False)
class Odds:
    """Hold the log odds of an event at one time, as a function of the state.

    Parameters
    ----------
    centre, scale
        ``(d,)`` mean and spread of the pilot paths, in [x].
    weights
        Coefficients of a constant, the variables, their squares, products and cubes.
    """

    centre: Tensor
    scale: Tensor
    weights: Tensor

    def __call__(self, x: Cells) -> Earlier:
        """Return the log odds ``(n,)``."""
        value: Tensor = features((x - self.centre) / self.scale) @ self.weights
        return value


@dataclass(frozen=True, eq=False)
class LogisticLookAhead:
    """Look ahead to an event by its log odds at several times.

    Parameters
    ----------
    times
        ``(K,)`` times, in the user's unit.
    odds
        Log odds at each.
    """

    times: Tensor
    odds: tuple[Odds, ...]

    @classmethod
    def of(cls, known: Sequence[Passages], reward: Reward) -> LogisticLookAhead:
        """Return the regressions on passages between the same times, from the last one back.

        At each time of the odds that were found at the next, ``h(t, x) = E[h(t', X_t') | X_t =
        x]``, wherever the states were drawn from.
        """
        times = known[0].times
        found: list[Odds] = []
        for k in reversed(range(len(times))):
            x, onward = (torch.cat([getattr(one, n)[k] for one in known]) for n in ("x", "onward"))
            gained = torch.cat([one.gained[k] for one in known])
            happened = torch.sigmoid(found[-1](onward)) if found else reward(onward).exp()
            found.append(_fitted(x, happened, len(x) * torch.softmax(gained, 0)))
        return cls(torch.tensor(times, dtype=torch.float64), tuple(found[::-1]))

    def __call__(self, t: float, x: Cells) -> Worth:
        """Return the log of the probability and its slope by ``x``; its curvature is left out."""
        k, s = place(self.times, t)
        with torch.enable_grad():
            point = x.detach().requires_grad_()
            value = self.odds[k](point)
            if s > 0:
                value = torch.lerp(value, self.odds[k + 1](point), s)
            log_h = logsigmoid(value)
            (slope,) = torch.autograd.grad(log_h.sum(), point)
        d = x.shape[1]
        return Worth(log_h.detach(), slope, torch.zeros(1, d, d, dtype=x.dtype))


def features(z: Tensor) -> Tensor:
    """Return a constant, the variables, their squares and, of few, their products and cubes."""
    bounded = z.clamp(-_REACH, _REACH)
    parts = [torch.ones_like(z[:, :1]), z, bounded.square() - 1]
    d = z.shape[1]
    if 1 < d <= _PRODUCTS:
        i, j = torch.triu_indices(d, d, 1)
        parts.append(bounded[:, i] * bounded[:, j])
    if d <= _PRODUCTS:
        parts.append(bounded**3 - 3 * bounded)
    return torch.cat(parts, 1)


def _fitted(x: Cells, happened: Earlier, counts: Earlier) -> Odds:
    """Return the log odds of the greatest posterior, by Newton's method."""
    share = counts / counts.sum()
    centre = share @ x
    scale = (share @ (x - centre).square()).sqrt()
    scale = torch.where(scale > 0, scale, 1.0)
    seen = features((x - centre) / scale)
    prior = torch.full((seen.shape[1],), _RIDGE, dtype=x.dtype)
    prior[0] = 1e-6  # of the constant nothing is known beforehand
    weights = torch.zeros_like(prior)
    mean = float((share @ happened).clamp(1e-6, 1 - 1e-6))
    weights[0] = torch.tensor(mean, dtype=x.dtype).logit()
    for _ in range(_ITERATIONS):
        p = torch.sigmoid(seen @ weights)
        slope = seen.T @ (counts * (happened - p)) - prior * weights
        bend = (seen.T * (counts * p * (1 - p))) @ seen + torch.diag(prior)
        step = torch.linalg.solve(bend, slope)
        weights = weights + step * min(1.0, 3.0 / float(step.abs().max().clamp(min=1e-12)))
        if float(step.abs().max()) < _SETTLED:
            break
    return Odds(centre, scale, weights)
