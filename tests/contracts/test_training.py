"""What every model that trains a network keeps to: one training, and no copy of its data."""

import pickle

import pytest
import torch
from analytic import normal

from celltraj.models import (
    Brownian,
    BrownianBridgeInterpolant,
    Condition,
    FlowOptions,
    Group,
    Moments,
    Populations,
    ResponseOptions,
    Training,
    Treated,
    fit_bridge,
    fit_flow,
    fit_response,
)
from celltraj.ot import Unbalanced, solve
from celltraj.snapshots import Snapshots

SMALL = {"width": 8, "batch_size": 8}


def generator():
    return torch.Generator().manual_seed(0)


def clouds(n):
    return Snapshots((0.0, 1.0, 3.0), tuple(normal(n, 2, seed=k) + k for k in range(3)))


def bridge(training, n=30):
    model = fit_bridge(
        clouds(n),
        Brownian(0.5),
        coupling=Unbalanced(0.9, 0.9),
        training=training,
        generator=generator(),
        progress=False,
    )
    return model, model.field.heads


def flow(training, n=30):
    model = fit_flow(
        clouds(n),
        BrownianBridgeInterpolant(),
        sigma=0.5,
        options=FlowOptions(coupling=solve),
        training=training,
        generator=generator(),
        progress=False,
    )
    return model, model.heads


def response(training, n=30):
    drug = Condition(("drug",))
    controls = tuple(Group(normal(n, 2, seed=k) + k) for k in range(3))
    treated = tuple(Treated(k, drug, Group(one.x.flip(0) + 1)) for k, one in enumerate(controls))
    model = fit_response(
        Populations(("a", "b", "c"), controls, treated),
        ResponseOptions(encoder=Moments(n_features=2), n_populations=2, n_context=8, n_kernels=0),
        training=training,
        generator=generator(),
        progress=False,
    )
    return model, model.network


FITS = {"bridge": bridge, "flow": flow, "response": response}
every_fit = pytest.mark.parametrize("fit", list(FITS.values()), ids=list(FITS))


@every_fit
def test_a_network_holds_no_cells(fit):
    n = 37  # no size of a network
    small, large = (fit(Training(max_steps=3, **SMALL), n=k)[1] for k in (n, 5 * n))
    for value in small.state_dict().values():
        assert not {n, 3 * n, 2 * n} & set(value.shape)
    # nor does anything beside its weights: what it takes on a disk is the same for more cells
    assert len(pickle.dumps(small)) == len(pickle.dumps(large))


@every_fit
def test_steps_are_as_asked_and_losses_are_those_of_each(fit):
    model, _ = fit(Training(max_steps=7, **SMALL))
    assert len(model.losses) == 7
    assert all(value > 0 for value in model.losses)


@every_fit
def test_patience_stops_early_without_cells_kept_aside(fit):
    patient = Training(max_steps=5000, patience=1, learning_rate=5e-2, **SMALL)
    model, network = fit(patient)
    assert len(model.losses) % 250 == 0
    assert len(model.losses) < 5000
    again, same = fit(patient)
    assert again.losses == model.losses
    for name, value in network.state_dict().items():
        assert torch.equal(same.state_dict()[name], value)


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (bridge, r"validation=0\.2 keeps cells from a bridge, and it passes through all cells"),
        (response, r"validation=0\.2 keeps cells from a response, and it couples all of them"),
    ],
    ids=["bridge", "response"],
)
def test_a_model_of_all_cells_keeps_none_aside(fit, message):
    with pytest.raises(ValueError, match=f"{message}; leave validation=0: patience watches points"):
        fit(Training(max_steps=3, validation=0.2, **SMALL))


def test_a_flow_keeps_cells_aside():
    model, _ = flow(Training(max_steps=300, validation=0.3, patience=5, **SMALL))
    other, _ = flow(Training(max_steps=300, patience=5, **SMALL))
    assert model.losses != other.losses
