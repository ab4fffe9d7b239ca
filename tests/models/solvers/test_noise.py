"""Noise that depends on the state, against laws in closed form, by every solver."""

import math

import numpy as np
import pytest
import torch
from analytic import OrnsteinUhlenbeck, normal

from celltraj.models import (
    Brownian,
    DormandPrince,
    EulerMaruyama,
    Heun,
    KnownNoise,
    Midpoint,
    PredictorCorrector,
    fit_bridge,
    land,
    simulate,
)
from celltraj.models.solvers.noise import DiagonalNoise
from celltraj.ot import Sinkhorn
from celltraj.snapshots import Snapshots

N = 4_000


class Geometric:
    """``dX = m X dt + s X dW``: the logarithm is normal, and its moments are known."""

    m, s = 0.3, 0.6

    def moments(self, t):
        return (self.m - self.s**2 / 2) * t, 0.04 + self.s**2 * t

    def drift(self, t, x):
        return self.m * x

    def diffusion(self, t, x):
        return self.s * x

    def score(self, t, x):
        mean, variance = self.moments(t)
        return -(1 + (x.log() - mean) / variance) / x


class SquareRoot:
    """``dX = a (1 - X) dt + s sqrt(X) dW``, whose stationary law is that of Gamma."""

    a, s = 1.0, 0.5
    shape = rate = 2 * a / s**2

    def drift(self, t, x):
        return self.a * (1 - x)

    def diffusion(self, t, x):
        return self.s * x.clamp(min=0).sqrt()

    def score(self, t, x):
        return (self.shape - 1) / x - self.rate


SOLVERS = {
    "midpoint": Midpoint(60),
    "Euler-Maruyama": EulerMaruyama(120),
    "Heun": Heun(60),
    "predictor-corrector": PredictorCorrector(60, step=0.05),
    "Dormand-Prince": DormandPrince(),
}
CASES = [(name, ode) for name in SOLVERS for ode in (False, True)]
CASES.remove(("Dormand-Prince", False))
every_solver = pytest.mark.parametrize(("name", "ode"), CASES)
both_ways = pytest.mark.parametrize("order", [1, -1])


def run(process, x0, times, solver, *, ode=False):
    generator = torch.Generator().manual_seed(1)
    return simulate(process, x0, times, solver=solver, ode=ode, generator=generator).x


def assert_moments(x, mean, variance):
    """Standard errors sqrt(v / n) of a mean and, of a normal law, v sqrt(2 / n) of a variance."""
    assert abs(float(x.mean()) - mean) < 4 * (variance / len(x)) ** 0.5
    assert abs(float(x.var()) - variance) < 4 * variance * (2 / len(x)) ** 0.5


@every_solver
@both_ways
def test_geometric_noise(name, ode, order):
    law, times = Geometric(), (0.5, 1.5)[::order]
    mean, variance = law.moments(times[0])
    x0 = (mean + variance**0.5 * normal(N, 1, seed=0)).exp()
    assert_moments(run(law, x0, times, SOLVERS[name], ode=ode)[-1].log(), *law.moments(times[1]))


@every_solver
@both_ways
def test_square_root_noise(name, ode, order):
    law, times = SquareRoot(), (0.0, 1.0)[::order]
    x0 = torch.from_numpy(np.random.default_rng(0).gamma(law.shape, 1 / law.rate, (N, 1)))
    x = run(law, x0, times, SOLVERS[name], ode=ode)[-1]
    k = law.shape
    assert abs(float(x.mean()) - 1) < 4 * (1 / k / N) ** 0.5
    # the fourth central moment of Gamma is 3 (1 + 2 / k) squared variances
    assert abs(float(x.var()) - 1 / k) < 4 / k * ((2 + 6 / k) / N) ** 0.5


@every_solver
@both_ways
def test_constant_noise(name, ode, order):
    x0 = normal(N, 1, seed=0)
    assert_moments(
        run(OrnsteinUhlenbeck(), x0, (0.0, 1.0)[::order], SOLVERS[name], ode=ode)[-1], 0, 1
    )


def test_the_flow_of_a_stationary_law_stands_still():
    x0 = 0.2 + normal(20, 2, seed=0).abs()
    torch.testing.assert_close(run(SquareRoot(), x0, (0.0, 3.0), Midpoint(), ode=True)[-1], x0)


class Coupled:
    """Noise of each variable that changes with the others too."""

    def drift(self, t, x):
        return torch.zeros_like(x)

    def diffusion(self, t, x):
        return (1 + x.square() * x.roll(1, 1).square()).sqrt()

    def score(self, t, x):
        return torch.zeros_like(x)


