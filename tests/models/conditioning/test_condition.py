"""Conditioned paths: closed forms, a backward equation, any estimate, growth, and refusals."""

import math

import numpy as np
import pytest
import torch
from scipy.sparse import diags_array, eye_array
from scipy.sparse.linalg import splu

from celltraj.models import (
    Brownian,
    LinearReward,
    OrnsteinUhlenbeck,
    QuadraticReward,
    Worth,
    condition,
)
from celltraj.models.conditioning.group_reward import GroupReward
from celltraj.models.conditioning.look_ahead import Blind
from celltraj.ot.sampling import systematic

STOP, SD = 1.0, math.sqrt((1 - math.exp(-2.0)) / 2)  # of an Ornstein-Uhlenbeck process from 0
PULL = OrnsteinUhlenbeck(matrix=-torch.eye(2), shift=torch.zeros(2), sigma=1.0)


class Nameless:
    """The Ornstein-Uhlenbeck process, without saying that it is affine."""

    def drift(self, t, x):
        return -x

    def diffusion(self, t, x):
        return torch.ones_like(x)


class DoubleWell:
    """Two wells at -1 and 1."""

    def drift(self, t, x):
        return x - x**3

    def diffusion(self, t, x):
        return torch.full_like(x, 0.5)


class Tilting:
    """Brownian motion of cells that grow at the rate x."""

    def drift(self, t, x):
        return torch.zeros_like(x)

    def diffusion(self, t, x):
        return torch.ones_like(x)

    def growth(self, t, x):
        return x[:, 0]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def at_zero(n=2000, d=2):
    return torch.zeros(n, d, dtype=torch.float64)


def far_reward(width=0.1 * SD, distance=4 * SD):
    """Return a reward far out, log of its mean, and mean and variance of the conditioned end."""
    target = torch.tensor([distance, 0.0], dtype=torch.float64)
    spread, variance = width**2, SD**2
    log_mean = -math.log(1 + variance / spread) - distance**2 / (2 * (variance + spread))
    mean = target * variance / (variance + spread)
    return QuadraticReward(target, width), log_mean, mean, variance * spread / (variance + spread)


def mean_end(found):
    return found.paths.weights @ found.paths.x[-1]


def test_doob_transform_has_equal_weights_and_the_exact_mean():
    reward, log_mean, mean, variance = far_reward()
    found = condition(PULL, at_zero(), (0.0, 0.4, STOP), reward=reward, generator=seeded())
    assert found.log_probability == pytest.approx(log_mean, abs=1e-9)
    assert found.paths.effective == pytest.approx(2000)
    assert found.paths.n_ancestors == 2000
    assert found.paths.error < 1e-9
    torch.testing.assert_close(mean_end(found), mean, rtol=0, atol=4 * (variance / 2000) ** 0.5)


def test_paths_of_brownian_motion_under_a_tilt_drift_with_it():
    a, t, sigma, n = 3.0, 0.5, 2.0, 2000
    found = condition(
        Brownian(sigma), at_zero(n, 1), (0.0, t, 1.0), reward=LinearReward([a]), generator=seeded()
    )
    assert found.log_probability == pytest.approx(a**2 * sigma**2 / 2, abs=1e-9)
    middle = float(found.paths.weights @ found.paths.x[1, :, 0])
    assert middle == pytest.approx(a * sigma**2 * t, abs=4 * sigma * (t / n) ** 0.5)


@pytest.mark.parametrize("seed", range(3))
def test_a_law_that_is_not_known_to_be_affine_is_within_its_error(seed):
    reward, log_mean, mean, variance = far_reward()
    found = condition(Nameless(), at_zero(), (0.0, STOP), reward=reward, generator=seeded(seed))
    # steps of order two: the bias of 50 of them is below 2e-3 of the 8 nats
    assert abs(found.log_probability - log_mean) < 4 * found.paths.error + 0.015
    error = (variance / found.paths.effective) ** 0.5
    torch.testing.assert_close(mean_end(found), mean, rtol=0, atol=5 * error)


class HalfBlind:
    """An estimate that is wrong by a third and leans the wrong way in one variable."""

    def __call__(self, t, x):
        value = 2.0 * x[:, 0] - 0.3 * x[:, 1]
        slope = torch.tensor([2.0, -0.3], dtype=x.dtype).expand_as(x)
        return Worth(value, slope, torch.zeros(1, 2, 2, dtype=x.dtype))


@pytest.mark.parametrize("look", [Blind(), HalfBlind()])
def test_weights_make_up_for_any_estimate(look):
    a = 3.0
    found = condition(
        PULL,
        at_zero(),
        (0.0, STOP),
        reward=LinearReward([a, 0.0]),
        look_ahead=look,
        generator=seeded(1),
    )
    assert abs(found.log_probability - a**2 * SD**2 / 2) < 4 * found.paths.error
    # the tilted end is normal with the same spread
    error = 4 * SD / found.paths.effective**0.5
    torch.testing.assert_close(
        mean_end(found), torch.tensor([a * SD**2, 0.0]).double(), rtol=0, atol=error
    )


