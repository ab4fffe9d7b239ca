r"""Rates of jumps between states, from how many cells were seen in each at several times.

Counts ``n_stk`` of sample ``s``, time ``t`` and state ``k`` are multinomial around the shares
``p_s(t) ~ p_s(0) exp((Q + diag r) (t - t_0))``. The starts ``p_s(0)`` are unknown as well. Rates
have a lognormal prior around one jump in the whole course that is so wide, a factor of twenty in
one standard deviation, that it decides where counts tell nothing, and bounds what would run away.

Shares of one population do not tell all rates: forth and back may balance. The curvature of the
likelihood says which are told. Samples differ by more than the drawing of cells does; Pearson's
statistic per degree of freedom, where above one, widens all intervals (McCullagh & Nelder,
*Generalized linear models*, 1989, section 4.5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.stats import norm
from torch import Tensor

from celltraj.models.jumps.jump_process import JumpProcess, shares_after

SPREAD = math.log(20.0)  # of the prior of the log of a rate
_SPREAD_OF_START = 5.0  # of the logits of the first shares
_TOLD = 0.7  # standard error of the log of a rate, a factor of two, up to which it is told
_LEAST = 1e-12  # of a share


@dataclass(frozen=True, eq=False)
class JumpData:
    """Hold how many cells of each sample were in each state at each time.

    Parameters
    ----------
    states
        Names of the ``K`` states.
    times
        ``(T,)`` sampling times, ascending, in [t].
    counts
        ``(S, T, K)`` numbers of cells; zero throughout where a sample was not seen.
    growth
        ``(K,)`` net growth of each state, in 1/[t].
    may_jump
        ``(K, K)`` whether a cell may jump from one state to the other.
    """

    states: tuple[str, ...]
    times: tuple[float, ...]
    counts: Tensor
    growth: Tensor
    may_jump: Tensor

    @property
    def duration(self) -> float:
        """From the first time to the last, in [t]."""
        return self.times[-1] - self.times[0]

    @property
    def n_rates(self) -> int:
        """How many rates are unknown."""
        return int(self.may_jump.sum())

    def parts(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return rates ``(K, K)`` and first shares ``(S, K)`` of a vector of parameters."""
        n, k = self.n_rates, len(self.states)
        rates = torch.zeros(k, k, dtype=torch.float64)
        rates = rates.masked_scatter(self.may_jump, theta[:n].exp() / self.duration)
        return rates, theta[n:].view(-1, k).softmax(1)

    def shares(self, theta: Tensor) -> Tensor:
        """Return the shares ``(S, T, K)`` that parameters foretell."""
        rates, start = self.parts(theta)
        return shares_after(rates, self.growth, start, [t - self.times[0] for t in self.times])

    def loss(self, theta: Tensor) -> Tensor:
        """Return minus the log posterior of parameters, up to a constant."""
        told = (self.counts * self.shares(theta).clamp(min=_LEAST).log()).sum()
        rates, start = theta[: self.n_rates], theta[self.n_rates :]
        prior = rates.square().sum() / SPREAD**2 + start.square().sum() / _SPREAD_OF_START**2
        value: Tensor = prior / 2 - told
        return value

    def guess(self) -> Tensor:
        """Return parameters to begin with: one jump in the whole course, shares as first seen."""
        pooled = self.counts.sum((0, 1)) + 1
        seen = self.counts.sum(2) > 0
        first = torch.stack(
            [
                sample[int(there.int().argmax())] if there.any() else pooled
                for sample, there in zip(self.counts, seen, strict=True)
            ]
        )
        logits = (first + 0.5).log()
        logits = logits - logits.mean(1, keepdim=True)
        start = torch.full((self.n_rates,), -math.log(len(self.states)), dtype=torch.float64)
        return torch.cat([start, logits.flatten()])

    def dispersion(self, theta: Tensor) -> float:
        """Return Pearson's statistic per degree of freedom, at least 1; 1 where none is left."""
        size = self.counts.sum(2, keepdim=True)
        expected = size * self.shares(theta).detach()
        seen = (size > 0).expand_as(expected) & (expected > _LEAST)
        pearson = float(((self.counts - expected).square() / expected)[seen].sum())
        n_samples, _, k = self.counts.shape
        n_free = int((size > 0).sum()) * (k - 1) - self.n_rates - n_samples * (k - 1)
        return max(1.0, pearson / n_free) if n_free > 0 else 1.0


