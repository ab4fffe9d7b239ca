"""Simulation against closed-form moments, and its order of convergence."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from analytic import OrnsteinUhlenbeck, normal

from celltraj.models import (
    Brownian,
    DormandPrince,
    Equation,
    ExponentialEuler,
    ExponentialMidpoint,
    GrowingProcess,
    Midpoint,
    simulate,
)
from celltraj.models import OrnsteinUhlenbeck as Pull


def run(process, x0, times, **options):
    return simulate(process, x0, times, generator=torch.Generator().manual_seed(0), **options).x


def assert_normal(x, variance):
    """Standard errors: sqrt(v / n) of a mean, sqrt(2 / n) v of a Gaussian variance."""
    n = len(x)
    assert abs(float(x.mean())) < 4 * (variance / n) ** 0.5
    assert abs(float(x.var()) - variance) < 4 * variance * (2 / n) ** 0.5


def test_variance_of_brownian_motion_at_unequal_times():
    states = run(
        Brownian(0.7), torch.zeros(20_000, 1).double(), (0.0, 0.3, 2.0), solver=Midpoint(n_steps=4)
    )
    for x, t in zip(states[1:], (0.3, 2.0), strict=True):
        assert_normal(x, 0.49 * t)


@pytest.mark.parametrize("times", [(0.0, 0.5, 1.0), (1.0, 0.5, 0.0)])
def test_stationary_law_stays_forwards_and_backwards(times):
    for x in run(
        OrnsteinUhlenbeck(), normal(20_000, 1, seed=0), times, solver=Midpoint(n_steps=200)
    ):
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
        abs(
            float(run(Decay(), x0, (0.0, 1.0), solver=Midpoint(n_steps=int(n)), ode=ode)[-1])
            - math.exp(-1)
        )
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
    end = run(Multiplicative(), torch.ones(n, 1).double(), (0.0, 1.0), solver=Midpoint(n_steps=50))[
        -1
    ]
    # Var X = exp(1/4) - 1; Stratonovich's mean would be exp(1/8)
    assert abs(float(end.mean()) - 1) < 4 * (math.exp(0.25) - 1) ** 0.5 / n**0.5


@dataclass(frozen=True)
class Growing(Decay):
    """Multiply at the rate of one's state: ``log mass = 1 - exp(-t)`` from 1."""

    has_growth: bool = True

    def growth(self, t, x):
        return x[:, 0]


def simulated(process, x0, times, **options):
    return simulate(process, x0, times, generator=torch.Generator().manual_seed(0), **options)


@pytest.mark.parametrize("ode", [False, True])
def test_growth_is_integrated_along_each_path(ode):
    x0 = torch.tensor([[1.0, 5.0], [2.0, 5.0]]).double()
    path = simulated(Growing(), x0, (0.0, 0.4, 2.0), ode=ode)
    assert isinstance(Growing(), GrowingProcess)
    exact = torch.tensor([[0.0], [1 - math.exp(-0.4)], [1 - math.exp(-2)]]).double()
    torch.testing.assert_close(path.log_mass, exact * x0[:, 0], rtol=1e-3, atol=1e-4)
    assert path.x.shape == (3, 2, 2)
    # back to the first time, the mass that was gained is lost
    back = simulated(Growing(), path.x[-1], (2.0, 0.0), ode=ode)
    torch.testing.assert_close(back.log_mass[-1], -path.log_mass[-1], rtol=1e-3, atol=1e-4)


def test_growth_leaves_the_states_of_an_ode_alone():
    x0 = normal(5, 2, seed=0)
    grown, plain = (simulated(law, x0, (0.0, 1.0), ode=True) for law in (Growing(), Decay()))
    torch.testing.assert_close(grown.x, plain.x, rtol=0, atol=0)


def test_a_process_without_growth_has_no_mass():
    x0 = normal(5, 2, seed=0)
    for process in (Brownian(1.0), Growing(has_growth=False)):
        assert simulated(process, x0, (0.0, 1.0)).log_mass is None


class Stiff(Decay):
    """A pull of 60 to 1 in one variable, of 1 in the other, and a push of each by the other."""

    pull = Pull(matrix=torch.diag(torch.tensor([-60.0, -1.0])), shift=torch.tensor([60.0, 0.0]))

    def drift(self, t, x):
        push = torch.stack([torch.sin(3 * x[:, 1]), torch.cos(x[:, 0])], 1)
        return self.pull.drift(t, x) + push


def evaluations_to(tolerance, make):
    """Return how often a solver evaluates the velocity to come within ``tolerance``."""
    x0, times = torch.tensor([[2.0, -1.0]]).double(), (0.0, 2.0)
    exact = simulated(Stiff(), x0, times, solver=DormandPrince(1e-10, 1e-11)).x[-1]
    for n in (2**k for k in range(10)):
        try:
            path = simulated(Stiff(), x0, times, solver=make(n))
        except ValueError:  # steps this long explode, which is refused
            continue
        if float((path.x[-1] - exact).norm()) < tolerance:
            return path.n_evaluations
    raise AssertionError("not reached")


def test_exponential_integrators_need_a_quarter_of_the_evaluations_of_a_stiff_law():
    least = evaluations_to(1e-2, Midpoint)
    for solver in (ExponentialEuler, ExponentialMidpoint):
        assert 4 * evaluations_to(1e-2, lambda n, s=solver: s(Stiff.pull, n)) <= least


def test_a_stiff_reference_is_exact_in_two_steps():
    n, law = 20_000, Pull(matrix=-200 * torch.eye(1), shift=torch.ones(1), sigma=2.0)
    x0 = torch.ones(n, 1).double()
    x = simulated(law, x0, (0.0, 1.0), solver=ExponentialEuler(law, 2)).x[-1]
    assert_normal(x - 1 / 200, 2.0**2 / 400)


def test_a_solver_of_ones_own():
    def leap(equation, x0, times, *, generator, progress):
        assert isinstance(equation, Equation)
        return torch.stack([x0 + (t - times[0]) * equation.velocity(t, x0) for t in times])

    path = simulated(Decay(), torch.ones(1, 1), (0.0, 0.5, 1.0), solver=leap)
    assert path.x.flatten().tolist() == [1.0, 0.5, 0.0]
    assert path.n_evaluations == 3