class AtTheEndOfTheOde:
    """Steering as published: the reward at where the ODE leads, which knows of no spread."""

    def __init__(self, reward):
        self.reward = reward

    def __call__(self, t, x):
        left = math.exp(t - STOP)
        with torch.enable_grad():
            point = x.detach().requires_grad_()
            value = self.reward(left * point)
            (slope,) = torch.autograd.grad(value.sum(), point)
        return Worth(value.detach(), 0 * slope, torch.zeros(1, 2, 2, dtype=x.dtype))


def test_steering_as_published_collapses_on_a_rare_event_where_the_spread_ahead_does_not():
    reward, log_mean, mean, _ = far_reward()
    call = {"reward": reward, "generator": seeded()}
    theirs = condition(PULL, at_zero(), (0.0, STOP), look_ahead=AtTheEndOfTheOde(reward), **call)
    ours = condition(PULL, at_zero(), (0.0, STOP), **call)
    assert theirs.paths.n_ancestors <= 5
    assert abs(theirs.log_probability - log_mean) > 10
    assert ours.paths.n_ancestors == 2000
    assert float((mean_end(ours) - mean).norm()) < 0.03 * SD
    assert abs(ours.log_probability - log_mean) < 0.1


def committor(stop, *, n=801, n_steps=400, reach=3.0):
    """Return states and P(X_stop > 0 | x) of the double well: Crank-Nicolson, backwards."""
    x = np.linspace(-reach, reach, n)
    h, dt = x[1] - x[0], stop / n_steps
    up = 0.125 / h**2 + (x - x**3) / (2 * h)
    down = 0.125 / h**2 - (x - x**3) / (2 * h)
    main = -(up + down)
    main[0], main[-1] = -up[0], -down[-1]
    law = diags_array([down[1:], main, up[:-1]], offsets=[-1, 0, 1])
    one, u = eye_array(n), (np.sign(x) + 1) / 2
    for _ in range(4):  # two steps in four implicit ones, which damp the jump
        u = splu((one - dt / 2 * law).tocsc()).solve(u)
    left = splu((one - dt / 2 * law).tocsc())
    for _ in range(n_steps - 2):
        u = left.solve(u + dt / 2 * (law @ u))
    return x, u


def right_well():
    cells = torch.arange(-2.505, 2.51, 0.01, dtype=torch.float64)[:, None]
    return GroupReward(cells, cells[:, 0] > 0, 1)


@pytest.mark.parametrize(("stop", "seed"), [(5.0, 0), (3.0, 0)])
def test_the_probability_of_the_other_well_is_that_of_the_backward_equation(stop, seed):
    x, u = committor(stop)
    true = float(np.interp(-1.0, x, u))
    found = condition(
        DoubleWell(),
        torch.full((2000, 1), -1.0).double(),
        (0.0, stop),
        reward=right_well(),
        n_steps=100,
        generator=seeded(seed),
    )
    error = math.exp(found.log_probability) / true - 1
    assert abs(error) < 4 * found.paths.error + 0.01
    assert found.paths.effective > 800
    # an unsteered path meets it in one of ten or twenty, a steered one nearly always
    assert float((found.paths.x[-1, :, 0] > 0).double().mean()) > 0.7
    assert found.n_reached < 0.15 * found.n_pilot


def test_growth_counts_as_its_closed_form():
    a, stop = 0.7, 1.0
    found = condition(Tilting(), at_zero(4000, 1), (0.0, stop), reward=None, generator=seeded())
    # log E exp int W dt = T^3 / 6
    assert abs(found.log_total - stop**3 / 6) < 4 * found.paths.error
    assert found.log_probability == 0.0
    found = condition(
        Tilting(), at_zero(4000, 1), (0.0, stop), reward=LinearReward([a]), generator=seeded()
    )
    whole = (a**2 * stop + a * stop**2 + stop**3 / 3) / 2
    assert abs(found.paths.log_mean - whole) < 4 * found.paths.error
    assert abs(found.log_probability - (whole - stop**3 / 6)) < 4 * found.error
    assert found.error > found.paths.error


def test_the_standard_error_is_how_far_runs_differ():
    runs = [
        condition(
            DoubleWell(),
            torch.full((300, 1), -1.0).double(),
            (0.0, 5.0),
            reward=right_well(),
            n_steps=40,
            generator=seeded(seed),
        )
        for seed in range(16)
    ]
    spread = float(np.std([one.log_probability for one in runs], ddof=1))
    told = float(np.median([one.paths.error for one in runs]))
    # a standard deviation of 16 runs is known to 18 %
    assert 0.45 < spread / told < 1.8


