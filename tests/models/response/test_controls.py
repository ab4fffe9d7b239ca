"""A control tells a model of another population in one place, and leaves the rest as it is."""

import pytest
import torch

from celltraj.models import (
    Condition,
    Group,
    Moments,
    Populations,
    ResponseOptions,
    Training,
    Treated,
    fit_response,
)

DRUG = Condition(("drug",))
OTHER = 3 + 0.5 * torch.randn(30, 2, generator=torch.Generator().manual_seed(9)).double()


def fit(**options):
    g = torch.Generator().manual_seed(0)
    cells = [torch.randn(30, 2, generator=g).double() + k for k in range(3)]
    populations = Populations(
        tuple("abc"),
        tuple(Group(x) for x in cells),
        tuple(Treated(k, DRUG, Group(x + k)) for k, x in enumerate(cells)),
    )
    return fit_response(
        populations,
        ResponseOptions(sigma=0.1, n_context=8, **options),
        training=Training(max_steps=10, batch_size=16, width=16),
        generator=torch.Generator().manual_seed(0),
        progress=False,
    )


def respond(model, **told):
    cells = OTHER.flip(1)[:10] - 3
    generator = torch.Generator().manual_seed(0)
    return model.respond(cells, DRUG, generator=generator, **told)


@pytest.mark.parametrize(
    ("options", "reads"),
    [
        ({"n_kernels": 0}, {"embedded"}),
        ({"encoder": None}, {"neighbourhood"}),
        ({"encoder": Moments(n_features=2), "base": 0.0}, {"embedded", "neighbourhood"}),
    ],
)
def test_a_control_changes_what_the_model_reads_alone(options, reads):
    model = fit(**options)
    own = respond(model).x
    for what in ("embedded", "neighbourhood"):
        changed = (respond(model, **{what: OTHER}).x - own).abs().max()
        assert (changed > 1e-3) if what in reads else (changed < 1e-5), what


def test_a_control_leaves_base_and_own_population_as_they_are():
    model = fit(n_kernels=0)
    told = respond(model, embedded=OTHER)
    plain, moved = respond(model).x, told.x
    assert told.base == 0.5
    law = fit(n_kernels=0, base=0.0)
    change = respond(law, embedded=OTHER).x - respond(law).x
    torch.testing.assert_close(moved - plain, change / 2, rtol=0, atol=1e-5)
