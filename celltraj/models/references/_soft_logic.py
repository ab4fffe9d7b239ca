r"""Least squares of one gene's soft logic with an L1 penalty.

With ``r = v logistic(b + H (p - q)) - g x - y`` the residual at weighted points and ``W = p - q``
split into its positive and negative part, minimise over ``v, g, p, q >= 0``

    sum w r^2 / sum w y^2 + l1 sum (p + q) + ridge b^2

which is smooth, so that bounds take the place of a proximal step: a weight that does not pay is
exactly zero. The ridge settles what data leave open, a bias that trades with the production of a
gene that is never far from off.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import minimize, nnls
from scipy.special import expit
from threadpoolctl import threadpool_limits

_STEEPEST = 20.0  # weight beyond which a logistic of inputs in [0, 1] is a step


@dataclass(frozen=True)
class Logic:
    """Hold the law of one gene: ``production`` in [x]/[t], ``degradation`` in 1/[t]."""

    production: float
    degradation: float
    bias: float
    weights: np.ndarray


@dataclass(frozen=True)
class LogicProblem:
    """Hold the points that one gene is fitted to.

    Parameters
    ----------
    inputs
        ``(n, m)`` saturated levels of its possible regulators, in [0, 1].
    level, speed
        ``(n,)`` its own level, in [x], and velocity, in [x]/[t].
    share
        ``(n,)`` weights of the points.
    l1, ridge
        Penalties of a weight, and of the square of a bias, of one.
    """

    inputs: np.ndarray
    level: np.ndarray
    speed: np.ndarray
    share: np.ndarray
    l1: float
    ridge: float

    @cached_property
    def units(self) -> tuple[float, float]:
        """Return the root mean squares of level and speed, which set the unit of time."""
        squares = [float(self.share @ v**2 / self.share.sum()) for v in (self.level, self.speed)]
        level, speed = (np.sqrt(value) if value > 0 else 1.0 for value in squares)
        return float(level), float(speed)

    def loss(self, free: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the objective and its gradient at ``(v, g, b, p, q)``, rates without unit."""
        level, speed = self.units
        m = self.inputs.shape[1]
        (production, degradation, bias), p, q = free[:3], free[3 : 3 + m], free[3 + m :]
        on = expit(bias + self.inputs @ (p - q))
        x, y = self.level / level, self.speed / speed
        residual = production * on - degradation * x - y
        weighted = self.share / self.share.sum() * residual
        slope = 2 * weighted * production * on * (1 - on)
        to_weights = self.inputs.T @ slope
        rates = [2 * weighted @ on, -2 * weighted @ x, slope.sum() + 2 * self.ridge * bias]
        gradient = np.concatenate([rates, to_weights + self.l1, -to_weights + self.l1])
        penalty = self.l1 * (p + q).sum() + self.ridge * bias**2
        return float(weighted @ residual + penalty), gradient


def fit_logic(problem: LogicProblem, start: Logic | None) -> Logic:
    """Return the law of least squares, from ``start``, or from a gene that nothing regulates."""
    level, speed = problem.units
    m = problem.inputs.shape[1]
    if start is None:
        first = _unregulated(problem)
    else:
        rates = [start.production / speed, start.degradation * level / speed, start.bias]
        first = np.concatenate([rates, start.weights.clip(0), (-start.weights).clip(0)])
    bounds = [(0, None), (0, None), (-_STEEPEST, _STEEPEST), *[(0, _STEEPEST)] * (2 * m)]
    options = {"maxiter": 1000, "maxfun": 2000, "ftol": 1e-12, "gtol": 1e-8}
    with threadpool_limits(1, user_api="blas"):  # products this thin are slower on more threads
        found = minimize(
            problem.loss, first, jac=True, method="L-BFGS-B", bounds=bounds, options=options
        ).x
    return Logic(
        production=found[0] * speed,
        degradation=found[1] * speed / level,
        bias=found[2],
        weights=found[3 : 3 + m] - found[3 + m :],
    )


def _unregulated(problem: LogicProblem) -> np.ndarray:
    """Return constant production at half its height, and decay, by least squares."""
    level, speed = problem.units
    root = np.sqrt(problem.share)
    design = np.stack([np.full_like(root, 0.5), -problem.level / level], 1) * root[:, None]
    rates, _ = nnls(design, problem.speed / speed * root)
    # a gene without production has no gradient to its weights
    return np.concatenate([rates.clip(0.1), np.zeros(1 + 2 * problem.inputs.shape[1])])
