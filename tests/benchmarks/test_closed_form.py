"""The closed-form Gaussian bridge against limits and equations that it was not written from."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from benchmarks.closed_form import GaussianBridge, gaussian_kl

IDENTITY = np.eye(3)


def bridge(sigma, seed=0):
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(2, 3, 3))
    S0, S1 = (f @ f.T + 0.3 * IDENTITY for f in factors)
    m0, m1 = rng.normal(size=(2, 3))
    return GaussianBridge(m0, S0, m1, S1, sigma)


@pytest.mark.parametrize("sigma", [0.1, 1.0, 4.0])
def test_the_ends_are_the_snapshots(sigma):
    b = bridge(sigma)
    np.testing.assert_allclose(b.covariance(0.0), b.S0, atol=1e-12)
    np.testing.assert_allclose(b.covariance(1.0), b.S1, atol=1e-12)
    np.testing.assert_array_equal(b.mean(0.0), b.m0)
    np.testing.assert_array_equal(b.mean(1.0), b.m1)


def test_without_noise_it_is_the_optimal_transport_map():
    b = bridge(1e-4)
    root = sqrtm(b.S0)
    inverse = np.linalg.inv(root)
    to_end = inverse @ sqrtm(root @ b.S1 @ root) @ inverse  # Gelbrich: S1 = A S0 A
    np.testing.assert_allclose(b.cross_covariance, b.S0 @ to_end, atol=1e-6)
    x = np.random.default_rng(1).normal(size=(5, 3))
    end = b.m1 + (x - b.m0) @ to_end
    np.testing.assert_allclose(b.drift(0.0, x), end - x, atol=1e-5)


def test_with_overwhelming_noise_the_ends_are_independent():
    assert np.abs(bridge(1e3).cross_covariance).max() < 1e-4


@pytest.mark.parametrize("sigma", [0.3, 1.0, 3.0])
def test_the_plan_has_the_couplings_of_the_reference(sigma):
    # the density of a static bridge is f(x) g(y) exp(x.y / sigma^2): the cross block of the
    # precision is the reference's
    b = bridge(sigma)
    joint = np.block([[b.S0, b.cross_covariance], [b.cross_covariance.T, b.S1]])
    assert np.linalg.eigvalsh(joint).min() > 0
    np.testing.assert_allclose(np.linalg.inv(joint)[:3, 3:], -IDENTITY / sigma**2, atol=1e-8)


@pytest.mark.parametrize("s", [0.1, 0.5, 0.9])
def test_drift_and_marginals_obey_the_fokker_planck_equation(s):
    # dS/ds = A S + S A^T + sigma^2 I with the drift's matrix A; dm/ds = drift at the mean
    b, h = bridge(0.8), 1e-5
    a = (b.drift(s, b.mean(s) + IDENTITY) - b.drift(s, b.mean(s)[None])).T
    rate = (b.covariance(s + h) - b.covariance(s - h)) / (2 * h)
    S = b.covariance(s)
    np.testing.assert_allclose(rate, a @ S + S @ a.T + 0.64 * IDENTITY, atol=1e-7)
    np.testing.assert_allclose(a, a.T, atol=1e-10)  # the drift is a gradient
    np.testing.assert_allclose(b.drift(s, b.mean(s)[None])[0], b.m1 - b.m0, atol=1e-12)


def test_samples_have_the_moments_of_the_marginal():
    b, n = bridge(1.0), 20_000
    x = b.sample(0.4, n, np.random.default_rng(0))
    # E KL(empirical | truth) is (d + d (d + 1) / 2) / (2 n) to first order, its standard deviation
    # sqrt(2 x degrees of freedom) / (2 n)
    freedom = 3 + 6
    kl = gaussian_kl(x.mean(0), np.cov(x.T), b.mean(0.4), b.covariance(0.4))
    assert 0 < kl < (freedom + 4 * np.sqrt(2 * freedom)) / (2 * n)


def test_kl_in_one_dimension():
    # log(s/r) + (r^2 + (m - k)^2) / (2 s^2) - 1/2
    found = gaussian_kl(np.array([1.0]), np.array([[4.0]]), np.array([0.0]), np.array([[9.0]]))
    assert found == pytest.approx(np.log(1.5) + 5 / 18 - 0.5)
