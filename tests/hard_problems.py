"""Problems that are known to break transport solvers: name -> (cost, a, b, epsilon)."""

import numpy as np
import torch


def _cloud(n, m, d=5, seed=0):
    rng = np.random.default_rng(seed)
    centres = 3 * rng.normal(size=(4, d))
    x = centres[rng.integers(4, size=n)] + rng.normal(size=(n, d))
    y = centres[rng.integers(4, size=m)] + 0.5 + rng.normal(size=(m, d))
    return x, y


def _cost(x, y):
    return ((x[:, None] - y[None]) ** 2).sum(-1) / 2


def _problem(cost, epsilon, a=None, b=None):
    n, m = cost.shape
    a = np.full(n, 1 / n) if a is None else np.asarray(a, float) / np.sum(a)
    b = np.full(m, 1 / m) if b is None else np.asarray(b, float) / np.sum(b)
    scale = cost.mean() if cost.mean() > 0 else 1.0
    return torch.from_numpy(cost), torch.from_numpy(a), torch.from_numpy(b), epsilon * scale


def _bumps(n=120):
    grid = np.linspace(0, 1, n)
    a = np.exp(-((grid - 0.2) ** 2) / 0.002) + 1e-8
    b = np.exp(-((grid - 0.8) ** 2) / 0.002) + 1e-8
    return grid[:, None], a, b


def _blocks(mismatch, n=40):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(n, 2)), rng.normal(size=(n, 2)) + 100])
    y = np.concatenate([rng.normal(size=(n, 2)), rng.normal(size=(n, 2)) + 100])
    a = np.ones(2 * n)
    a[:n] *= 1 + mismatch
    return _cost(x, y), a


def hard_problems():
    rng = np.random.default_rng(1)
    x, y = _cloud(150, 130)
    cost = _cost(x, y)
    problems = {f"epsilon {e:g}": _problem(cost, e) for e in (1e-4, 1e-5, 1e-6)}
    for tiny in (1e-10, 1e-12):
        weights = np.ones(150)
        weights[::3] = tiny
        problems[f"weights {tiny:g}"] = _problem(cost, 2e-3, weights)
    zeros_a, zeros_b = rng.random(150) > 0.3, rng.random(130) > 0.3
    problems["zero weights"] = _problem(cost, 2e-3, zeros_a, zeros_b)
    problems["duplicates"] = _problem(np.repeat(cost[:30], 5, 0), 2e-3)
    problems["itself"] = _problem(_cost(x, x), 2e-3)
    problems["m = 3"] = _problem(cost[:, :3], 2e-3)
    problems["n = 3"] = _problem(cost[:3], 2e-3)
    problems["zero cost"] = _problem(np.zeros((20, 30)), 1.0)
    outliers = cost.copy()
    outliers[:5] += 1000
    problems["outlier rows"] = _problem(outliers, 2e-3)
    ties = rng.integers(0, 4, size=(100, 100)).astype(float)
    problems["tied integers"] = _problem(ties, 2e-3)
    grid, a, b = _bumps()
    problems["bumps L2"] = _problem(_cost(grid, grid), 2e-3, a, b)
    problems["bumps L1"] = _problem(np.abs(grid - grid.T), 2e-3, a, b)
    for mismatch in (0, 1e-6, 0.2):
        far, a = _blocks(mismatch)
        problems[f"blocks {mismatch:g}"] = _problem(far, 1e-5, a)
    return problems
