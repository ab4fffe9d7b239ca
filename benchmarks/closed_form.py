"""The Schrödinger bridge between two Gaussians in closed form.

Reference ``dX = sigma dW`` on [0, 1], ends ``N(m0, S0)`` and ``N(m1, S1)``. Bunne, Hsieh, Cuturi,
Krause, *The Schrödinger bridge between Gaussian measures has a closed form* (2022), theorem 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class GaussianBridge:
    """Hold the bridge from ``N(m0, S0)`` at time 0 to ``N(m1, S1)`` at time 1.

    Parameters
    ----------
    m0, m1
        ``(d,)`` means.
    S0, S1
        ``(d, d)`` covariances.
    sigma
        Diffusion of the reference.
    """

    m0: np.ndarray
    S0: np.ndarray
    m1: np.ndarray
    S1: np.ndarray
    sigma: float

    @cached_property
    def cross_covariance(self) -> np.ndarray:
        """``C = Cov(X0, X1) = (R D R^-1 - sigma^2 I) / 2`` with ``R = S0^(1/2)``.

        ``D = (4 R S1 R + sigma^4 I)^(1/2)``; the cross-covariance of the entropic plan for the cost
        ``|x - y|^2 / 2`` with regularisation ``sigma^2``.
        """
        identity = np.eye(len(self.m0))
        root = _matrix_power(self.S0, 0.5)
        d = _matrix_power(4 * root @ self.S1 @ root + self.sigma**4 * identity, 0.5)
        return (root @ d @ _matrix_power(self.S0, -0.5) - self.sigma**2 * identity) / 2

    def mean(self, s: float) -> np.ndarray:
        """Return ``(1 - s) m0 + s m1``."""
        return (1 - s) * self.m0 + s * self.m1

    def covariance(self, s: float) -> np.ndarray:
        """Return the covariance of ``(1 - s) X0 + s X1`` plus ``sigma^2 s (1 - s) I``."""
        c = self.cross_covariance
        noise = self.sigma**2 * np.eye(len(self.m0))
        return (1 - s) ** 2 * self.S0 + s**2 * self.S1 + s * (1 - s) * (c + c.T + noise)

    def drift(self, s: float, x: np.ndarray) -> np.ndarray:
        """Return ``(E[X1 | X_s = x] - x) / (1 - s)`` for ``(n, d)`` states."""
        with_end = (1 - s) * self.cross_covariance.T + s * self.S1  # Cov(X1, X_s)
        gain = np.linalg.solve(self.covariance(s), with_end.T)
        return (self.m1 + (x - self.mean(s)) @ gain - x) / (1 - s)

    def sample(self, s: float, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw ``(n, d)`` cells of the marginal at ``s``."""
        factor = np.linalg.cholesky(self.covariance(s))
        return self.mean(s) + rng.standard_normal((n, len(self.m0))) @ factor.T


def gaussian_kl(m: np.ndarray, S: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> float:
    """Return ``KL(N(m, S) | N(mean, covariance))``."""
    difference = mean - m
    trace = np.trace(np.linalg.solve(covariance, S))
    distance = difference @ np.linalg.solve(covariance, difference)
    log_volume = np.linalg.slogdet(covariance)[1] - np.linalg.slogdet(S)[1]
    return float(trace + distance + log_volume - len(m)) / 2


def _matrix_power(a: np.ndarray, exponent: float) -> np.ndarray:
    """Return a power of a symmetric positive definite matrix."""
    values, vectors = np.linalg.eigh(a)
    return (vectors * values**exponent) @ vectors.T
