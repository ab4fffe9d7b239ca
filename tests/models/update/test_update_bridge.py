"""A bridge goes on to new snapshots: exactly with a plug-in drift, nearly with a network."""

import pytest
import torch

from celltraj.models import Brownian, Geometric, Training, fit_bridge
from celltraj.models.representation import Representation
from celltraj.models.update.arrival import Arrival
from celltraj.models.update.bridge import update_bridge
from celltraj.ot import solve
from celltraj.snapshots import Snapshots

SHORT = Training(max_steps=200, width=16)


def course(n_times, *, growth=False, n=60):
    generator = torch.Generator().manual_seed(0)
    x = [torch.randn(n, 2, generator=generator, dtype=torch.float64) + 1.5 * k for k in range(4)]
    rates = [0.5 * (one[:, 0] > 1.5 * k).double() for k, one in enumerate(x)] if growth else []
    times = tuple(map(float, range(n_times)))
    return Snapshots(times, tuple(x[:n_times]), growth=tuple(rates[:n_times]))


def fitted(snapshots, *, training=None, reference=None):
    return fit_bridge(
        snapshots,
        Brownian(0.5) if reference is None else reference,
        coupling=solve,
        training=training,
        generator=torch.Generator().manual_seed(0),
        progress=False,
    )


def arrival(old, new):
    space = Representation.of("X", ("a", "b"), old)
    n = len(old.times)
    times = torch.cat(
        [torch.full((len(x),), t) for t, x in zip(new.times[n:], new.x[n:], strict=True)]
    )
    return Arrival.of(space, times.double(), torch.cat(new.x[n:]))


def updated(bridge, new, *, training=SHORT):
    given = arrival(bridge.snapshots, new)
    generator = torch.Generator().manual_seed(0)
    return update_bridge(bridge, given, training=training, generator=generator, progress=False)


@pytest.mark.parametrize("n_old", [2, 3])
def test_a_plug_in_bridge_is_the_one_of_the_whole_course(n_old):
    whole = course(4)
    one, other = updated(fitted(course(n_old)), whole), fitted(whole)
    x = whole.x[1]
    for t in (0.5, 1.5, 2.5, 2.9):
        assert torch.allclose(one.drift(t, x), other.drift(t, x), atol=1e-10)
        assert torch.allclose(one.score(t, x), other.score(t, x), atol=1e-9)
    assert one.masses is other.masses is None


def test_old_couplings_are_kept_and_the_old_bridge_too():
    old = fitted(course(3))
    new = updated(old, course(4))
    assert all(a is b for a, b in zip(old.couplings, new.couplings, strict=False))
    assert len(new.couplings) == 3
    assert old.snapshots.times == (0.0, 1.0, 2.0)
    assert (old.parent, new.rounds) == (None, old.rounds)
    x = old.snapshots.x[0]
    assert torch.equal(old.drift(1.4, x), new.drift(1.4, x))


def test_growth_is_carried_on():
    old, whole = fitted(course(3, growth=True)), course(4, growth=True)
    new = updated(old, whole)
    # the rates of cells before the new gap are those of the fit: its coupling is that of a refit
    refit = fitted(whole)
    assert torch.allclose(new.couplings[2].row_mass, refit.couplings[2].row_mass, atol=1e-6)
    assert new.masses is not None
    assert new.masses.times == whole.times
    x = whole.x[2]
    assert torch.allclose(new.growth(2.5, x), refit.growth(2.5, x), atol=0.1)
    assert torch.equal(new.growth(0.5, x), old.growth(0.5, x))


def test_a_neural_bridge_keeps_its_old_gaps():
    training = Training(max_steps=400, width=16)
    old, whole = fitted(course(3), training=training), course(4)
    new = updated(old, whole, training=training)
    assert new.losses != old.losses
    x = whole.x[1]
    size = float(old.drift(1.5, x).square().mean().sqrt())
    assert float((new.drift(1.5, x) - old.drift(1.5, x)).square().mean().sqrt()) < 0.25 * size
    assert [one.time for one in new.passages] == [1.0, 2.0, 3.0]
    assert new.passages[-1].ratio < 1.5


def test_noise_that_depends_on_the_state_is_refused_by_name():
    old = Snapshots((0.0, 1.0), tuple(one.exp() for one in course(2).x))
    bridge = fitted(old, reference=Geometric(rates=torch.zeros(2), sigma=0.5))
    new = Snapshots((0.0, 1.0, 2.0), (*old.x, 1.1 * old.x[1]))
    with pytest.raises(ValueError, match=r"depends on the state.*fit_bridge"):
        updated(bridge, new)


def test_a_counted_population_is_refused_by_name():
    whole = course(3)
    old = Snapshots(whole.times[:2], whole.x[:2], sizes=(1.0, 2.0))
    with pytest.raises(ValueError, match=r"counted.*counts="):
        updated(fitted(old), whole)