def test_noise_that_changes_with_other_variables():
    x = normal(50, 3, seed=0)
    variance, slope = DiagonalNoise(Coupled()).variance(0.0, x)
    torch.testing.assert_close(variance, 1 + x.square() * x.roll(1, 1).square())
    torch.testing.assert_close(slope, 2 * x * x.roll(1, 1).square())
    # the velocity of the flow is minus half the derivative, where the score is zero
    end = simulate(
        Coupled(), x, (0.0, 1e-6), solver=Midpoint(1), ode=True, generator=torch.Generator()
    ).x[-1]
    torch.testing.assert_close((end - x) / 1e-6, -slope / 2, rtol=1e-3, atol=1e-5)


class Detached(Geometric):
    def diffusion(self, t, x):
        return self.s * x.detach()


class Numpy(Geometric):
    def diffusion(self, t, x):
        return torch.from_numpy(self.s * x.numpy())


class Untracked(Geometric):
    @torch.no_grad()
    def diffusion(self, t, x):
        return self.s * x


class Crowded(Geometric):
    def diffusion(self, t, x):
        return self.s * x.mean(0).expand_as(x)


@pytest.mark.parametrize(
    ("law", "message"),
    [
        (Detached(), "in a way that torch cannot differentiate"),
        (Numpy(), "give Numpy a method variance_divergence"),
        (Untracked(), "NumPy, detach or no_grad inside"),
        (Crowded(), "depends on other cells"),
    ],
)
@pytest.mark.parametrize("n", [5, 1])  # one cell alone does not tell by its values
def test_a_derivative_that_cannot_be_had(law, message, n):
    x0 = torch.linspace(0.5, 0.9, n).double()[:, None]
    if n == 1 and isinstance(law, Crowded):
        pytest.skip("a cell alone has no others")
    for options in ({"times": (1.0, 0.5)}, {"times": (0.5, 1.0), "ode": True}):
        with pytest.raises(ValueError, match=message):
            run(law, x0, solver=Midpoint(2), **options)
    if not isinstance(law, Crowded):
        run(law, x0, (0.5, 1.0), Midpoint(2))  # forwards nothing is asked of it


def test_a_derivative_that_is_not_finite():
    x0 = torch.tensor([[0.0], [1.0]]).double()
    with pytest.raises(ValueError, match="not finite for 1 of 2 states at time"):
        run(SquareRoot(), x0, (1.0, 0.0), Midpoint(2))


class Known(Numpy):
    """The same law, which knows its derivative."""

    def variance_divergence(self, t, x):
        return 2 * self.s**2 * x


def test_a_derivative_that_the_process_knows():
    assert isinstance(Known(), KnownNoise)
    x0 = 0.5 + normal(50, 2, seed=0).abs()
    for ode in (False, True):
        found, wanted = (
            run(law, x0, (1.5, 0.5), Midpoint(5), ode=ode) for law in (Known(), Geometric())
        )
        torch.testing.assert_close(found, wanted)


class ConstantNumpy(OrnsteinUhlenbeck):
    def diffusion(self, t, x):
        return torch.from_numpy(0 * x.numpy() + math.sqrt(2))


def test_constant_noise_may_come_from_anywhere():
    x0 = normal(5, 2, seed=0)
    found, wanted = (
        run(law, x0, (1.0, 0.0), Midpoint(5)) for law in (ConstantNumpy(), OrnsteinUhlenbeck())
    )
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


class Uneven(Brownian):
    def diffusion(self, t, x):
        return self.sigma * (1 + x.abs())


def test_a_bridge_refuses_noise_that_is_not_one_sigma():
    clouds = tuple(normal(5, 1, seed=k) for k in range(2))
    with pytest.raises(ValueError, match=r"Uneven has a diffusion of .* of one sigma"):
        fit_bridge(
            Snapshots((0, 1), clouds),
            Uneven(0.5),
            coupling=Sinkhorn(),
            training=None,
            generator=torch.Generator(),
            progress=False,
        )


class Late(Brownian):
    """Noise that begins after the first snapshot."""

    def diffusion(self, t, x):
        return torch.full_like(x, 0.0 if t <= 0 else self.sigma)


def test_noise_that_begins_later_is_seen_by_a_landing():
    x = torch.zeros(4, 1).double()
    spread = torch.linspace(-1, 1, 9).double()[:, None]
    lineage = land(
        Late(1.0), Snapshots((0, 1), (x, spread)), n_neighbors=1, generator=torch.Generator()
    )
    # one path from each cell reaches one later cell, ten reach several
    assert all(len(set(row)) > 1 for row in lineage.couplings[0].to_sparse().toarray().round(9))
