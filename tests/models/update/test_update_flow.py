"""A flow goes on to new snapshots: what stays, what is learned, and with what growth."""

import math

import pytest
import torch

from celltraj.models import (
    FlowOptions,
    LinearInterpolant,
    SplineInterpolant,
    Training,
    TrigonometricInterpolant,
    fit_flow,
    simulate,
)
from celltraj.models.networks import point_errors
from celltraj.models.representation import Representation
from celltraj.models.update.flow import extended, update_flow
from celltraj.models.update.growth import carried_rate
from celltraj.models.update.options import schedule_of
from celltraj.models.update.replay import Replay
from celltraj.models.update.start import simulated_course
from celltraj.ot import solve
from celltraj.snapshots import Snapshots

SHORT = Training(max_steps=300, width=32)
STEP = 1.5


def walk(n_times, *, n=150, seed=0, growth=()):
    """Return a Gaussian cloud of width .5 that moves by 1.5 in each unit of time."""
    generator = torch.Generator().manual_seed(seed)
    x = [0.5 * torch.randn(n, 2, generator=generator, dtype=torch.float64) for _ in range(n_times)]
    moved = tuple(one + STEP * k * torch.tensor([1.0, 0.0]) for k, one in enumerate(x))
    return Snapshots(tuple(map(float, range(n_times))), moved, growth=growth)


def fitted(snapshots, paths=None, *, training=SHORT):
    return fit_flow(
        snapshots,
        SplineInterpolant() if paths is None else paths,
        sigma=0.2,
        options=FlowOptions(coupling=solve),
        training=training,
        generator=torch.Generator().manual_seed(0),
        progress=False,
    )


@pytest.fixture(scope="module")
def flow():
    return fitted(walk(3))


