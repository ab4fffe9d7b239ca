"""The bridge against the Gaussian closed form (Bunne et al. 2022)."""

import math

import numpy as np
import pytest
import torch
from analytic import GaussianBridge, gaussian_kl, normal

import celltraj as ct
from celltraj.metrics import split_half_floor, wasserstein
from celltraj.models import Brownian, Training, default_sigma, fit_bridge, simulate
from celltraj.ot import Sinkhorn
from celltraj.snapshots import Snapshots


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussian_problem(n_vars, n_cells=1000):
    adata = ct.datasets.gaussian_snapshots(n_cells, n_vars, seed=0)
    u = adata.uns
    clouds = tuple(torch.from_numpy(adata.X[adata.obs["time"] == t]) for t in (0, 1))
    return Snapshots((0, 1), clouds), GaussianBridge(u["m0"], u["S0"], u["m1"], u["S1"], u["sigma"])


def fitted(snapshots, drift, sigma=1.0):
    return fit_bridge(
        snapshots,
        Brownian(sigma),
        coupling=Sinkhorn(),
        training=drift,
        generator=generator(),
        progress=False,
    )


def relative_error(bridge, exact, s):
    x = exact.sample(s, 1000, np.random.default_rng(1))
    found = bridge.drift(s, torch.from_numpy(x)).numpy()
    return ((found - exact.drift(s, x)) ** 2).sum() / (exact.drift(s, x) ** 2).sum()


@pytest.mark.parametrize("n_vars", [1, 3])
def test_interior_marginals_are_those_of_the_closed_form(n_vars):
    snapshots, exact = gaussian_problem(n_vars)
    bridge = fitted(snapshots, None)
    for s in (0.25, 0.5, 0.75):
        x = bridge.sample(s, 1000, generator=generator()).numpy()
        kl = gaussian_kl(x.mean(0), np.atleast_2d(np.cov(x.T)), exact.mean(s), exact.covariance(s))
        # 2n KL of the fitted moments is chi-square with d + d(d+1)/2 degrees of freedom; the
        # cells of the snapshots add a second sample of the same size
        degrees = n_vars + n_vars * (n_vars + 1) / 2
        assert kl < 2 * (degrees + 4 * (2 * degrees) ** 0.5) / 2000


def test_plug_in_drift_tends_to_the_closed_form():
    errors = []
    for n_cells in (250, 1000, 4000):
        snapshots, exact = gaussian_problem(2, n_cells)
        errors.append(relative_error(fitted(snapshots, None), exact, 0.5))
    # the mean squared error of the plug-in is of order 1/n at a fixed time below the end
    slope = np.polyfit(np.log([250, 1000, 4000]), np.log(errors), 1)[0]
    assert slope < -0.6


def test_neural_drift_learns_the_closed_form():
    snapshots, exact = gaussian_problem(5)
    bridge = fitted(snapshots, Training(max_steps=500))
    for s in (0.1, 0.5, 0.9):
        # the figure that the package promises in five dimensions with 2,000 cells
        assert relative_error(bridge, exact, s) < 0.05


def test_plug_in_from_one_cell_to_one_cell_is_the_brownian_bridge():
    x0, x1 = torch.zeros(1, 2, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64)
    bridge = fitted(Snapshots((0.0, 2.0), (x0, x1)), None, sigma=0.5)
    x = torch.tensor([[0.3, -1.0]], dtype=torch.float64)
    torch.testing.assert_close(bridge.drift(0.5, x), (x1 - x) / 1.5)
    mean, variance = 0.25 * x1, 0.25 * 0.5 * 1.5 / 2
    torch.testing.assert_close(bridge.score(0.5, x), (mean - x) / variance)


