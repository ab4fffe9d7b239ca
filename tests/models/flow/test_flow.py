"""A flow carries the marginals of its paths, as an ODE and as an SDE, both ways."""

import math

import pytest
import torch
from analytic import normal

from celltraj.metrics import fokker_planck_residual
from celltraj.models import (
    BrownianBridgeInterpolant,
    EncodingDecodingInterpolant,
    FlowMatching,
    FlowOptions,
    KineticInterpolant,
    LinearInterpolant,
    OrnsteinUhlenbeck,
    Penalties,
    ReferenceInterpolant,
    SplineInterpolant,
    Training,
    TrigonometricInterpolant,
    fit_flow,
    load,
    simulate,
)
from celltraj.models.flow.losses import Motion
from celltraj.models.training.options import ModelDefaults
from celltraj.ot import Unbalanced, solve
from celltraj.snapshots import Snapshots

SPREAD = (0.5, 1.0, 0.7)
CENTRE = (0.0, 2.0, 3.0)
TIMES = (0.0, 1.0, 3.0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussians(n=400):
    shapes = enumerate(zip(SPREAD, CENTRE, strict=True))
    clouds = [spread * normal(n, 2, seed=k) + centre for k, (spread, centre) in shapes]
    return Snapshots(TIMES, tuple(clouds))


def fitted(snapshots, interpolant=None, coupling=solve, *, penalties=None, **training):
    return fit_flow(
        snapshots,
        interpolant or BrownianBridgeInterpolant(),
        sigma=0.3,
        options=FlowOptions(coupling=coupling, penalties=penalties or Penalties()),
        training=Training(**({"max_steps": 600} | training)),
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
    flow = fitted(cells, LinearInterpolant(), max_steps=1500)
    t, x = 0.5, 1.0 + 0.75 * normal(200, 2, seed=9)
    scale = (1 - t) * SPREAD[0] + t * SPREAD[1]
    truth = CENTRE[1] + (SPREAD[1] - SPREAD[0]) / scale * (x - t * CENTRE[1])
    error = (flow.drift(t, x) - truth).square().mean() / truth.square().mean()
    # two samples of 400 alone leave an error of their means of .06, .0009 of the square
    assert error < 0.02


def test_score_is_that_of_a_gaussian():
    cells = Snapshots((0.0, 1.0), (normal(500, 1, seed=0), normal(500, 1, seed=1)))
    flow = fitted(cells, BrownianBridgeInterpolant(sigma=1.0), max_steps=1500)
    x = torch.linspace(-1.5, 1.5, 30, dtype=torch.float64)[:, None]
    # sigma of the coupling is .3: the pairs move by little, so that half way the spread is nearly
    # that of a cell, 1, with the variance 1/4 of the noise on top
    error = (flow.score(0.5, x) + x / 1.25).abs().mean()
    assert error < 0.25


def test_paths_without_noise_have_no_score(flow):
    still = fitted(gaussians(40), LinearInterpolant(), max_steps=5)
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


def test_a_seed_repeats_and_leaves_the_global_state():
    state = torch.get_rng_state()
    x = normal(5, 2, seed=3)
    one, two = (fitted(gaussians(40), max_steps=20).drift(0.4, x) for _ in range(2))
    assert torch.equal(one, two)
    assert torch.equal(torch.get_rng_state(), state)


KINDS = (
    BrownianBridgeInterpolant(),
    EncodingDecodingInterpolant(),
    KineticInterpolant(),
    LinearInterpolant(),
    ReferenceInterpolant(),
    ReferenceInterpolant(OrnsteinUhlenbeck()),
    SplineInterpolant(smoothness=0.5),
    TrigonometricInterpolant(),
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
def test_a_saved_flow_predicts_the_same_without_the_data(tmp_path, kind):
    soft = Unbalanced(tau_a=0.9)
    flow = fitted(gaussians(40), kind, soft, max_steps=5)
    flow = flow.with_noise(0.2) if kind.sigma != 0 else flow
    flow.save(tmp_path)
    again = load(tmp_path)
    assert isinstance(again, FlowMatching)
    x = normal(5, 2, seed=3)
    assert torch.equal(again.drift(0.4, x), flow.drift(0.4, x))
    assert torch.equal(again.growth(0.4, x), flow.growth(0.4, x))
    assert (again.times, again.noise, again.losses) == (flow.times, flow.noise, flow.losses)
    assert type(again.interpolant) is type(flow.interpolant)
    if isinstance(kind, ReferenceInterpolant):
        drifts = (one.interpolant.reference.drift(0.0, x) for one in (flow, again))
        torch.testing.assert_close(*drifts, rtol=0, atol=0)


def two_groups(n_left, n_right, n=400):
    """Two far groups of one-dimensional cells that stay where they are, in given shares."""
    left = n_left * n // (n_left + n_right)
    x = 0.3 * normal(n, 1, seed=n_left)
    return torch.cat([x[:left] - 4, x[left:] + 4])


def test_groups_that_grow_at_different_rates_grow_and_do_not_mix():
    # shares 1/2 and 1/2 become 1/5 and 4/5 in two units of time: relative growth log(4) / 2
    cells = Snapshots((0.0, 2.0), (two_groups(1, 1), two_groups(1, 4)))
    flow = fitted(cells, None, Unbalanced(tau_a=0.9, tau_b=0.999), max_steps=2000)
    path = simulate(flow, cells.x[0], (0.0, 2.0), generator=generator())
    is_left = cells.x[0][:, 0] < 0
    ends = path.x[-1][:, 0]
    assert ((ends < 0) == is_left).double().mean() > 0.99  # nobody changes sides
    mass = path.log_mass[-1].exp()
    share = float(mass[is_left].sum() / mass.sum())
    # 80 of 400 cells: the standard error of that share is .02; tau leaves a little to transport
    assert share == pytest.approx(0.2, abs=0.05)
    # growth is relative to the mean, so that the whole keeps its mass
    assert float(mass.mean()) == pytest.approx(1.0, abs=0.05)
    back = simulate(flow, cells.x[1], (2.0, 0.0), generator=generator())
    mass = back.log_mass[-1].exp()
    was_left = cells.x[1][:, 0] < 0
    assert float(mass[was_left].sum() / mass.sum()) == pytest.approx(0.5, abs=0.05)


def test_balanced_couplings_have_no_growth(flow):
    assert not flow.has_growth
    assert torch.equal(flow.growth(0.5, normal(3, 2, seed=0)), torch.zeros(3).double())
    path = simulate(flow, gaussians().x[0], (0.0, 1.0), generator=generator())
    assert path.log_mass is None


def test_days_and_hours_are_the_same_motion():
    cells = gaussians(60)
    hours = Snapshots(tuple(24 * t for t in TIMES), cells.x)
    x = normal(5, 2, seed=3)
    soft = Unbalanced(tau_a=0.9)
    fits = [
        fit_flow(
            one, ReferenceInterpolant(), sigma=sigma, options=FlowOptions(coupling=soft),
            training=Training(max_steps=100), generator=generator(), progress=False,
        )
        for one, sigma in ((cells, 0.3), (hours, 0.3 / 24**0.5))
    ]  # fmt: skip
    slow = fits[1].drift(12.0, x)
    torch.testing.assert_close(24 * slow, fits[0].drift(0.5, x), rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(
        24 * fits[1].growth(12.0, x), fits[0].growth(0.5, x), rtol=1e-2, atol=1e-2
    )


@pytest.mark.parametrize(
    "penalties",
    [
        Penalties(kinetic=0.5),
        Penalties(acceleration=0.1),
        Penalties(solver_error=1.0),
        Penalties(fokker_planck=1.0),
    ],
    ids=["kinetic", "acceleration", "solver_error", "fokker_planck"],
)
def test_a_penalty_lowers_what_it_penalises(flow, penalties):
    other = fitted(gaussians(), penalties=penalties)
    t = torch.rand(500, 1, generator=generator()).double() * 0.9 + 0.05
    x = gaussians(500).x[0] + 2 * t
    loss, plain = (_measured(one, penalties, t, x) for one in (other, flow))
    assert loss < plain


@pytest.mark.parametrize(("weight", "share"), [(0.0, 1.0), (1.0, 1.0), (30.0, 0.94)])
def test_a_residual_falls_before_the_score_shrinks(weight, share):
    flow = fitted(gaussians(200), penalties=Penalties(fokker_planck=weight), max_steps=500)
    start = gaussians(200).x[0].repeat(4, 1)
    x = simulate(flow, start, (0.0, 2.0), generator=generator(1)).x[-1]
    # E[s (x - E x)] = -1 for the score of any density, by parts
    found = -float((flow.score(2.0, x) * (x - x.mean(0))).mean())
    assert found == pytest.approx(share, abs=0.03)
    residual = fokker_planck_residual(flow, 2.0, x)
    assert residual == pytest.approx({0.0: 0.27, 1.0: 0.22, 30.0: 0.07}[weight], abs=0.03)


def _measured(flow, penalties, t, x):
    """Return the penalised quantity of a trained flow, in its own unit."""
    motion = Motion(flow.heads, flow.interpolant)
    t, x = t.float(), x.float()
    if penalties.fokker_planck:
        at = 0.5
        return fokker_planck_residual(flow, at, x.double())
    measure = {
        "kinetic": motion.velocity,
        "acceleration": motion.acceleration,
        "solver_error": motion.step_error,
    }
    (name,) = (name for name in measure if getattr(penalties, name))
    return float(measure[name](t, x).detach().square().mean())


def test_the_score_residual_vanishes_for_the_true_score():
    truth = Drifting()
    x = normal(50, 2, seed=0) + 1.0
    assert fokker_planck_residual(truth, 0.7, x) < 1e-6
    # the score of a density that stays behind belongs to another law
    assert fokker_planck_residual(Drifting(speed=0.0), 0.7, x) > 0.1
    many = normal(20, 40, seed=0)  # above 30 variables: Hutchinson's divergence, constant here
    assert fokker_planck_residual(Drifting(), 0.7, many) < 1e-6


class Drifting:
    """A Gaussian whose mean moves by (1, ...) and whose spread grows, with its exact score."""

    def __init__(self, speed=1.0):
        self.speed = speed

    def differentiable_velocity(self, t, x):
        return 1 + (x - t) / (1 + t)

    def differentiable_score(self, t, x):
        return -(x - self.speed * t) / (1 + t).square()

    def differentiable_growth(self, t, x):
        return torch.zeros(len(x), dtype=x.dtype)


def test_a_residual_needs_a_flow():
    with pytest.raises(TypeError, match=r"Fit one with ct\.tl\.fit_flow"):
        fokker_planck_residual(object(), 0.5, normal(3, 2, seed=0))


def test_early_stopping_keeps_the_best_weights_on_unseen_cells():
    options = {"max_steps": 3000, "validation": 0.2, "patience": 2, "learning_rate": 3e-2}
    flow = fitted(gaussians(60), **options)
    assert len(flow.losses) < 3000
    again = fitted(gaussians(60), **options)
    assert torch.equal(again.drift(0.4, gaussians(5).x[0]), flow.drift(0.4, gaussians(5).x[0]))


@pytest.mark.parametrize("penalties", [None, Penalties(acceleration=0.1, fokker_planck=3.0)])
def test_patience_without_cells_kept_aside_watches_points_drawn_aside(penalties):
    options = {"max_steps": 3000, "patience": 1, "width": 8, "batch_size": 32}
    flow = fitted(gaussians(60), penalties=penalties, learning_rate=5e-2, **options)
    assert len(flow.losses) % 250 == 0
    assert len(flow.losses) < 3000
    again = fitted(gaussians(60), penalties=penalties, learning_rate=5e-2, **options)
    assert again.losses == flow.losses
    assert torch.equal(again.drift(0.4, gaussians(5).x[0]), flow.drift(0.4, gaussians(5).x[0]))


def test_an_epoch_draws_as_many_points_as_there_are_cells():
    cells = gaussians(400)
    schedule = Training(max_epochs=3, batch_size=512).schedule(ModelDefaults(1), cells.n_cells)
    assert schedule.n_steps == 3 * math.ceil(1200 / 512)


@pytest.mark.parametrize(
    "options", [{"max_steps": 0}, {"learning_rate": -1.0}, {"ema_decay": 1.0}, {"width": 0}]
)
def test_training_options_are_checked(options):
    with pytest.raises(ValueError, match="ema_decay in"):
        Training(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_epochs": 2, "max_steps": 5}, "in place of max_steps"),
        ({"max_epochs": 0}, "max_epochs, batch_size, .* must be"),
        ({"validation": 1.0}, r"validation must lie in \[0, 1\)"),
    ],
)
def test_numbers_of_a_training_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        Training(**options)


def test_numbers_of_a_flow_are_checked():
    with pytest.raises(ValueError, match="kinetic must not be negative"):
        Penalties(kinetic=-1.0)


def test_validation_leaves_cells_to_train_on():
    with pytest.raises(ValueError, match="leaves no cell of time 0"):
        fitted(gaussians(1), validation=0.5, max_steps=2)
