"""A network that grows by a snapshot says of all times before what it said."""

import pytest
import torch

from celltraj.models.networks import HeadSizes, TwoHeads
from celltraj.models.update.heads import grown_heads
from celltraj.snapshots import Snapshots

OLD = (1.0, 2.0, 4.0)


def network(*, has_mass=True, n_conditions=0):
    generator = torch.Generator().manual_seed(0)
    x = [torch.randn(30, 2, generator=generator, dtype=torch.float64) + t for t in OLD]
    sizes = HeadSizes(2, 3, width=16, has_mass=has_mass, n_conditions=n_conditions)
    return TwoHeads(sizes, generator=generator).scale_to(Snapshots(OLD, tuple(x)), noise=0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("new", [(5.0,), (4.5, 40.0)])
@pytest.mark.parametrize("has_mass", [True, False])
def test_nothing_changes_before_the_old_end(dtype, new, has_mass):
    old = network(has_mass=has_mass)
    grown = grown_heads(old, OLD + new)
    x = 3 * torch.randn(40, 2, generator=torch.Generator().manual_seed(1), dtype=dtype)
    for t in (0.5, 1.0, 1.7, 2.0, 3.999, 4.0):
        for one, other in zip(old.predict(t, x), grown.predict(t, x), strict=True):
            assert torch.allclose(one, other, rtol=1e-5, atol=1e-6)
        assert torch.allclose(old.predict_mass(t, x), grown.predict_mass(t, x), atol=1e-6)


def test_further_inputs_stay_where_they_were():
    old = network(n_conditions=3)
    grown = grown_heads(old, (*OLD, 6.0))
    t, x = torch.full((5, 1), 1.3, dtype=torch.float64), torch.ones(5, 2)
    c = torch.randn(5, 3, generator=torch.Generator().manual_seed(2))
    for one, other in zip(old.all_heads(t, x, c), grown.all_heads(t, x, c), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_units_stay_and_the_old_network_is_left_alone():
    old = network()
    before = {name: value.clone() for name, value in old.state_dict().items()}
    grown = grown_heads(old, (*OLD, 6.0))
    assert all(
        torch.equal(getattr(old, k), getattr(grown, k)) for k in ("centre", "scale", "speed")
    )
    with torch.no_grad():
        for value in grown.parameters():
            value.add_(1.0)
    assert all(torch.equal(value, before[name]) for name, value in old.state_dict().items())


@pytest.mark.parametrize("times", [OLD, (1.0, 2.0, 3.0, 4.0), (*OLD, 3.0), (0.0, *OLD)])
def test_times_must_go_on(times):
    with pytest.raises(ValueError, match="do not go on"):
        grown_heads(network(), times)