@pytest.mark.parametrize("first", [0.0, -1.0])
def test_the_first_time_after_a_snapshot_is_that_after_it(first):
    # 5e-324 and -5e-324 are times inside a gap, over which no noise is left in float64
    x0 = torch.from_numpy(np.random.default_rng(0).normal(size=(20, 2)))
    bridge = fitted(Snapshots((first, first + 1), (x0, x0 + 1)), None)
    at, side = (math.nextafter(0, 1), 0) if first == 0 else (math.nextafter(0, -1), 1)
    near = 1e-12 if first == 0 else -1e-12
    x = x0 + side
    for law in (bridge.score, bridge.drift):
        np.testing.assert_allclose(law(at, x), law(near, x), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("drift", [None, Training(max_steps=500)])
@pytest.mark.parametrize("backwards", [False, True])
def test_simulation_meets_every_snapshot(drift, backwards):
    x = normal(200, 2, seed=0)
    shifts = torch.tensor([[0.0, 0], [2, 1], [2, 3]]).double()
    snapshots = Snapshots((0, 1, 4), tuple(x[torch.randperm(200)] + s for s in shifts))
    bridge = fitted(snapshots, drift, sigma=0.3)
    order = (2, 1, 0) if backwards else (0, 1, 2)
    times = [snapshots.times[k] for k in order]
    path = simulate(bridge, snapshots.x[order[0]], times, generator=generator())
    for k, states in zip(order, path.x, strict=True):
        cells = snapshots.x[k].numpy()
        assert wasserstein(states.numpy(), cells) < 1.5 * split_half_floor(cells, seed=0)


@pytest.mark.parametrize("drift", [None, Training(max_steps=50)])
@pytest.mark.parametrize("times", [(0.0, 1.0), (1.0, 0.0)])
def test_paths_from_far_off_the_data_come_back_to_it(drift, times):
    snapshots = Snapshots((0, 1), (normal(60, 2, seed=0), normal(60, 2, seed=1) + 3))
    bridge = fitted(snapshots, drift, sigma=0.3)
    far = snapshots.x[int(times[0])] + torch.tensor([40.0, -40.0])
    end = simulate(bridge, far, times, generator=generator()).x[-1]
    low, high = snapshots.x[int(times[1])].aminmax(dim=0)
    # the last of 50 steps, (1 / 50)^2 of the gap, adds noise of standard deviation .3 / 50
    assert (end > low - 5 * 0.3 / 50).all()
    assert (end < high + 5 * 0.3 / 50).all()


@pytest.mark.parametrize("drift", [None, Training(max_steps=50)])
def test_shift_and_days_to_hours_change_nothing_but_units(drift):
    clouds = tuple(normal(60, 2, seed=k) + k for k in range(3))
    days = Snapshots((0, 1, 3), clouds)
    hours = Snapshots((24, 48, 96), tuple(c + 5 for c in clouds))
    sigma = default_sigma(days, generator=generator())
    assert default_sigma(hours, generator=generator()) == pytest.approx(sigma / 24**0.5)
    one, two = fitted(days, drift, sigma), fitted(hours, drift, sigma / 24**0.5)
    x = normal(20, 2, seed=9)
    # float32 inside the network
    torch.testing.assert_close(
        one.drift(0.4, x), 24 * two.drift(24 + 0.4 * 24, x + 5), rtol=2e-3, atol=2e-3
    )


def test_beyond_the_snapshots_the_reference_rules():
    snapshots = Snapshots((0, 1), (normal(50, 2, seed=0), normal(50, 2, seed=1) + 3))
    for drift in (None, Training(max_steps=5)):
        bridge = fitted(snapshots, drift)
        x = normal(5, 2, seed=2)
        assert (bridge.drift(1.5, x) == 0).all()
        assert (bridge.drift(-0.5, x) == 0).all()
        with pytest.raises(ValueError, match="outside the observed"):
            bridge.score(1.5, x)
        with pytest.raises(ValueError, match="outside the observed"):
            bridge.sample(1.5, 5, generator=generator())


def test_default_sigma_is_a_tenth_of_the_displacement_rate():
    x = normal(50, 2, seed=0)
    snapshots = Snapshots((0, 4), (x, x + torch.tensor([3.0, 4.0])))
    # sigma^2 = .01 x 5^2 / 4
    assert default_sigma(snapshots, generator=generator()) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="pass sigma="):
        default_sigma(Snapshots((0, 1), (x, x)), generator=generator())


def test_training_options_are_checked():
    for wrong in ({"max_steps": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"ema_decay": 1.0}):
        with pytest.raises(ValueError, match="must be positive"):
            Training(**wrong)
