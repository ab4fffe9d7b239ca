"""The Gaussian law of the paths of a reference against closed forms."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from analytic import normal
from scipy.integrate import quad_vec
from scipy.linalg import expm

from celltraj.models import Brownian, OrnsteinUhlenbeck
from celltraj.models.references.gaussian_law import flow_of, uniform_grid

TURN = torch.tensor([[-0.3, -1.0], [0.8, -0.2]]).double()
PULL = OrnsteinUhlenbeck(matrix=TURN, shift=torch.tensor([1.0, 0.5]), sigma=0.7)


@dataclass(frozen=True)
class Hidden:
    """The same drift without saying that it is affine."""

    law: OrnsteinUhlenbeck
    sigma: float | None = 0.7

    @property
    def is_fitted(self):
        return True

    def drift(self, t, x):
        return self.law.drift(t, x)

    def diffusion(self, t, x):
        return self.law.diffusion(t, x)

    def fit(self, paths, *, generator):
        return self

    def estimates(self):
        return {}


@dataclass(frozen=True)
class Explosive(Hidden):
    def drift(self, t, x):
        return x**3


def test_an_affine_flow_is_that_of_the_matrix_exponential():
    x, h = normal(4, 2, seed=0), 1.3
    flow = flow_of(PULL, x, (0.5, 0.9, 1.8))
    matrix, shift = TURN.numpy(), np.array([1.0, 0.5])
    step = expm(matrix * h)
    mean = x.numpy() @ step.T + np.linalg.solve(matrix, (step - np.eye(2)) @ shift)
    np.testing.assert_allclose(flow.mean[-1], mean, rtol=1e-12)
    noise = quad_vec(lambda u: 0.49 * expm(matrix * u) @ expm(matrix * u).T, 0, h)[0]
    np.testing.assert_allclose(flow.covariance[-1, 0], noise, rtol=1e-9)
    np.testing.assert_allclose(flow.to_end[0, 0], step, rtol=1e-12)


@pytest.mark.parametrize("law", [PULL, Hidden(PULL)])
def test_the_chain_composes(law):
    x = normal(4, 2, seed=0)
    flow = flow_of(law, x, uniform_grid(0.0, 1.0, 5))
    torch.testing.assert_close(flow.remaining[0], flow.covariance[-1])
    ahead = flow.to_end @ flow.covariance @ flow.to_end.mT + flow.remaining
    torch.testing.assert_close(ahead, flow.covariance[-1].expand_as(ahead))


def test_a_linearised_flow_is_of_fourth_order():
    x, exact = normal(4, 2, seed=0), flow_of(PULL, normal(4, 2, seed=0), (0.0, 3.0))
    steps, errors = np.array([2, 4, 8]), []
    for n in steps:
        flow = flow_of(Hidden(PULL), x, uniform_grid(0.0, 3.0, int(n)))
        parts = zip((flow.mean, flow.covariance), (exact.mean, exact.covariance), strict=True)
        errors.append([float((a[-1] - b[-1]).abs().max()) for a, b in parts])
    orders = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert (orders > 3.7).all()


@pytest.mark.parametrize("law", [Brownian(0.7), PULL, Hidden(PULL)])
def test_the_cost_is_the_log_density(law):
    x, y = normal(5, 2, seed=0), 3 * normal(7, 2, seed=1) + 50  # far from the origin
    flow = flow_of(law, x, uniform_grid(0.0, 1.0, 12))
    cost, epsilon = flow.problem(y)
    covariance = flow.covariance[-1].expand(5, 2, 2)
    density = torch.distributions.MultivariateNormal(flow.mean[-1][:, None], covariance[:, None])
    difference = -cost.dense() / epsilon - density.log_prob(y)
    # the same constant for all pairs
    torch.testing.assert_close(difference, difference[0, 0].expand(5, 7), rtol=0, atol=1e-8)
    assert cost.mean() == pytest.approx(float(cost.dense().mean()))
    some, others = torch.tensor([3, 0]), torch.tensor([6, 2, 1])
    torch.testing.assert_close(cost.take(some, others).dense(), cost.dense()[some][:, others])


def test_epsilon_of_brownian_motion_is_its_variance():
    flow = flow_of(Brownian(0.5), normal(3, 4, seed=0), (1.0, 3.0))
    assert flow.problem(normal(2, 4, seed=1))[1] == pytest.approx(0.25 * 2)


def test_what_cannot_be_computed_is_named():
    with pytest.raises(ValueError, match="the flow of Explosive from 0 to 9 is not finite"):
        flow_of(Explosive(PULL), 5 + normal(3, 2, seed=0), uniform_grid(0.0, 9.0, 5))
    with pytest.raises(ValueError, match="OrnsteinUhlenbeck has no sigma yet; pass sigma="):
        flow_of(replace(PULL, sigma=None), normal(3, 2, seed=0), (0.0, 1.0))
