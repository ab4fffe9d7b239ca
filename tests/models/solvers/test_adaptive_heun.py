"""Adaptive steps of SDEs: strong order, tolerance, and noise that refused steps do not bias."""

import math

import numpy as np
import pytest
import torch

from celltraj.models import AdaptiveHeun, simulate
from celltraj.models.solvers import Equation

D = torch.float64


class Geometric:
    """``dX = mu X dt + s X dW``, whose end is ``exp((mu - s^2 / 2) T + s W_T)``."""

    mu, s = 0.5, 0.8

    def drift(self, t, x):
        return self.mu * x

    def diffusion(self, t, x):
        return self.s * x


class Pull:
    """``dX = -k X dt + dW``."""

    def __init__(self, rate=1.0):
        self.rate = rate

    def drift(self, t, x):
        return -self.rate * x

    def diffusion(self, t, x):
        return torch.ones_like(x)


def run(process, x0, times, rtol, seed=0, atol=None):
    solver = AdaptiveHeun(rtol, rtol if atol is None else atol)
    generator = torch.Generator().manual_seed(seed)
    return simulate(process, x0, times, solver=solver, generator=generator)


def test_strong_order_in_the_tolerance():
    n, x0 = 400, torch.ones(400, 1, dtype=D)
    # the increment over the whole interval is drawn first, whatever the steps are
    end = torch.randn(n, 1, dtype=D, generator=torch.Generator().manual_seed(0))
    exact = torch.exp(Geometric.mu - Geometric.s**2 / 2 + Geometric.s * end)
    errors, costs = [], []
    for rtol in (1e-1, 1e-2, 1e-3):
        path = run(Geometric(), x0, (0.0, 1.0), rtol)
        errors.append(float((path.x[-1] - exact).square().mean().sqrt()))
        costs.append(path.n_evaluations)
    # the error of a step is of order h, and so is what strong order 1 leaves of it in the end
    order = -np.polyfit(np.log(costs), np.log(errors), 1)[0]
    assert order == pytest.approx(1.0, abs=0.25)
    assert errors[-1] < 0.005 * float(exact.mean())


def test_a_tolerance_is_kept_and_paid_for():
    asked, costs = [], []

    def velocity(t, x):
        asked.append(t)
        return math.cos(t) * x

    for rtol in (1e-2, 1e-3, 1e-4):
        asked.clear()
        solver = AdaptiveHeun(rtol, rtol)
        start = torch.ones(1, 1, dtype=D)
        end = solver(Equation(velocity), start, (0.0, 2.0), generator=torch.Generator())
        assert abs(float(end[-1]) - math.exp(math.sin(2.0))) < 10 * rtol
        costs.append(len(asked))
    assert costs[0] < costs[1] < costs[2]


@pytest.mark.parametrize("rtol", [0.05, 0.01])
def test_refused_steps_leave_the_law_of_the_end(rtol):
    # a stiff pull, so that the first tries are refused, and noise decides how often
    n = 40_000
    path = run(Pull(30.0), torch.full((n, 1), 3.0, dtype=D), (0.0, 1.0), rtol)
    variance = float(path.x[-1].var())
    standard = (2 / n) ** 0.5
    # steps of this tolerance may themselves be as far off in the variance
    assert variance == pytest.approx(1 / 60, rel=4 * standard + rtol)
    assert abs(float(path.x[-1].mean())) < 4 * (1 / 60 / n) ** 0.5 + rtol / 60


def test_noise_of_few_cells_is_not_biased_by_what_was_refused():
    """One cell alone: its own noise decides its steps, where a bias would show."""
    n, one = 300, torch.ones(1, 1, dtype=D)
    ends = [float(run(Geometric(), one, (0.0, 1.0), 0.05, seed).x[-1]) for seed in range(n)]
    logs = np.log(ends)
    s, mean = Geometric.s, Geometric.mu - Geometric.s**2 / 2
    assert abs(logs.mean() - mean) < 4 * s / n**0.5 + 0.02
    assert abs(logs.var() / s**2 - 1) < 4 * (2 / n) ** 0.5 + 0.02


def test_a_step_that_cannot_be_short_enough_is_refused():
    with pytest.raises(ValueError, match="times its tolerance; raise rtol"):
        simulate(
            Pull(1e6),
            torch.ones(2, 1, dtype=D),
            (0.0, 1.0),
            solver=AdaptiveHeun(1e-3, 1e-6, max_halvings=4),
            generator=torch.Generator(),
        )
