"""What every interpolant must satisfy. To add one: a line in ``INTERPOLANTS``."""

import math
from dataclasses import replace

import pytest
import torch
from analytic import normal
from scipy.interpolate import CubicSpline, PchipInterpolator

from celltraj.models import Interpolant, LinearInterpolant, SplineInterpolant
from celltraj.models.interpolants import noise_of, sample_path

INTERPOLANTS = {
    "linear": LinearInterpolant(sigma=0.4),
    "spline": SplineInterpolant(sigma=0.4),
    "monotone spline": SplineInterpolant(smoothness=0.0, sigma=0.4),
    "natural spline": SplineInterpolant(smoothness=1.0, sigma=0.4),
}
TIMES = torch.tensor([0.0, 0.5, 2.0, 3.0]).double()
N = 6
CHAIN = normal(len(TIMES) * N, 2, seed=0).reshape(len(TIMES), N, 2)


@pytest.fixture(params=list(INTERPOLANTS))
def interpolant(request):
    return INTERPOLANTS[request.param]


def everywhere(t):
    return torch.full((N,), float(t), dtype=torch.float64)


def test_is_an_interpolant(interpolant):
    assert isinstance(interpolant, Interpolant)


def test_every_snapshot_is_hit(interpolant):
    for t, cells in zip(TIMES, CHAIN, strict=True):
        x, _ = interpolant.mean(TIMES, CHAIN, everywhere(t))
        torch.testing.assert_close(x, cells)
        width, _ = noise_of(interpolant, TIMES, everywhere(t))
        assert (width == 0).all()


@pytest.mark.parametrize("t", [0.1, 0.49, 0.51, 1.3, 2.9])
def test_the_rate_is_the_derivative_of_the_path(interpolant, t):
    at = everywhere(t).requires_grad_()
    x, rate = interpolant.mean(TIMES, CHAIN, at)
    (by_autograd,) = torch.autograd.grad(x[:, 0].sum(), at)
    torch.testing.assert_close(by_autograd, rate[:, 0].detach())
    width, slope = noise_of(interpolant, TIMES, at)
    (half_square,) = torch.autograd.grad((width**2 / 2).sum(), at)
    torch.testing.assert_close(half_square, slope.detach())


def test_the_noise_is_that_of_a_brownian_bridge(interpolant):
    width, _ = noise_of(interpolant, TIMES, everywhere(1.0))
    assert float(width[0]) == pytest.approx(0.4 * math.sqrt(0.5 * 1.0 / 1.5))


def test_a_shift_and_another_unit_of_time_change_only_that(interpolant):
    t = everywhere(1.3)
    x, rate = interpolant.mean(TIMES, CHAIN, t)
    moved, same = interpolant.mean(TIMES, CHAIN + 5, t)
    torch.testing.assert_close(moved, x + 5)
    torch.testing.assert_close(same, rate)
    hours = replace(interpolant, sigma=0.4 / math.sqrt(24))
    again, slow = hours.mean(24 * TIMES, CHAIN, 24 * t)
    torch.testing.assert_close(again, x)
    torch.testing.assert_close(24 * slow, rate)
    (width, slope), (same, slower) = (
        noise_of(interpolant, TIMES, t),
        noise_of(hours, 24 * TIMES, 24 * t),
    )
    torch.testing.assert_close(same, width)
    torch.testing.assert_close(24 * slower, slope)


def test_each_path_has_its_own_time(interpolant):
    t = torch.linspace(0.1, 2.9, N, dtype=torch.float64)
    x, rate = interpolant.mean(TIMES, CHAIN, t)
    for k in range(N):
        one = interpolant.mean(TIMES, CHAIN[:, k : k + 1], t[k : k + 1])
        torch.testing.assert_close(one[0][0], x[k])
        torch.testing.assert_close(one[1][0], rate[k])


def test_noise_gives_the_score_of_a_gaussian(interpolant):
    n, t = 20_000, 1.1
    chain = CHAIN[:, :1].expand(-1, n, -1)
    path = sample_path(
        interpolant,
        TIMES,
        chain,
        torch.full((n,), t, dtype=torch.float64),
        generator=torch.Generator().manual_seed(0),
    )
    mean, _ = interpolant.mean(TIMES, chain[:, :1], everywhere(t)[:1])
    # one chain: x is normal about its mean with width gamma, whose score is -z / gamma
    torch.testing.assert_close(-path.z / path.width, (mean - path.x) / path.width**2)
    ratio = path.x.var(0) / path.width[0] ** 2
    assert ((ratio - 1).abs() < 4 * (2 / n) ** 0.5).all()


@pytest.mark.parametrize(
    ("smoothness", "scipy"),
    [(0.0, PchipInterpolator), (1.0, lambda t, x: CubicSpline(t, x, bc_type="natural"))],
)
def test_splines_are_those_of_scipy(smoothness, scipy):
    curve = scipy(TIMES.numpy(), CHAIN.numpy())
    for t in (0.2, 1.0, 2.7):
        x, rate = SplineInterpolant(smoothness).mean(TIMES, CHAIN, everywhere(t))
        torch.testing.assert_close(x, torch.from_numpy(curve(t)))
        torch.testing.assert_close(rate, torch.from_numpy(curve.derivative()(t)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearInterpolant(sigma=-1.0), "sigma must not be negative"),
        (lambda: SplineInterpolant(smoothness=1.5), r"smoothness must lie in \[0, 1\]"),
        (lambda: noise_of(LinearInterpolant(), TIMES, everywhere(1)), "has no sigma yet"),
    ],
)
def test_options_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()
