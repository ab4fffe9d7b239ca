"""References whose noise depends on the state, and bridges on them, against closed forms."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from analytic import normal

from celltraj.models import (
    CoxIngersollRoss,
    Geometric,
    KernelReference,
    LinearNoise,
    LotkaVolterra,
    Midpoint,
    ModuleReference,
    OrnsteinUhlenbeck,
    Refinement,
    Training,
    fit_bridge,
    refine,
    simulate,
)
from celltraj.models._load import load
from celltraj.models.references import LogChart, RootChart, straightened
from celltraj.models.references.chart import straightened_snapshots
from celltraj.models.references.gaussian_law import flow_of, uniform_grid
from celltraj.models.references.packed_law import law_cost, packed_law, unpacked_law
from celltraj.ot import solve
from celltraj.snapshots import Snapshots

TIMES = (0.0, 0.5, 1.0, 1.5, 2.0)
M, S = 0.5, 0.4
GBM = Geometric(torch.tensor([M]), S)
CIR = CoxIngersollRoss(torch.tensor([1.0]), torch.tensor([2.0]), 0.5)
N = 4_000


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def log_moments(t):
    """Return mean and variance of ``log X(t)`` of geometric motion from a log-normal law."""
    return 1 + (M - S**2 / 2) * t, 0.04 + S**2 * t


def geometric_cells(n, t, seed):
    mean, variance = log_moments(t)
    return (mean + variance**0.5 * normal(n, 1, seed=seed)).exp()


def geometric_snapshots(n=500, seed=0):
    return Snapshots(TIMES, tuple(geometric_cells(n, t, 7 * seed + k) for k, t in enumerate(TIMES)))


def bridged(snapshots, law, training=None):
    return fit_bridge(
        snapshots, law, coupling=solve, training=training, generator=generator(), progress=False
    )


@dataclass(frozen=True)
class Known:
    """Geometric motion with the score of its law."""

    def drift(self, t, x):
        return GBM.drift(t, x)

    def diffusion(self, t, x):
        return GBM.diffusion(t, x)

    def score(self, t, x):
        mean, variance = log_moments(t)
        return -(1 + (x.log() - mean) / variance) / x


@pytest.mark.parametrize("chart", [LogChart(), RootChart(0.0, 1.0), RootChart(0.7, 2.5)])
def test_a_chart_is_the_integral_of_the_inverse_shape(chart):
    x = (0.1 + normal(20, 2, seed=0).abs()).requires_grad_()
    z = chart.straight(x)
    torch.testing.assert_close(chart.curved(z), x)
    (slope,) = torch.autograd.grad(z.sum(), x)
    torch.testing.assert_close(slope * chart.shape(x), torch.ones_like(x))
    (bend,) = torch.autograd.grad(chart.shape(x).sum(), x)
    torch.testing.assert_close(bend, chart.bend(x))
    assert chart.holds(x).all()
    assert not chart.holds(torch.tensor([[-3.0]])).any()


def test_logarithms_of_geometric_motion_are_normal():
    law = replace(GBM, rates=torch.tensor([0.5, -0.2]), sigma=0.4)
    x = (0.3 * normal(5, 2, seed=0)).exp()
    flow = flow_of(straightened(law), x.log(), (0.0, 1.7))
    drift = torch.tensor([0.5 - 0.08, -0.2 - 0.08]).double()
    torch.testing.assert_close(flow.mean[-1], x.log() + 1.7 * drift)
    torch.testing.assert_close(flow.covariance[-1, 0], 1.7 * 0.16 * torch.eye(2).double())


def test_moments_of_a_square_root_diffusion():
    """Its drift is linear and its variance too: noise gathered along the mean is that of the law.

    Cox, Ingersoll & Ross (1985), eq. 19.
    """
    x, t = torch.tensor([[0.5], [4.0]]).double(), 1.3
    k, level, s = 1.0, 2.0, 0.5
    left = math.exp(-k * t)
    flow = flow_of(CIR, x, uniform_grid(0.0, t, 12))
    torch.testing.assert_close(flow.mean[-1], level + (x - level) * left, rtol=1e-5, atol=0)
    variance = x * s**2 / k * (left - left**2) + level * s**2 / (2 * k) * (1 - left) ** 2
    torch.testing.assert_close(flow.covariance[-1][:, 0], variance, rtol=1e-5, atol=0)


def test_the_stationary_law_of_a_square_root_diffusion_is_gamma():
    shape, rate = 2 * 1.0 * 2.0 / 0.25, 2 * 1.0 / 0.25
    x0 = torch.from_numpy(np.random.default_rng(0).gamma(shape, 1 / rate, (N, 1)))
    x = simulate(CIR, x0, (0.0, 2.0), solver=Midpoint(60), generator=generator()).x[-1]
    assert abs(float(x.mean()) - 2) < 4 * (shape / rate**2 / N) ** 0.5
    spread = ((2 + 6 / shape) / N) ** 0.5  # of the variance, by its fourth central moment
    assert abs(float(x.var()) / (shape / rate**2) - 1) < 4 * spread


@pytest.mark.parametrize("ode", [False, True])
@pytest.mark.parametrize("times", [(0.5, 1.5), (1.5, 0.5)])
def test_geometric_motion_in_every_direction(ode, times):
    x0 = geometric_cells(N, times[0], seed=0)
    x = simulate(Known(), x0, times, solver=Midpoint(60), ode=ode, generator=generator()).x[-1]
    mean, variance = log_moments(times[1])
    assert abs(float(x.log().mean()) - mean) < 4 * (variance / N) ** 0.5
    assert abs(float(x.log().var()) - variance) < 4 * variance * (2 / N) ** 0.5


def test_a_bridge_between_two_cells_is_that_of_the_logarithms():
    pair = Snapshots((0.0, 2.0), (torch.tensor([[1.0]]), torch.tensor([[3.0]])))
    bridge = bridged(pair, GBM)
    x, t = torch.tensor([[0.5], [2.0]]).double(), 0.8
    left = 2 - t
    # the pinned logarithm goes (log 3 - z) / (T - t), whatever its drift was
    drift = x * ((math.log(3) - x.log()) / left + S**2 / 2)
    torch.testing.assert_close(bridge.drift(t, x), drift)
    mean, variance = math.log(3) * t / 2, S**2 * t * left / 2
    score = -(1 + (x.log() - mean) / variance) / x
    torch.testing.assert_close(bridge.score(t, x), score)
    # backwards: b - (d s^2 + s^2 score)
    back = drift - (2 * S**2 * x + S**2 * x**2 * score)
    torch.testing.assert_close(bridge.field.backward_drift(t, x), back)
    drawn = bridge.sample(t, N, generator=generator()).log()
    assert abs(float(drawn.mean()) - mean) < 4 * (variance / N) ** 0.5
    assert abs(float(drawn.var()) - variance) < 4 * variance * (2 / N) ** 0.5


def test_a_bridge_runs_in_every_direction_between_its_snapshots():
    bridge = bridged(geometric_snapshots(60), GBM)
    start = bridge.sample(0.75, 300, generator=generator(1))
    for stop in (0.6, 0.9):
        wanted = bridge.sample(stop, N, generator=generator(2)).log()
        for ode in (False, True):
            path = simulate(
                bridge, start, (0.75, stop), ode=ode, n_steps=15, generator=generator(3)
            )
            x = path.x[-1].log()
            error = (float(wanted.var()) * (1 / N + 1 / 300)) ** 0.5
            assert abs(float(x.mean() - wanted.mean())) < 4 * error
            assert abs(float(x.std() / wanted.std()) - 1) < 4 * (1 / 600 + 1 / 2 / N) ** 0.5


def test_sigma_of_the_geometric_family():
    found = []
    for seed in range(2):
        law, rounds = refine(
            geometric_snapshots(500, seed),
            Geometric(sigma=1.0),
            coupling=solve,
            refinement=Refinement(estimate_sigma=True, max_rounds=3),
            generator=generator(),
            progress=False,
        )
        found.append((law.sigma, float(law.rates)))
        assert rounds[-1].sigma == law.sigma
    # variances of 500 cells tell the slope of the last to 6 %, sigma to 3 %
    assert all(abs(sigma / S - 1) < 0.05 for sigma, _ in found)
    # the mean moves by (m - s^2 / 2) t, from sqrt(.04 / 500) to sqrt(.36 / 500): .014 over 2
    assert all(abs(rate - M) < 4 * 0.014 + S * 0.05 for _, rate in found)


def test_a_square_root_bridge_between_stationary_snapshots_stays_gamma():
    shape, rate = 16.0, 8.0
    draws = np.random.default_rng(0)
    clouds = tuple(torch.from_numpy(draws.gamma(shape, 1 / rate, (150, 1))) for _ in range(3))
    bridge = bridged(Snapshots((0.0, 0.5, 1.0), clouds), CIR)
    x = bridge.sample(0.25, N, generator=generator())
    # the error is that of the 300 cells of the two snapshots that it lies between
    assert abs(float(x.mean()) - 2) < 4 * (shape / rate**2 / 150) ** 0.5
    assert abs(float(x.var()) / (shape / rate**2) - 1) < 4 * ((2 + 6 / shape) / 150) ** 0.5


def test_a_family_with_few_parameters_is_scored():
    noisy = straightened(LinearNoise(LotkaVolterra(1.0, 0.4, 0.4, 0.1), floor=0.0, sigma=0.1))
    for law in (straightened(CIR), noisy):
        again = law.with_parameters(law.parameters())
        assert again.estimates() == pytest.approx(law.estimates())
        assert again.sigma == law.sigma
    assert not hasattr(straightened(LinearNoise(OrnsteinUhlenbeck(), sigma=0.1)), "parameters")


def test_rates_and_level_of_a_square_root_diffusion_from_snapshots():
    n, times = 150, (0.0, 0.4, 0.8, 1.4)
    x0 = 0.4 + 0.1 * normal(n, 1, seed=0).abs()
    path = simulate(CIR, x0, times, solver=Midpoint(40), generator=generator(1))
    law, _ = refine(
        Snapshots(times, tuple(path.x)),
        CoxIngersollRoss(sigma=0.5),
        coupling=solve,
        refinement=Refinement(max_rounds=8),
        generator=generator(),
        progress=False,
    )
    # the last mean is known to .5 sqrt(2 / 150) / 2 = .04, and 1 - e^-1.4 of the way is gone
    assert float(law.levels) == pytest.approx(2.0, abs=0.25)
    assert float(law.rates) == pytest.approx(1.0, abs=0.25)


def test_cells_without_noise_are_refused():
    clouds = (torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [2.0]]))
    snapshots = Snapshots((0.0, 1.0), clouds)
    for law in (GBM, CIR):
        with pytest.raises(ValueError, match=r"has no noise in 1 of 4 cells.*pseudocount"):
            bridged(snapshots, law)
    with pytest.raises(ValueError, match="describes amounts, and 1 cells have negative"):
        bridged(Snapshots((0.0, 1.0), (clouds[0] - 0.5, clouds[1])), GBM)
    counted = LinearNoise(OrnsteinUhlenbeck(matrix=-torch.eye(1), shift=torch.ones(1)), sigma=0.3)
    path = simulate(bridged(snapshots, counted), clouds[0], (0.0, 1.0), generator=generator())
    assert torch.cdist(path.x[-1], clouds[1]).amin(1).max() < 0.1


@pytest.mark.parametrize(
    ("made", "error", "message"),
    [
        (lambda: Geometric(torch.ones(2, 2)), ValueError, r"rates must have shape \(d,\)"),
        (lambda: Geometric(sigma=-1.0), ValueError, "sigma must be positive"),
        (lambda: CoxIngersollRoss(torch.ones(1)), ValueError, "pass rates= and levels= together"),
        (lambda: CoxIngersollRoss(torch.ones(1), -torch.ones(1)), ValueError, "must be positive"),
        (lambda: LinearNoise(LotkaVolterra), TypeError, "in place of the class as drift_of"),
        (lambda: LinearNoise(GBM), TypeError, "Geometric has noise of its own"),
        (lambda: LinearNoise(floor=-1.0), ValueError, "floor must not be negative"),
        (lambda: LinearNoise(slope=0.0), ValueError, "pass the reference alone"),
    ],
)
def test_what_is_no_such_law(made, error, message):
    with pytest.raises(error, match=message):
        made()


@pytest.mark.parametrize(
    "law",
    [
        GBM,
        CIR,
        LinearNoise(LotkaVolterra(1.0, 0.4, 0.4, 0.1), sigma=0.1),
        LinearNoise(
            OrnsteinUhlenbeck(matrix=-torch.eye(2), shift=torch.ones(2)), 0.5, 2.0, sigma=0.2
        ),
    ],
)
def test_files_keep_bridge_and_cost(law, tmp_path):
    d = 2 if isinstance(law, LinearNoise) else 1
    clouds = tuple(1.5 + 0.3 * normal(20, d, seed=k) for k in range(3))
    bridge = bridged(Snapshots((0.0, 0.5, 1.0), clouds), law)
    bridge.save(tmp_path / "bridge")
    again = load(tmp_path / "bridge")
    x = clouds[0] + 0.1
    for t in (0.2, 0.7):
        torch.testing.assert_close(again.drift(t, x), bridge.drift(t, x), rtol=0, atol=0)
    known = unpacked_law(packed_law(law), dim=d)
    cost = law_cost(known, clouds[0], clouds[1], (0.0, 0.5))
    torch.testing.assert_close(cost.dense(), bridge.couplings[0].cost.dense())
    assert "drift" in repr(bridge)


def test_code_of_the_users_is_no_file():
    law = LinearNoise(ModuleReference(torch.nn.Identity()), sigma=0.1)
    assert packed_law(law) is None


@pytest.mark.slow
def test_a_network_learns_the_drift_of_such_a_bridge():
    snapshots = geometric_snapshots(200)
    bridge = bridged(snapshots, GBM, Training(max_steps=1500))
    path = simulate(bridge, snapshots.x[0], TIMES, generator=generator())
    mean, variance = log_moments(2.0)
    ends = path.x[-1].log()
    assert abs(float(ends.mean()) - mean) < 8 * (variance / 200) ** 0.5
    assert bridge.losses
    exact = bridged(snapshots, GBM)
    x = exact.sample(0.75, 200, generator=generator())
    wanted = exact.drift(0.75, x)
    assert (bridge.drift(0.75, x) - wanted).std() < 0.5 * wanted.std()


def test_a_kernel_drift_is_fitted_in_the_states():
    x = 2 + 0.3 * normal(30, 2, seed=0)
    snapshots = Snapshots((0.0, 1.0, 2.0), (x, x + 1, x + 2))
    law, _ = refine(
        snapshots,
        LinearNoise(KernelReference(n_centres=10), sigma=0.1),
        coupling=solve,
        refinement=Refinement(max_rounds=1),
        generator=generator(),
        progress=False,
    )
    drift = law.drift(0.0, snapshots.x[1])
    assert (drift - 1).abs().mean() < 0.15
    assert straightened_snapshots(snapshots, law).x[0].shape == x.shape
