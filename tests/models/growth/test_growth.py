"""Bridges whose cells divide and die: the equation they solve, and what they learn."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from analytic import normal

import celltraj as ct
from celltraj.metrics import wasserstein
from celltraj.models import Brownian, LearnedGrowth, Training, fit_bridge, learn_growth, simulate
from celltraj.models.growth.path_mass import EARLY
from celltraj.models.growth.population_sizes import population_sizes
from celltraj.ot import Unbalanced, solve
from celltraj.snapshots import Snapshots

SIGMA = 0.6


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def fitted(snapshots, *, drift=None, solver=solve, sigma=SIGMA):
    drift = None if drift is None else drift
    return fit_bridge(
        snapshots,
        Brownian(sigma),
        coupling=solver,
        training=drift,
        generator=generator(),
        progress=False,
    )


@pytest.fixture(scope="module")
def relaxed():
    """Return a one-dimensional bridge with soft marginals over a gap of two."""
    x, y = normal(12, 1, seed=0), 1.5 * normal(15, 1, seed=1) + 1
    snapshots = Snapshots((0.0, 2.0), (x, y), sizes=(1.0, 3.0))
    return fitted(snapshots, solver=Unbalanced(0.7, 0.8))


def density(bridge, t, x):
    """Return the mass-weighted density of the bridge, term by term from its definition."""
    s, length = t / 2.0, 2.0
    coupling, masses = bridge.couplings[0], bridge.masses
    x0, y = (cloud[:, 0].numpy() for cloud in bridge.snapshots.x)
    plan = coupling.to_dense().numpy()
    start = bridge.snapshots.weights[0].numpy()[:, None] * plan / plan.sum(1, keepdims=True)
    phi, psi = 1 - (1 - s) ** EARLY, s**EARLY
    mass = start * np.exp(phi * masses.sent[0][:, None] + psi * masses.met[0][None])
    mass = mass / np.exp(masses.curves[0](s)) * np.exp(s * masses.sizes[0])
    mean = (1 - s) * x0[:, None] + s * y[None]
    variance = SIGMA**2 * length * s * (1 - s)
    kernel = np.exp(-((x[:, None, None] - mean) ** 2) / (2 * variance))
    return (mass * kernel).sum((1, 2)) / (2 * np.pi * variance) ** 0.5


@pytest.mark.parametrize("t", [0.3, 1.0, 1.7])
def test_drift_and_growth_solve_the_equation_of_the_density(relaxed, t):
    """``dp/dt + d(b p)/dx - sigma^2/2 d2p/dx2 = g p`` by central differences."""
    x, h = np.linspace(-2, 3, 41), 1e-3

    def flux(at):
        return relaxed.drift(t, torch.from_numpy(at[:, None]))[:, 0].numpy() * density(
            relaxed, t, at
        )

    rise = (density(relaxed, t + h, x) - density(relaxed, t - h, x)) / (2 * h)
    transport = (flux(x + h) - flux(x - h)) / (2 * h)
    p = density(relaxed, t, x)
    bend = (density(relaxed, t, x + h) - 2 * p + density(relaxed, t, x - h)) / h**2
    growth = relaxed.growth(t, torch.from_numpy(x[:, None])).numpy()
    residual = rise + transport - SIGMA**2 / 2 * bend - growth * p
    # the curve through log Z and the calibration of the total rate are known to 1 %
    assert np.abs(residual).max() < 0.02 * np.abs(rise).max() + 0.02 * (np.abs(growth) * p).max()


def test_score_is_that_of_the_density(relaxed):
    x, h, t = np.linspace(-2, 3, 21), 1e-5, 0.8
    expected = np.log(density(relaxed, t, x + h) / density(relaxed, t, x - h)) / (2 * h)
    found = relaxed.score(t, torch.from_numpy(x[:, None]))[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("drift", [None, Training(max_steps=1500)])
def test_trajectories_with_mass_meet_the_snapshots(drift):
    """Two groups that do not mix: one trebles, the other halves, and each only moves a little."""
    one, other = 0.3 * normal(150, 2, seed=0), 0.3 * normal(150, 2, seed=1) + 10
    more = torch.cat([0.3 * normal(300, 2, seed=2), 0.3 * normal(50, 2, seed=3) + 10]) + 0.5
    snapshots = Snapshots((0.0, 4.0), (torch.cat([one, other]), more), sizes=(300, 350))
    snapshots = learn_growth(snapshots, Brownian(0.2), LearnedGrowth())
    bridge = fitted(snapshots, drift=drift, sigma=0.2)
    path = simulate(bridge, snapshots.x[0], (0.0, 2.0, 4.0), generator=generator())
    mass = path.log_mass.exp()
    # two groups of the truth: 150 become 300, 150 become 50
    assert float(mass[-1, :150].mean()) == pytest.approx(2.0, rel=0.1)
    assert float(mass[-1, 150:].mean()) == pytest.approx(1 / 3, rel=0.1)
    rates = bridge.lineage.growth(0)
    assert float(rates[:150].mean()) == pytest.approx(np.log(2) / 4, abs=0.02)
    assert float(rates[150:].mean()) == pytest.approx(np.log(1 / 3) / 4, abs=0.02)
    distance = wasserstein(
        path.x[-1].numpy(), more.numpy(), weights=(mass[-1] / mass[-1].sum()).numpy()
    )
    unweighted = wasserstein(path.x[-1].numpy(), more.numpy())
    assert distance < unweighted / 4


def test_sampled_cells_have_the_mass_of_their_paths(relaxed):
    found = relaxed.sample(1.0, 20_000, generator=generator())[:, 0].numpy()
    x = np.linspace(-6, 8, 2001)
    p = density(relaxed, 1.0, x)
    mean = np.trapezoid(x * p, x) / np.trapezoid(p, x)
    sd = (np.trapezoid((x - mean) ** 2 * p, x) / np.trapezoid(p, x)) ** 0.5
    # 4 pairs drawn for each that is kept: no worse than half as many independent ones
    assert found.mean() == pytest.approx(mean, abs=4 * sd / 10_000**0.5)


@pytest.mark.parametrize("share", [0.0, 0.3, 1 - 1e-12, 1.0, 1.5])
def test_drift_and_growth_together_are_those_alone(relaxed, share):
    first, last = relaxed.span
    t, x = first + share * (last - first), normal(7, relaxed.dim, seed=5)
    drift, growth = relaxed.drift_and_growth(t, x)
    assert torch.equal(drift, relaxed.drift(t, x))
    assert torch.equal(growth, relaxed.growth(t, x))


def test_a_balanced_bridge_neither_grows_nor_dies():
    x = normal(40, 2, seed=0)
    bridge = fitted(Snapshots((0.0, 1.0), (x, x + 2)))
    assert not bridge.has_growth
    assert not bool(bridge.growth(0.5, x).any())
    assert simulate(bridge, x, (0.0, 1.0), generator=generator()).log_mass is None


def test_growth_that_is_expected_is_what_the_couplings_send():
    x = normal(60, 2, seed=0)
    rates = torch.linspace(-1, 1, 60).double()
    snapshots = Snapshots((0.0, 0.5), (x, x + 1), growth=(rates, rates))
    found = fitted(snapshots).lineage.growth(0)
    expected = rates - rates.mul(0.5).exp().mean().log() / 0.5
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_rates_scale_with_the_unit_of_time():
    """Days to hours: rates a 24th, sigma a root of it, all else the same."""
    x, y = normal(50, 2, seed=0), normal(80, 2, seed=1) + 1
    solver = Unbalanced(0.8, 0.9)
    days = fitted(Snapshots((0.0, 1.0), (x, y)), solver=solver)
    hours = fitted(Snapshots((0.0, 24.0), (x, y)), solver=solver, sigma=SIGMA / 24**0.5)
    torch.testing.assert_close(
        24 * hours.growth(6.0, x), days.growth(0.25, x), rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(24 * hours.lineage.growth(0), days.lineage.growth(0))


def test_what_other_gaps_do_not_confirm_is_not_growth():
    """A cloud that moves at a constant pace: its foremost cells have no more descendants."""
    clouds = tuple(normal(100, 2, seed=k) + 1.5 * k for k in range(5))
    found = learn_growth(
        Snapshots(tuple(map(float, range(5))), clouds), Brownian(0.3), LearnedGrowth()
    )
    spread = torch.cat(found.growth).std()
    once = Snapshots((0.0, 1.0), clouds[:2])
    single = torch.cat(learn_growth(once, Brownian(0.3), LearnedGrowth()).growth).std()
    assert float(spread) < 0.3 * float(single)


def test_growth_that_all_gaps_share_is_found():
    """Cells right of zero double in every gap, those left of it keep their number."""
    g = generator(3)

    def cloud(n_left, n_right):
        x = 0.5 * torch.randn(n_left + n_right, 2, generator=g, dtype=torch.float64)
        x[:n_left, 0] -= 3
        x[n_left:, 0] += 3
        return x

    clouds = tuple(cloud(100, 25 * 2**k) for k in range(4))
    sizes = tuple(float(len(c)) for c in clouds)
    snapshots = Snapshots((0.0, 1.0, 2.0, 3.0), clouds, sizes=sizes)
    found = learn_growth(snapshots, Brownian(0.3), LearnedGrowth())
    x, rate = torch.cat(found.x)[:, 0], torch.cat(found.growth)
    gap = float(rate[x > 0].mean() - rate[x < 0].mean())
    # the price of what was not expected keeps back a tenth
    assert gap == pytest.approx(np.log(2), rel=0.1)
    bridge = fitted(found, sigma=0.3)
    path = simulate(bridge, clouds[0], snapshots.times, generator=generator())
    np.testing.assert_allclose(path.log_mass.exp().sum(1), sizes, rtol=0.03)


def test_cells_that_move_far_are_not_taken_to_die():
    """Cells right of zero double in every gap and move, those left of it stay as they are."""
    clouds = tuple(
        torch.cat(
            [
                0.3 * normal(100, 2, seed=2 * k) + torch.tensor([-3.0, 0.0]),
                0.3 * normal(25 * 2**k, 2, seed=2 * k + 1) + torch.tensor([3.0, 0.5 * k]),
            ]
        )
        for k in range(4)
    )
    sizes = tuple(float(len(c)) for c in clouds)
    snapshots = Snapshots((0.0, 1.0, 2.0, 3.0), clouds, sizes=sizes)
    # a move costs a dozen times epsilon, and the price of growth is not all of it
    found = learn_growth(snapshots, Brownian(0.1), LearnedGrowth())
    lineage = fitted(found, sigma=0.1).lineage
    for k, x in enumerate(clouds[:-1]):
        rates = lineage.growth(k)
        assert float(rates[x[:, 0] > 0].mean()) == pytest.approx(np.log(2), abs=0.1)
        assert float(rates[x[:, 0] < 0].mean()) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("drift", [None, Training(max_steps=20, width=8)])
def test_a_growing_bridge_survives_saving(drift, tmp_path):
    x, y = normal(30, 2, seed=0), normal(40, 2, seed=1) + 1
    rates = (torch.zeros(30).double(), torch.ones(40).double())
    snapshots = Snapshots((0.0, 1.0), (x, y), growth=rates, sizes=(1.0, 2.0))
    bridge = fitted(snapshots, drift=drift, solver=Unbalanced(0.8, 0.9))
    bridge.save(tmp_path)
    again = ct.load(tmp_path)
    torch.testing.assert_close(again.growth(0.3, x), bridge.growth(0.3, x))
    torch.testing.assert_close(again.snapshots.growth, bridge.snapshots.growth)
    assert again.snapshots.sizes == bridge.snapshots.sizes
    assert again.lineage.numbers == bridge.lineage.numbers


def test_no_growth_beyond_the_snapshots(relaxed):
    x = torch.zeros(3, 1).double()
    assert not bool(relaxed.growth(2.5, x).any() or relaxed.growth(-0.5, x).any())


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ("population", (1.0, 3.0)),
        ("proportions", (1.0, 1.0)),
        ([4, 2], (1.0, 0.5)),
        ({1.0: 2, 0.0: 4}, (1.0, 0.5)),
        ({1: 2, 0: 4}, (1.0, 0.5)),
    ],
)
def test_what_numbers_mean_is_declared(counts, expected):
    assert population_sizes([0.0, 1.0], [10, 30], counts) == expected


@pytest.mark.parametrize(
    "counts",
    ["cells", [1.0], [1.0, 0.0], [1.0, float("nan")], {0: 1.0}, {0: 1.0, 1: 1.0, 2: 1.0}],
)
def test_other_counts_are_refused(counts):
    with pytest.raises(ValueError, match="counts"):
        population_sizes([0.0, 1.0], [10, 30], counts)


@pytest.mark.parametrize(
    "options", [{"tau_a": 0.0}, {"shares": ()}, {"shares": (2.0,)}, {"n_rounds": 0}]
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="must"):
        LearnedGrowth(**options)


def test_snapshots_refuse_growth_that_does_not_fit():
    x = normal(5, 1, seed=0)
    two = Snapshots((0.0, 1.0), (x, x))
    with pytest.raises(ValueError, match="expected 5 finite"):
        replace(two, growth=(torch.ones(5), torch.full((5,), torch.nan)))
    with pytest.raises(ValueError, match="growth of 1"):
        replace(two, growth=(torch.ones(5),))
    with pytest.raises(ValueError, match="positive number"):
        replace(two, sizes=(1.0, -1.0))
