"""Fused Gromov-Wasserstein transport as a problem: its value, its gradient and its starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import ot as pot
import torch

from celltraj._arrays import ArrayLike, as_floats
from celltraj.ot._cost import DenseCost
from celltraj.ot._problem import Problem
from celltraj.ot._sparse_newton import SparseNewtonSinkhorn
from celltraj.ot._within import Within

INNER = 1e-8  # of the mass, up to which the marginals of an entropic plan hold
_QUANTILES = 32  # of the distances of a cell, that its profile is kept as


@dataclass(frozen=True)
class FusedProblem:
    """Hold a fused problem in units of its means, between weights ``p`` and ``q`` of sum 1."""

    cost: np.ndarray
    within: tuple[np.ndarray, np.ndarray]
    p: np.ndarray
    q: np.ndarray
    alpha: float
    epsilon: float
    scale: float

    @classmethod
    def of(cls, problem: Problem, within: Within, *, alpha: float, epsilon: float) -> FusedProblem:
        p, q = (w.numpy() / float(w.sum()) for w in (problem.a, problem.b))
        cost = problem.cost.dense().numpy()
        scale = float(p @ cost @ q) or 1.0
        return cls(cost / scale, within.scaled(p, q), p, q, alpha, epsilon / scale, scale)

    def starts(self) -> Mapping[str, np.ndarray]:
        """Return plans to start from, by name."""
        by_features = self.alpha < 1 and float(np.ptp(self.cost)) > 0
        if self.alpha == 0:
            return {"features": self._plan(self.cost)}
        found = {"features": self._plan(self.cost)} if by_features else {}
        profiles = (_profiles(d, w) for d, w in zip(self.within, (self.p, self.q), strict=True))
        apart = pot.dist(*profiles) / _QUANTILES
        found["profiles"] = self._plan((1 - self.alpha) * self.cost + self.alpha * apart)
        found["product"] = np.outer(self.p, self.q)
        return found

    def fitted(self, start: ArrayLike) -> np.ndarray:
        """Return a given start with the marginals of the problem, as far as scaling gives them."""
        plan = as_floats(start, "start", "(n, m)").numpy()
        if plan.shape != self.cost.shape or plan.min() < 0 or not plan.sum() > 0:
            raise ValueError(
                f"start must be a plan of shape {self.cost.shape}, not negative and not all zero; "
                f"found shape {plan.shape}, minimum {plan.min():g}, sum {plan.sum():g}"
            )
        plan = plan / plan.sum()
        # what a plan of other marginals lacks is made up for by a product, so that none is missed
        excess = np.maximum(plan.sum(1) / np.where(self.p > 0, self.p, np.inf), 1.0)
        plan = plan / excess[:, None]
        excess = np.maximum(plan.sum(0) / np.where(self.q > 0, self.q, np.inf), 1.0)
        plan = plan / excess
        rows, columns = self.p - plan.sum(1), self.q - plan.sum(0)
        missing = max(float(rows.sum()), 1e-300)
        fitted: np.ndarray = plan + np.outer(rows.clip(0), columns.clip(0)) / missing
        return fitted

    def _plan(self, cost: np.ndarray) -> np.ndarray:
        """Return plain transport by a cost, with the entropy of the problem."""
        if self.epsilon:
            return self.entropic(cost)
        plan: np.ndarray = pot.emd(self.p, self.q, cost, numItermax=10**7)
        return plan

    def entropic(self, cost: np.ndarray) -> np.ndarray:
        """Return entropic transport by a cost."""
        p, q = torch.from_numpy(self.p), torch.from_numpy(self.q)
        solver = SparseNewtonSinkhorn(INNER)
        found = solver(DenseCost(torch.from_numpy(cost)), p, q, epsilon=self.epsilon)
        return found.to_dense().numpy()

    def structure(self, plan: np.ndarray) -> np.ndarray:
        """Return ``sum_kl |Dx_ik - Dy_jl|^2 P_kl``, ``(n, m)``."""
        x, y = self.within
        squares = (x**2 @ plan.sum(1))[:, None] + (y**2 @ plan.sum(0))
        result: np.ndarray = squares - 2 * x @ plan @ y
        return result

    def gradient(self, plan: np.ndarray) -> np.ndarray:
        """Return the derivative of the objective without entropy."""
        result: np.ndarray = (1 - self.alpha) * self.cost
        return result + 2 * self.alpha * self.structure(plan) if self.alpha else result

    def objective(self, plan: np.ndarray) -> float:
        """Return what a plan costs, its entropy relative to ``p q'`` included."""
        value = (1 - self.alpha) * float((self.cost * plan).sum())
        if self.alpha:
            value += self.alpha * float((self.structure(plan) * plan).sum())
        if self.epsilon:
            there = plan > 0
            free = np.outer(self.p, self.q)[there]
            value += self.epsilon * float((plan[there] * np.log(plan[there] / free)).sum())
        return value


def _profiles(distances: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return quantiles ``(n, q)`` of the distances that each cell has to the weight of its side."""
    at = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    found = np.empty((len(distances), _QUANTILES))
    for i, row in enumerate(distances):
        order = np.argsort(row)
        passed = np.searchsorted(np.cumsum(weights[order]), at).clip(max=len(row) - 1)
        found[i] = row[order[passed]]
    return found
