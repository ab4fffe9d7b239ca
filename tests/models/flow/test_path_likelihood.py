"""Likelihood of points under a flow: closed form, SciPy's density, and gradients by differences."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import gaussian_kde

from celltraj.models import FlowOptions, Penalties, SplineInterpolant, Training, fit_flow
from celltraj.models.flow.path_likelihood import StartDensity, path_log_density
from celltraj.models.networks import mlp
from celltraj.models.solvers.adjoint import AdjointOptions
from celltraj.snapshots import Snapshots

D = torch.float64
FINE = AdjointOptions(1e-9, 1e-10)


def normal(n, d=2, seed=0):
    return torch.randn(n, d, dtype=D, generator=torch.Generator().manual_seed(seed))


def density(x):
    return StartDensity.of(Snapshots((0.0, 1.0), (x, x + 1)), torch.Generator().manual_seed(0))


def test_the_density_of_the_start_is_scipys():
    x, at = normal(400), normal(20, seed=1)
    found = density(x)
    kernel = gaussian_kde(x.T.numpy())
    covariance = found.factor @ found.factor.T
    np.testing.assert_allclose(covariance.numpy(), kernel.covariance * 399 / 400, rtol=1e-6)
    same = StartDensity(0.0, x, torch.linalg.cholesky(torch.from_numpy(kernel.covariance)))
    np.testing.assert_allclose(same.log(at).numpy(), kernel.logpdf(at.T.numpy()), rtol=1e-8)


def test_under_a_linear_flow_it_is_the_closed_form():
    rate = torch.tensor(0.6, dtype=D, requires_grad=True)
    start, x = density(normal(300)), normal(7, seed=1)
    times = torch.linspace(0.5, 2.0, 7, dtype=D)[:, None]
    points = (times, x, torch.ones_like(x))
    found = path_log_density(lambda t, y: -rate * y, [rate], start, points, FINE)
    expected = start.log(x * torch.exp(rate * times)) + 2 * rate * times[:, 0]
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7)
    slopes = [torch.autograd.grad(one.sum(), rate)[0] for one in (found, expected)]
    torch.testing.assert_close(*slopes, rtol=1e-6, atol=1e-7)


def test_the_gradient_of_a_network_is_that_of_differences():
    net = mlp(3, 2, width=8, generator=torch.Generator().manual_seed(0)).double()
    start, x = density(normal(100)), normal(6, seed=1)
    points = (torch.full((6, 1), 1.5, dtype=D), x, normal(6, seed=2).sign())

    def loss():
        def velocity(t, y):
            return net(torch.cat([y, t], 1))

        return path_log_density(velocity, list(net.parameters()), start, points, FINE).sum()

    slopes = torch.autograd.grad(loss(), list(net.parameters()))
    for p, slope in zip(net.parameters(), slopes, strict=True):
        at, h = int(slope.abs().argmax()), 1e-5
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                p.view(-1)[at] += sign * h
                ends.append(float(loss()))
                p.view(-1)[at] -= sign * h
        expected = (ends[0] - ends[1]) / (2 * h)
        assert float(slope.reshape(-1)[at]) == pytest.approx(expected, rel=1e-4, abs=1e-7)


def fitted(weight, *, steps=10):
    x = normal(60)
    snapshots = Snapshots((0.0, 1.0), (x, 0.5 * x + 2))
    return fit_flow(
        snapshots,
        SplineInterpolant(),
        sigma=0.2,
        options=FlowOptions(penalties=Penalties(likelihood=weight)),
        training=Training(max_steps=steps, width=16),
        generator=torch.Generator().manual_seed(0),
        progress=False,
    )


@pytest.mark.filterwarnings("ignore:the flow does not pass")
def test_a_flow_is_trained_by_it():
    plain, likely = fitted(0.0), fitted(0.3)
    assert all(math.isfinite(one) for one in likely.losses)
    assert likely.losses != plain.losses


def test_cells_in_fewer_dimensions_have_no_density():
    x = normal(50)
    x[:, 1] = x[:, 0]
    with pytest.raises(ValueError, match="do not span their 2 variables"):
        density(x)
