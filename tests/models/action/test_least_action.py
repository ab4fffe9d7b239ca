"""Paths of least action against closed forms, a boundary value problem, and each other."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.integrate import solve_bvp

from celltraj.models import Brownian, LeastAction, OrnsteinUhlenbeck, least_action
from celltraj.models.solvers._exponential import propagator

D = torch.float64
LEFT, RIGHT = torch.tensor([-1.0, 0.0], dtype=D), torch.tensor([1.0, 0.0], dtype=D)


@dataclass(frozen=True)
class CurvedWell:
    """``dX = -grad U dt + sigma dW``: two wells, and a pass at ``(0, bend)`` that is 1/4 higher."""

    sigma: float = 0.3
    bend: float = 1.0
    stiff: float = 5.0

    def drift(self, t, x):
        a = x[:, 0]
        aside = x[:, 1] - self.bend * (1 - a**2)
        return -torch.stack(
            [a**3 - a + 2 * self.stiff * self.bend * aside * a, self.stiff * aside], 1
        )

    def diffusion(self, t, x):
        return torch.full_like(x, self.sigma)


def found(process, ends=(LEFT, RIGHT), times=(0.0, None), seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return least_action(process, ends, times, LeastAction(**options), generator=generator)


@pytest.mark.parametrize(("bend", "stiff"), [(0.0, 1.0), (1.0, 1.0), (1.0, 5.0), (2.0, 10.0)])
def test_the_action_over_a_pass_is_twice_its_height(bend, stiff):
    path = found(CurvedWell(bend=bend, stiff=stiff))
    assert path.action == pytest.approx(0.5 / 0.3**2, rel=0.003)
    assert path.error < 0.003 * path.action
    # it goes over the pass, and rests there and in both wells
    middle = path.x[path.x[:, 0].abs().argmin()]
    assert float((middle - torch.tensor([0.0, bend])).norm()) < 0.1
    assert path.duration == math.inf
    # uphill it pays for all, downhill nothing
    uphill = path.x[1:, 0] < 0
    assert float(path.pieces[~uphill].sum()) < 0.02 * path.action


def test_the_error_estimate_is_as_large_as_the_error():
    for n in (40, 80):
        path = found(CurvedWell(), n_points=n)
        assert abs(path.action - 0.5 / 0.3**2) < 2 * path.error


def test_sigma_scales_the_action_and_leaves_the_path():
    one, two = found(CurvedWell(sigma=0.3)), found(CurvedWell(sigma=0.6))
    assert one.action == pytest.approx(4 * two.action, rel=2e-3)
    torch.testing.assert_close(one.x, two.x, atol=0.03, rtol=0)


@pytest.mark.parametrize("duration", [0.5, 2.0, 10.0])
def test_the_action_under_a_pull_is_that_of_its_transition(duration):
    matrix = torch.tensor([[-1.0, 2.0], [-1.0, -0.5]], dtype=D)
    pull = OrnsteinUhlenbeck(matrix=matrix, shift=torch.zeros(2, dtype=D), sigma=0.7)
    x0, x1 = torch.tensor([1.0, 0.0], dtype=D), torch.tensor([-1.0, 2.0], dtype=D)
    law = propagator(matrix, duration)
    covariance = 0.7**2 * law.noise @ law.noise
    missed = x1 - law.step @ x0
    exact = float(missed @ torch.linalg.solve(covariance, missed)) / 2
    path = found(pull, (x0, x1), (1.0, 1.0 + duration))
    assert path.action == pytest.approx(exact, rel=1e-3)
    assert path.duration == duration
    assert path.converged
    assert float(path.times[0]) == 1.0
    # a constant divergence adds its half, and leaves the path
    tube = found(pull, (x0, x1), (1.0, 1.0 + duration), onsager_machlup=True)
    assert tube.action == pytest.approx(path.action - 1.5 / 2 * duration, rel=1e-6)
    torch.testing.assert_close(tube.x, path.x, atol=1e-4, rtol=0)


def test_the_best_duration_is_cheaper_than_others():
    # from the side of a slope: no rest point on the way down, and a finite duration
    shear = OrnsteinUhlenbeck(
        matrix=torch.tensor([[0.0, 0.0], [0.0, -1.0]], dtype=D),
        shift=torch.tensor([1.0, 0.0], dtype=D),
        sigma=0.5,
    )
    ends = torch.tensor([0.0, 0.0], dtype=D), torch.tensor([2.0, 1.0], dtype=D)
    free = found(shear, ends, n_points=200)
    assert math.isfinite(free.duration)
    timed = [found(shear, ends, (0.0, t)).action for t in np.linspace(1.0, 4.0, 13)]
    assert free.action <= min(timed) * 1.001
    assert free.action == pytest.approx(min(timed), rel=0.01)
    at_its = found(shear, ends, (0.0, free.duration))
    assert at_its.action == pytest.approx(free.action, rel=1e-3)


def test_onsager_machlup_solves_its_euler_lagrange_equation():
    sigma, duration = 0.8, 3.0

    class Well:
        def drift(self, t, x):
            return x - x**3

        def diffusion(self, t, x):
            return torch.full_like(x, sigma)

    ends = torch.tensor([-0.9], dtype=D), torch.tensor([0.7], dtype=D)
    path = found(Well(), ends, (0.0, duration), n_points=200, onsager_machlup=True)

    def rate(t, y):  # x'' = b b' + sigma^2 / 2 b''
        x = y[0]
        return np.stack([y[1], (x - x**3) * (1 - 3 * x**2) - 3 * sigma**2 * x])

    grid = path.times.numpy()
    guess = np.stack([path.x[:, 0].numpy(), np.gradient(path.x[:, 0].numpy(), grid)])
    ended = solve_bvp(rate, lambda a, b: np.array([a[0] + 0.9, b[0] - 0.7]), grid, guess, tol=1e-8)
    assert ended.success
    np.testing.assert_allclose(path.x[:, 0].numpy(), ended.sol(grid)[0], atol=2e-3)


def test_noise_of_other_size_in_each_variable_is_another_unit():
    scale = torch.tensor([1.0, 0.1], dtype=D)

    class Squeezed(CurvedWell):
        def drift(self, t, x):
            return super().drift(t, x / scale) * scale

        def diffusion(self, t, x):
            return super().diffusion(t, x) * scale

    plain, squeezed = found(CurvedWell()), found(Squeezed(), (LEFT * scale, RIGHT * scale))
    assert squeezed.action == pytest.approx(plain.action, rel=1e-4)
    torch.testing.assert_close(squeezed.x / scale, plain.x, atol=0.02, rtol=0)


def test_noise_that_depends_on_the_state_is_brownian_in_its_own_measure():
    class Geometric:
        def drift(self, t, x):
            return torch.zeros_like(x)

        def diffusion(self, t, x):
            return 0.5 * x

    ends = torch.tensor([1.0], dtype=D), torch.tensor([math.e], dtype=D)
    # in log x noise is constant, and the path straight: |log x1 - log x0|^2 / (2 s^2 T)
    path = found(Geometric(), ends, (0.0, 2.0))
    assert path.action == pytest.approx(1 / (2 * 0.25 * 2), rel=1e-3)


def test_a_law_that_hides_its_slope_is_differenced():
    class Hidden(CurvedWell):
        def drift(self, t, x):
            return torch.from_numpy(super().drift(t, x.detach()).numpy())

    path = found(Hidden(), n_starts=1, n_points=40)
    plain = found(CurvedWell(), n_starts=1, n_points=40)
    assert path.action == pytest.approx(plain.action, rel=1e-3)


def test_a_law_that_changes_with_time_is_followed_between_breakpoints():
    class Switch:
        breakpoints = (0.0, 1.0, 3.0)

        def drift(self, t, x):
            return torch.full_like(x, 1.0 if t < 1 else -1.0)

        def diffusion(self, t, x):
            return torch.ones_like(x)

    ends = torch.tensor([0.0], dtype=D), torch.tensor([1.0], dtype=D)
    # the drift leads to -1, and what is missed, 2 over 3 units of time, is best shared
    path = found(Switch(), ends, (0.0, 3.0), n_points=20)
    assert path.action == pytest.approx(2**2 / (2 * 3), rel=1e-6)
    assert 1.0 in path.times.tolist()


def test_guesses_repeat_and_leave_the_global_state():
    before = torch.get_rng_state()
    one, again = found(CurvedWell(), seed=3), found(CurvedWell(), seed=3)
    torch.testing.assert_close(one.x, again.x, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), before)


class Waning(CurvedWell):
    def drift(self, t, x):
        return super().drift(t, x) * math.exp(-t)


@pytest.mark.parametrize(
    ("process", "ends", "times", "options", "message"),
    [
        (Brownian(1.0), (LEFT, LEFT), (0.0, 1.0), {}, "begins and ends in one state"),
        (Brownian(1.0), (LEFT, RIGHT), (1.0, 1.0), {}, "found start=1 and stop=1"),
        (CurvedWell(sigma=0.0), (LEFT, RIGHT), (0.0, 1.0), {}, r"model.with_noise\(sigma\)"),
        (Waning(), (LEFT, RIGHT), (0.0, None), {}, "changes with time.*pass stop="),
        (CurvedWell(), (LEFT, RIGHT), (0.0, None), {"onsager_machlup": True}, "fixed duration"),
    ],
)
def test_what_cannot_be_asked(process, ends, times, options, message):
    with pytest.raises(ValueError, match=message):
        found(process, ends, times, **options)


def test_options_are_checked():
    with pytest.raises(ValueError, match="n_points must be a whole number of at least 8"):
        LeastAction(n_points=7)
    with pytest.raises(ValueError, match="n_starts"):
        LeastAction(n_starts=0)
