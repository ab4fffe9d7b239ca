"""A flow carries the marginals of its paths, as an ODE and as an SDE, both ways."""

import numpy as np
import pytest
import torch
from analytic import normal
from scipy.sparse import csr_array

from celltraj._snapshots import Snapshots
from celltraj.models import (
    FlowMatching,
    FlowTraining,
    LinearInterpolant,
    SplineInterpolant,
    fit_flow,
    load,
    simulate,
)
from celltraj.models._chains import sample_chains
from celltraj.ot import solve

SPREAD = (0.5, 1.0, 0.7)
CENTRE = (0.0, 2.0, 3.0)
TIMES = (0.0, 1.0, 3.0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussians(n=400):
    shapes = enumerate(zip(SPREAD, CENTRE, strict=True))
    clouds = [spread * normal(n, 2, seed=k) + centre for k, (spread, centre) in shapes]
    return Snapshots(TIMES, tuple(clouds))


def fitted(snapshots, interpolant=None, **options):
    training = FlowTraining(**({"max_steps": 600} | options))
    return fit_flow(
        snapshots,
        interpolant or LinearInterpolant(),
        sigma=0.3,
        solver=solve,
        training=training,
        generator=generator(),
        progress=False,
    )


@pytest.fixture(scope="module")
def flow():
    return fitted(gaussians())


@pytest.mark.parametrize("noise", [0.0, 0.4])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_snapshots_are_met_with_any_noise_both_ways(flow, noise, order):
    cells = gaussians()
    process = flow.with_noise(noise)
    start = cells.x[order[0]]
    path = simulate(process, start, [TIMES[k] for k in order], generator=generator())
    for k, states in zip(order, path.x, strict=True):
        # the mean of 400 cells has a standard error of spread / 20; the rest is the network's
        assert (states.mean(0) - cells.x[k].mean(0)).abs().max() < 0.15
        assert (states.std(0) / cells.x[k].std(0) - 1).abs().max() < 0.15


def test_velocity_is_that_of_gaussian_transport():
    # one straight gap between N(0, .5^2) and N(2, 1): the noiseless limit moves x to 2 + 2 x
    cells = gaussians().without([3.0])
    flow = fitted(cells, LinearInterpolant(sigma=0.0), max_steps=1500)
    t, x = 0.5, 1.0 + 0.75 * normal(200, 2, seed=9)
    scale = (1 - t) * SPREAD[0] + t * SPREAD[1]
    truth = CENTRE[1] + (SPREAD[1] - SPREAD[0]) / scale * (x - t * CENTRE[1])
    error = (flow.drift(t, x) - truth).square().mean() / truth.square().mean()
    # two samples of 400 alone leave an error of their means of .06, .0009 of the square
    assert error < 0.02


def test_score_is_that_of_a_gaussian():
    cells = Snapshots((0.0, 1.0), (normal(500, 1, seed=0), normal(500, 1, seed=1)))
    flow = fitted(cells, LinearInterpolant(sigma=1.0), max_steps=1500)
    x = torch.linspace(-1.5, 1.5, 30, dtype=torch.float64)[:, None]
    # sigma of the coupling is .3: the pairs move by little, so that half way the spread is nearly
    # that of a cell, 1, with the variance 1/4 of the noise on top
    error = (flow.score(0.5, x) + x / 1.25).abs().mean()
    assert error < 0.25


def test_paths_without_noise_have_no_score(flow):
    still = fitted(gaussians(40), LinearInterpolant(sigma=0.0), max_steps=5)
    with pytest.raises(ValueError, match="fit with sigma above 0"):
        still.with_noise(0.1)
    with pytest.raises(ValueError, match="noise must not be negative"):
        flow.with_noise(-0.1)


def test_a_cell_beyond_the_data_is_led_back(flow):
    far = torch.tensor([[60.0, 0.5]]).double()
    edge = torch.tensor([[float(flow.box[:2, 1, 0].max()), 0.5]]).double()
    margin = 0.1 * float(flow.box[:2, 1, 0].max() - flow.box[:2, 0, 0].min())
    pull = flow.drift(0.5, far) - flow.drift(0.5, edge + torch.tensor([[margin, 0.0]]))
    # one gap is one unit of time here: the excess goes at that rate, and nothing else changes
    expected = torch.tensor([[-(60 - float(edge[0, 0]) - margin), 0.0]]).double()
    torch.testing.assert_close(pull, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(flow.score(0.5, far), flow.score(0.5, far + 1e6 * (far > 1)))


def test_chains_meet_every_marginal():
    cells = Snapshots((0, 1, 2), tuple(normal(4, 1, seed=k) for k in range(3)))
    plans = [
        csr_array(np.array([[0.25, 0, 0, 0], [0, 0.25, 0, 0], [0, 0, 0, 0.25], [0, 0, 0.25, 0]])),
        csr_array(np.full((4, 4), 1 / 16)),
    ]
    n = 40_000
    chains = sample_chains(cells, plans, n, generator=generator())
    assert (torch.tensor([0, 1, 3, 2])[chains[0]] == chains[1]).all()
    for rows in chains:
        share = torch.bincount(rows, minlength=4) / n
        assert (share - 0.25).abs().max() < 4 * (0.25 * 0.75 / n) ** 0.5


def test_a_seed_repeats_and_leaves_the_global_state():
    state = torch.get_rng_state()
    x = normal(5, 2, seed=3)
    one, two = (fitted(gaussians(40), max_steps=20).drift(0.4, x) for _ in range(2))
    assert torch.equal(one, two)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", [LinearInterpolant(), SplineInterpolant(smoothness=0.5)])
def test_a_saved_flow_predicts_the_same_without_the_data(tmp_path, kind):
    flow = fitted(gaussians(40), kind, max_steps=5).with_noise(0.2)
    flow.save(tmp_path)
    again = load(tmp_path)
    assert isinstance(again, FlowMatching)
    x = normal(5, 2, seed=3)
    assert torch.equal(again.drift(0.4, x), flow.drift(0.4, x))
    assert (again.times, again.noise, again.history) == (flow.times, flow.noise, flow.history)
    assert again.interpolant == flow.interpolant


@pytest.mark.parametrize(
    "options", [{"max_steps": 0}, {"learning_rate": -1.0}, {"ema_decay": 1.0}, {"width": 0}]
)
def test_training_options_are_checked(options):
    with pytest.raises(ValueError, match="must be positive and ema_decay in"):
        FlowTraining(**options)