@dataclass(frozen=True, eq=False)
class JumpFit:
    """Hold what counts tell of the rates of jumps.

    Parameters
    ----------
    data
        What was seen.
    theta
        Parameters of the greatest posterior: logs of rates times the duration, logits of starts.
    """

    data: JumpData
    theta: Tensor

    @property
    def process(self) -> JumpProcess:
        """The process with the likeliest rates."""
        rates, _ = self.data.parts(self.theta)
        return JumpProcess(self.data.states, rates, self.data.growth)

    @property
    def starts(self) -> Tensor:
        """Shares of each sample at the first time, ``(S, K)``."""
        return self.data.parts(self.theta)[1]

    @cached_property
    def dispersion(self) -> float:
        """By how much samples vary more than drawn cells do, as a factor of the variance."""
        return self.data.dispersion(self.theta)

    @cached_property
    def covariance(self) -> Tensor:
        """Of the parameters, by the curvature of the posterior."""
        curvature = torch.autograd.functional.hessian(self.data.loss, self.theta)
        covariance: Tensor = torch.linalg.pinv(curvature, hermitian=True)
        return self.dispersion * covariance

    @property
    def is_identified(self) -> np.ndarray:
        """Whether each rate is known to a factor of two, in the order of ``may_jump``."""
        variance = self.covariance.diagonal()[: self.data.n_rates]
        return (variance.clamp(min=0).sqrt() < _TOLD).numpy()

    def intervals(self, confidence: float) -> tuple[np.ndarray, np.ndarray]:
        """Return both ends of the interval of each rate, in 1/[t], in the order of ``may_jump``.

        Normal in the log of the rate, by the curvature of the posterior.
        """
        n, distance = self.data.n_rates, float(norm.ppf((1 + confidence) / 2))
        half = distance * self.covariance.diagonal()[:n].clamp(min=0).sqrt()
        ends = [((self.theta[:n] + sign * half).exp() / self.data.duration) for sign in (-1, 1)]
        return ends[0].numpy(), ends[1].numpy()

    def forecast(
        self, time: float, confidence: float, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return shares ``(S, K)`` at a time and both ends of their intervals.

        Of 400 parameters drawn by their covariance.
        """
        root = _root(self.covariance)
        noise = torch.randn(400, len(self.theta), dtype=torch.float64, generator=generator)
        drawn = torch.stack([self._shares(one, time) for one in self.theta + noise @ root])
        tail = (1 - confidence) / 2
        low, high = drawn.quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64), 0)
        return self._shares(self.theta, time), low, high

    def _shares(self, theta: Tensor, time: float) -> Tensor:
        rates, start = self.data.parts(theta)
        return shares_after(rates, self.data.growth, start, [time - self.data.times[0]])[:, 0]


def fit_jump_process(data: JumpData) -> JumpFit:
    """Return the likeliest rates of jumps, by L-BFGS.

    Parameters
    ----------
    data
        What was seen.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.jumps.fit import JumpData, fit_jump_process
    >>> counts = torch.tensor([[[1000.0, 0.0], [368.0, 632.0], [135.0, 865.0]]]).double()
    >>> edges = torch.tensor([[False, True], [False, False]])
    >>> data = JumpData(("a", "b"), (0.0, 1.0, 2.0), counts, torch.zeros(2).double(), edges)
    >>> round(float(fit_jump_process(data).process.rates[0, 1]), 1)
    1.0
    """
    return JumpFit(data, _least(data, data.guess()))


def _least(data: JumpData, start: Tensor) -> Tensor:
    """Return the parameters of the least loss."""

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        theta = torch.from_numpy(values).requires_grad_()
        value = data.loss(theta)
        (slope,) = torch.autograd.grad(value, theta)
        return value.item(), slope.numpy()

    options = {"maxiter": 1000, "ftol": 1e-12, "gtol": 1e-6}
    found = minimize(loss, start.numpy(), jac=True, method="L-BFGS-B", options=options)
    theta: Tensor = torch.from_numpy(found.x)
    return theta


def _root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root