def test_cells_that_meet_the_condition_are_told_from_those_that_do_not():
    x0 = torch.tensor([-1.0, 1.0], dtype=torch.float64).repeat(500)[:, None]
    found = condition(
        DoubleWell(), x0, (0.0, 1.0), reward=right_well(), n_steps=30, generator=seeded()
    )
    x, u = committor(1.0)
    left, right = np.interp([-1.0, 1.0], x, u)
    share = float(found.paths.shares[x0[:, 0] < 0].sum())
    assert share == pytest.approx(left / (left + right), abs=0.01)
    assert found.log_probability == pytest.approx(math.log((left + right) / 2), abs=0.05)


def test_an_event_that_no_path_meets_has_a_bound_and_no_nan():
    cells = torch.tensor([[0.0], [1e3]], dtype=torch.float64)
    reward = GroupReward(cells, torch.tensor([False, True]), 1)
    found = condition(DoubleWell(), at_zero(100, 1), (0.0, 1.0), reward=reward, generator=seeded())
    assert not found.is_reached
    # none of 100: 1 - .05^(1/100)
    assert found.log_probability == pytest.approx(math.log(1 - 0.05**0.01))
    assert not found.paths.weights.any()
    assert found.paths.n_ancestors == found.paths.effective == 0
    assert torch.isfinite(found.paths.x).all()
    assert not any(
        isinstance(v, float) and math.isnan(v) for k, v in found.row().items() if k != "outside"
    )


def test_systematic_resampling_gives_each_its_share_rounded():
    shares = torch.rand(50, generator=seeded()).double()
    shares /= shares.sum()
    counts = torch.bincount(systematic(shares, len(shares), seeded(1)), minlength=50)
    assert ((counts - 50 * shares).abs() < 1).all()


def test_a_seed_gives_the_same_paths_and_leaves_the_global_state():
    before = torch.get_rng_state()
    call = {"reward": LinearReward([1.0, 0.0])}
    one, two = (
        condition(Nameless(), at_zero(50), (0.0, 1.0), generator=seeded(), **call) for _ in range(2)
    )
    assert torch.equal(one.paths.x, two.paths.x)
    assert torch.equal(before, torch.get_rng_state())


def test_variables_may_be_turned():
    turn = torch.linalg.qr(torch.randn(2, 2, generator=seeded()).double())[0]
    reward, log_mean, mean, _ = far_reward()
    turned = QuadraticReward(turn @ reward.target, reward.width)
    found = condition(PULL, at_zero(), (0.0, STOP), reward=turned, generator=seeded())
    assert found.log_probability == pytest.approx(log_mean, abs=1e-9)
    torch.testing.assert_close(turn.T @ mean_end(found), mean, rtol=0, atol=0.02)


class Convex:
    """An estimate of which no normal law can be drawn."""

    def __call__(self, t, x):
        return Worth(100 * x.square().sum(1), 200 * x, -200 * torch.eye(2, dtype=x.dtype)[None])


class Still(Nameless):
    """A law without noise."""

    def diffusion(self, t, x):
        return torch.zeros_like(x)


class Exploding(Nameless):
    """A law that leaves the finite numbers."""

    def drift(self, t, x):
        return 1e300 * (1 + x.abs())


def test_what_cannot_be_conditioned_is_refused():
    call = {"reward": LinearReward([1.0, 0.0]), "generator": seeded()}
    with pytest.raises(ValueError, match="Still has no noise"):
        condition(Still(), at_zero(10), (0.0, 1.0), **call)
    with pytest.raises(ValueError, match=r"values that increase; found \[1.0, 0.0\]"):
        condition(PULL, at_zero(10), (1.0, 0.0), **call)
    with pytest.raises(ValueError, match="LinearReward does not take states of 3 variables"):
        condition(Brownian(1.0), at_zero(10, 3), (0.0, 1.0), **call)
    with pytest.raises(ValueError, match="10 of 10 paths of Exploding leave the finite"):
        condition(Exploding(), at_zero(10), (0.0, 1.0), **call)
    with pytest.raises(ValueError, match="curvature of what is looked ahead to is not positive"):
        condition(PULL, at_zero(10), (0.0, 1.0), look_ahead=Convex(), **call)
    with pytest.raises(ValueError, match="width must be positive"):
        QuadraticReward([0.0], 0.0)
    with pytest.raises(ValueError, match="direction must be finite"):
        LinearReward([math.nan])
    with pytest.raises(ValueError, match="none of 1 observed cells"):
        GroupReward(torch.zeros(1, 1), torch.tensor([False]))