@pytest.fixture(scope="module")
def longer(flow):
    return update_flow(
        flow,
        walk(4),
        training=SHORT,
        generator=torch.Generator().manual_seed(0),
        progress=False,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_update_of_no_steps_is_the_old_flow_up_to_its_end(flow, dtype):
    grown = extended(flow, walk(4))
    x = walk(3).x[1].to(dtype)
    for t in (0.0, 0.4, 1.0, 1.6, 1.999):
        for name in ("drift", "velocity", "score", "growth", "diffusion"):
            one, other = (getattr(law, name)(t, x) for law in (flow, grown))
            assert torch.allclose(one, other, rtol=1e-5, atol=1e-6), (t, name)
    start, at = walk(3).x[0], (0.0, 1.0, 2.0)
    paths = [simulate(law, start, at, generator=torch.Generator()).x for law in (flow, grown)]
    assert torch.allclose(*paths, atol=1e-5)


def test_the_new_gap_is_learned_and_old_ones_are_kept(flow, longer):
    old, new = walk(3), walk(4)
    generator = torch.Generator().manual_seed(1)
    end = simulate(longer, new.x[2], (2.0, 3.0), n_steps=20, generator=generator).x[-1]
    error = 0.5 * math.sqrt(2 / len(end))  # of the mean of a cloud, two clouds
    assert torch.allclose(end.mean(0), new.x[3].mean(0), atol=4 * error)
    assert torch.allclose(end.std(0), new.x[3].std(0), rtol=0.25)
    for k in range(2):
        ends = [
            simulate(law, old.x[k], (k, k + 1.0), n_steps=20, generator=torch.Generator()).x[-1]
            for law in (flow, longer)
        ]
        # a fifth of the width of a cloud, in the mean square
        assert float((ends[0] - ends[1]).square().mean().sqrt()) < 0.1


def test_the_old_flow_is_not_changed(flow, longer):
    assert flow.times == (0.0, 1.0, 2.0)
    assert flow.parent is None
    assert longer.times == (0.0, 1.0, 2.0, 3.0)
    assert longer.parent is not None
    again = fitted(walk(3))
    state = flow.heads.state_dict()
    assert all(torch.equal(v, state[name]) for name, v in again.heads.state_dict().items())


def test_one_seed_gives_one_flow(flow, longer):
    state = torch.get_rng_state()
    again = update_flow(
        flow, walk(4), training=SHORT, generator=torch.Generator().manual_seed(0), progress=False
    )
    assert torch.equal(torch.get_rng_state(), state)
    x = walk(3).x[0]
    assert torch.equal(again.drift(2.5, x), longer.drift(2.5, x))
    assert again.parent == longer.parent


def test_replay_is_without_error_for_the_network_itself(flow):
    replay = Replay.of(
        flow.heads, flow, walk(3), torch.full((2,), 0.1).double(), generator=torch.Generator()
    )
    points = replay.draw(200, torch.Generator().manual_seed(0))
    assert float(point_errors(flow.heads, points).detach().max()) < 1e-9
    assert points.t.min() < 0.05
    assert points.t.max() > 1.95


class TestGrowth:
    """Cells to the right divide at a rate of one more than those to the left."""

    @pytest.fixture(scope="class")
    @staticmethod
    def growing():
        generator = torch.Generator().manual_seed(0)
        clouds, rates = [], []
        for k in range(4):
            share = 1 / (1 + math.exp(-0.8 * k))  # of the cells on the right
            right = (torch.arange(300) < 300 * share).double()
            x = 0.2 * torch.randn(300, 1, generator=generator, dtype=torch.float64)
            clouds.append(x + (2 * right - 1)[:, None])
            rates.append(0.8 * right)
        times = tuple(map(float, range(4)))
        whole = Snapshots(times, tuple(clouds), growth=tuple(rates))
        old = Snapshots(times[:3], whole.x[:3], growth=whole.growth[:3])
        return fitted(old, training=Training(max_steps=500, width=32)), whole

    def test_the_rate_is_carried_on(self, growing):
        flow, whole = growing
        assert flow.has_growth
        x = whole.x[2]
        rate, is_right = carried_rate(flow, x), x[:, 0] > 0
        assert abs(float(rate[is_right].mean() - rate[~is_right].mean()) - 0.8) < 0.1

    def test_new_trajectories_have_it(self, growing):
        flow, whole = growing
        bare = Snapshots(whole.times, whole.x)
        grown = update_flow(
            flow, bare, training=SHORT, generator=torch.Generator().manual_seed(0), progress=False
        )
        path = simulate(grown, whole.x[2], (2.0, 3.0), generator=torch.Generator())
        mass = torch.softmax(path.log_mass[-1], 0)
        share = float(mass[path.x[-1][:, 0] > 0].sum())
        wanted = float((whole.x[3] > 0).double().mean())
        assert abs(share - wanted) < 4 * math.sqrt(wanted * (1 - wanted) / 300)
        assert grown.mass.drift.shape[0] == 3


def test_a_course_is_simulated_from_moments_and_score_alone(flow):
    known = Representation.of("X", ("a", "b"), walk(3))
    found = simulated_course(flow, known, generator=torch.Generator().manual_seed(0), n=400)
    x, wanted = found.x[0], walk(3).x[0]
    assert torch.allclose(x.mean(0), wanted.mean(0), atol=1e-9)
    assert torch.allclose(x.std(0, correction=0), wanted.std(0, correction=0), rtol=1e-9)
    given = Snapshots(flow.times, walk(3, n=400, seed=1).x)
    for k in (1, 2):  # as near as cells of the same law, sent by the flow
        sent = simulate(flow, given.x[0], flow.times, n_steps=10, generator=torch.Generator())
        assert torch.allclose(found.x[k].mean(0), sent.x[k].mean(0), atol=0.2)
        assert torch.allclose(found.x[k].std(0), sent.x[k].std(0), rtol=0.35)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (TrigonometricInterpolant(), "fitted to all times together"),
        (LinearInterpolant(), "fitted to all times together|no noise"),
        (SplineInterpolant(sigma=0.0), "no noise"),
    ],
)
def test_paths_that_cannot_go_on_are_refused_by_name(paths, message):
    flow = fitted(walk(2), paths, training=Training(max_steps=2, width=8))
    with pytest.raises(ValueError, match=message):
        update_flow(flow, walk(3), training=SHORT, generator=torch.Generator(), progress=False)


def test_steps_are_those_of_an_update_or_as_asked():
    assert schedule_of(Training(), 5000)[:3] == (500, 256, 1e-2)
    assert schedule_of(Training(max_steps=7), 5000).n_steps == 7
    assert schedule_of(Training(max_epochs=3), 1000).n_steps == 3 * 4
