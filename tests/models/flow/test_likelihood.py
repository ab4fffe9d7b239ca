"""Densities along a flow are those of the change of variables."""

import math

import anndata as ad
import numpy as np
import pytest
import torch
from analytic import normal
from scipy.stats import norm

import celltraj as ct
from celltraj.models import log_density
from celltraj.models.flow.likelihood import velocity_and_divergence
from celltraj.models.solvers.ode import integrate


class Pulled:
    """An ODE ``x' = A x``, exact."""

    times = breakpoints = (0.0, 1.0, 2.0)

    def __init__(self, matrix, growth=None):
        self.matrix = matrix
        self.slope = torch.zeros(len(matrix)).double() if growth is None else growth

    def velocity(self, t, x):
        return x @ self.matrix.T

    def growth(self, t, x):
        return x @ self.slope


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def standard(x):
    return torch.from_numpy(norm.logpdf(x.numpy()).sum(1))


TURN = torch.tensor([[-0.4, -1.0], [1.0, 0.1]]).double()


@pytest.mark.parametrize("t", [0.0, 0.7, 2.0])
def test_a_linear_flow_of_a_gaussian_is_gaussian(t):
    x = normal(20, 2, seed=0)
    moved = torch.linalg.matrix_exp(TURN * t)
    covariance = moved @ moved.T
    truth = torch.distributions.MultivariateNormal(torch.zeros(2).double(), covariance).log_prob(x)
    found = log_density(Pulled(TURN), t, x, standard, generator=generator(), rtol=1e-8)
    torch.testing.assert_close(found, truth, rtol=1e-5, atol=1e-5)


def test_growth_along_the_flow_changes_the_density():
    # where nothing moves, mass grows by exp(g t) and the density with it
    slope = torch.tensor([0.5, -0.2]).double()
    x = normal(20, 2, seed=0)
    still = Pulled(torch.zeros(2, 2).double(), slope)
    found = log_density(still, 1.5, x, standard, generator=generator(), rtol=1e-8)
    torch.testing.assert_close(found, standard(x) + 1.5 * (x @ slope), rtol=1e-6, atol=1e-6)


def test_hutchinson_is_exact_on_average():
    d = 40
    matrix = torch.eye(d).double() * -0.3 + 0.05 * normal(d, d, seed=1)
    x = normal(3000, d, seed=2)
    signs = torch.rand(8, *x.shape, generator=generator(), dtype=torch.float64).sub(0.5).sign()
    _, estimate = velocity_and_divergence(Pulled(matrix), 0.0, x, signs)
    _, exact = velocity_and_divergence(Pulled(matrix), 0.0, x, None)
    torch.testing.assert_close(exact, matrix.trace().expand(len(x)))
    error = estimate.std() / len(x) ** 0.5
    assert abs(float(estimate.mean() - matrix.trace())) < 4 * float(error)
    # the variance of one probe is the squared off-diagonal part of A + A', halved
    symmetric = matrix + matrix.T
    off = symmetric - symmetric.diagonal().diag()
    assert float(estimate.var()) == pytest.approx(float(off.square().sum()) / 2 / 8, rel=0.15)


def test_many_variables_take_the_estimate():
    d = 31
    x = normal(5, d, seed=0)
    shrink = Pulled(-0.2 * torch.eye(d).double())
    # a diagonal matrix has no off-diagonal part, so that the estimate is exact too
    found = log_density(shrink, 1.0, x, standard, generator=generator(), rtol=1e-8)
    truth = standard(x * math.exp(0.2)) + 0.2 * d
    torch.testing.assert_close(found, truth, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("order", [(0.0, 0.5, 2.0), (2.0, 0.5, 0.0)])
def test_the_ode_lands_on_every_time(order):
    x = normal(4, 2, seed=0)
    path = integrate(lambda t, x: x @ TURN.T, x, order, breakpoints=(1.0,), rtol=1e-9, atol=1e-9)
    for t, found in zip(order, path.x, strict=True):
        truth = x @ torch.linalg.matrix_exp(TURN * (t - order[0])).T
        torch.testing.assert_close(found, truth, rtol=1e-6, atol=1e-6)


def test_a_tighter_tolerance_takes_more_evaluations():
    x = normal(4, 2, seed=0)
    counts = [
        integrate(lambda t, x: x @ TURN.T, x, (0.0, 5.0), rtol=rtol, atol=0).n_evaluations
        for rtol in (1e-3, 1e-6, 1e-9)
    ]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_an_ode_that_explodes_is_told():
    with pytest.raises(ValueError, match="could not be integrated"):
        integrate(lambda t, x: x**2, torch.ones(1).double(), (0.0, 2.0))


def test_times_outside_are_told():
    with pytest.raises(ValueError, match="time 3 lies outside"):
        log_density(Pulled(TURN), 3.0, normal(2, 2, seed=0), standard, generator=generator())


@pytest.fixture
def adata():
    return ct.datasets.branching(n_cells=40, seed=0)


@pytest.fixture
def flow(adata):
    short = ct.models.Training(max_steps=200)
    return ct.tl.fit_flow(adata.copy(), training=short, progress=False)


def test_cells_far_away_are_less_dense(adata, flow):
    far = adata[adata.obs["time"] == 1.0][:1].copy()
    far.X = far.X + 5
    far.obs_names = ["far"]
    both = ad.concat([adata, far])
    ct.tl.log_density(both, flow, progress=False)
    others = both.obs.loc[(both.obs["time"] == 1.0) & (both.obs_names != "far"), "log_density"]
    assert both.obs.loc["far", "log_density"] < others.min()


def test_density_survives_a_file_and_a_seed_repeats(adata, flow, tmp_path):
    state = torch.get_rng_state()
    ct.tl.log_density(adata, flow, progress=False)
    first = adata.obs["log_density"].copy()
    ct.tl.log_density(adata, flow, key_added="again", progress=False)
    np.testing.assert_array_equal(first, adata.obs["again"])
    assert torch.equal(torch.get_rng_state(), state)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    reloaded = ad.read_h5ad(tmp_path / "cells.h5ad")
    np.testing.assert_array_equal(reloaded.obs["log_density"], first)


def test_bad_input_is_told(adata, flow):
    bridge = ct.tl.fit_bridge(adata.copy(), training=None, progress=False)
    with pytest.raises(TypeError, match=r"as ct\.tl\.fit_flow"):
        ct.tl.log_density(adata, bridge)
    with pytest.raises(ValueError, match="no cells at 0, the first time"):
        ct.tl.log_density(adata[adata.obs["time"] > 0].copy(), flow)
    with pytest.raises(ValueError, match="FlowMatching has 2 variables"):
        ct.tl.log_density(adata[:, :1].copy(), flow)
    assert "log_density" not in adata.obs
