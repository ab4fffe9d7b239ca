"""Simulation against closed-form moments, and its order of convergence."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from analytic import OrnsteinUhlenbeck, normal

from celltraj.models import Brownian, simulate


def run(process, x0, times, **options):
    return simulate(process, x0, times, generator=torch.Generator().manual_seed(0), **options).x


def assert_normal(x, variance):
    """Standard errors: sqrt(v / n) of a mean, sqrt(2 / n) v of a Gaussian variance."""
    n = len(x)
    assert abs(float(x.mean())) < 4 * (variance / n) ** 0.5
    assert abs(float(x.var()) - variance) < 4 * variance * (2 / n) ** 0.5


def test_variance_of_brownian_motion_at_unequal_times():
    states = run(Brownian(0.7), torch.zeros(20_000, 1).double(), (0.0, 0.3, 2.0), n_steps=4)
    for x, t in zip(states[1:], (0.3, 2.0), strict=True):
        assert_normal(x, 0.49 * t)


@pytest.mark.parametrize("times", [(0.0, 0.5, 1.0), (1.0, 0.5, 0.0)])
def test_stationary_law_stays_forwards_and_backwards(times):
    for x in run(OrnsteinUhlenbeck(), normal(20_000, 1, seed=0), times, n_steps=200):
        assert_normal(x, 1.0)


def test_probability_flow_of_a_stationary_law_stands_still():
    x0 = normal(10, 2, seed=0)
    torch.testing.assert_close(run(OrnsteinUhlenbeck(), x0, (0.0, 3.0), ode=True)[-1], x0)


@dataclass(frozen=True)
class Decay:
    """``dx = -x dt`` without noise, whose solution is ``exp(-t)``."""

    def drift(self, t, x):
        return -x

    def diffusion(self, t, x):
        return torch.zeros_like(x)

    def score(self, t, x):
        return torch.zeros_like(x)


@pytest.mark.parametrize("ode", [False, True])
def test_order_of_convergence(ode):
    x0 = torch.ones(1, 1, dtype=torch.float64)
    steps = np.array([20, 40, 80, 160])
    errors = [
        abs(float(run(Decay(), x0, (0.0, 1.0), n_steps=int(n), ode=ode)[-1]) - math.exp(-1))
        for n in steps
    ]
    fitted = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert fitted == pytest.approx(2, abs=0.1)


def test_days_and_hours_give_the_same_paths():
    x0 = normal(50, 2, seed=0)
    days = run(Brownian(0.7), x0, (0.0, 1.0, 3.0))
    hours = run(Brownian(0.7 / 24**0.5), x0, (0.0, 24.0, 72.0))
    torch.testing.assert_close(days, hours)


def test_same_seed_same_result_and_global_state_untouched():
    before = torch.get_rng_state()
    x0 = normal(5, 2, seed=0)
    torch.testing.assert_close(
        run(Brownian(1.0), x0, (0.0, 1.0)), run(Brownian(1.0), x0, (0.0, 1.0)), rtol=0, atol=0
    )
    assert torch.equal(torch.get_rng_state(), before)


def test_bad_requests():
    x0 = torch.zeros(2, 1, dtype=torch.float64)
    for times in ((0.0,), (0.0, 0.0), (0.0, 1.0, 0.5)):
        with pytest.raises(ValueError, match="monotone"):
            run(Brownian(1.0), x0, times)
    with pytest.raises(TypeError, match="only be simulated forwards"):
        run(Brownian(1.0), x0, (1.0, 0.0))

    class Explosive(Brownian):
        def drift(self, t, x):
            return torch.full_like(x, torch.inf)

    with pytest.raises(ValueError, match="non-finite"):
        run(Explosive(1.0), x0, (0.0, 1.0))


class Multiplicative:
    """``dX = X dW / 2``, whose mean stays in Ito's sense and grows in Stratonovich's."""

    def drift(self, t, x):
        return torch.zeros_like(x)

    def diffusion(self, t, x):
        return 0.5 * x


def test_noise_that_depends_on_the_state_is_ito():
    n = 20_000
    end = run(Multiplicative(), torch.ones(n, 1).double(), (0.0, 1.0), n_steps=50)[-1]
    # Var X = exp(1/4) - 1; Stratonovich's mean would be exp(1/8)
    assert abs(float(end.mean()) - 1) < 4 * (math.exp(0.25) - 1) ** 0.5 / n**0.5
