"""Coordinates and times far from zero, and variables of very different size."""

import logging

import pytest
import torch
from analytic import normal

from celltraj.models import (
    Brownian,
    Condition,
    FlowOptions,
    Group,
    Populations,
    ResponseOptions,
    SplineInterpolant,
    Training,
    Treated,
    fit_bridge,
    fit_flow,
    fit_response,
    simulate,
)
from celltraj.ot import Sinkhorn, wasserstein
from celltraj.snapshots import Snapshots

AWAY = 1e6
ONE = torch.ones(3).double()
UNEVEN = torch.tensor([1.0, 1.0, 1e6]).double()
N = 60


def generator():
    return torch.Generator().manual_seed(0)


def cells(k, *, shift=0.0, scale=ONE):
    # k at rest, so that the first variable moves by one each time
    return (0.3 * normal(N, 3, seed=k) + torch.tensor([float(k), 0, 0])) * scale + shift


def clouds(*, later=0.0, **where):
    return Snapshots(
        tuple(later + k for k in (0.0, 1.0, 2.0)), tuple(cells(k, **where) for k in range(3))
    )


def bridge(snapshots, drift=None, sigma=0.2):
    drift = Training(max_steps=30, width=32) if drift is None else drift
    return fit_bridge(
        snapshots,
        Brownian(sigma),
        coupling=Sinkhorn(),
        training=drift,
        generator=generator(),
        progress=False,
    )


def flow(snapshots, sigma=0.2):
    return fit_flow(
        snapshots,
        SplineInterpolant(),
        sigma=sigma,
        options=FlowOptions(coupling=Sinkhorn()),
        training=Training(max_steps=30, width=32),
        generator=generator(),
        progress=False,
    )


def plug_in(snapshots):
    return bridge(snapshots, None)


LAWS = {"neural": bridge, "plug-in": plug_in, "flow": flow}
laws = pytest.mark.parametrize("name", LAWS)


def ends(process, x0, times):
    return simulate(process, x0, times, generator=generator()).x[-1]


@laws
def test_a_shift_of_the_coordinates_shifts_the_law(name):
    near, far = LAWS[name](clouds()), LAWS[name](clouds(shift=AWAY))
    x = cells(1, scale=1.1 * ONE)
    # a hundredth of the spread and of the speed: coordinates of 1e6 keep ten digits of the cells,
    # and of what is learned, float32 keeps six
    for law in ("drift", "score"):
        a, b = getattr(near, law)(0.5, x), getattr(far, law)(0.5, x + AWAY)
        torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-2)
    x0, times = cells(0), (0.0, 1.0, 2.0)
    torch.testing.assert_close(
        ends(near, x0, times), ends(far, x0 + AWAY, times) - AWAY, rtol=0, atol=3e-2
    )


@laws
def test_a_shift_of_time_shifts_the_law(name):
    near, far = LAWS[name](clouds()), LAWS[name](clouds(later=AWAY))
    x = cells(1)
    for law in ("drift", "score"):
        a, b = getattr(near, law)(0.5, x), getattr(far, law)(AWAY + 0.5, x)
        torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-2)


DRUG = Condition(("drug",))


def response(shift=0.0, scale=ONE):
    controls = tuple(Group(cells(k, shift=shift, scale=scale)) for k in range(3))
    moved = torch.tensor([0.5, 0.0, 0.5]).double()
    treated = tuple(
        Treated(k, DRUG, Group(one.x.flip(0) + moved * scale)) for k, one in enumerate(controls)
    )
    return fit_response(
        Populations(("a", "b", "c"), controls, treated),
        ResponseOptions(n_context=50),
        training=Training(max_steps=30, width=32, batch_size=32),
        generator=generator(),
        progress=False,
    )


def test_a_shift_of_the_coordinates_shifts_a_response():
    near, far = response(), response(AWAY)
    after = near.respond(cells(0), DRUG, generator=generator()).x
    away = far.respond(cells(0) + AWAY, DRUG, generator=generator()).x
    torch.testing.assert_close(after, away - AWAY, rtol=0, atol=3e-2)


@pytest.mark.parametrize("name", ["neural", "flow"])
def test_a_variable_of_another_size_is_trained_and_said(name, caplog):
    snapshots = clouds(scale=UNEVEN)
    with caplog.at_level(logging.WARNING, "celltraj"):
        law = LAWS[name](snapshots, sigma=1e5)
    assert "2 of 3 variables (number 0, 1)" in caplog.text
    history = law.losses
    assert max(history) < 10  # in units of a network that predicts zero, about 2
    x = ends(law, snapshots.x[0], (0.0, 1.0, 2.0))
    assert float(x[:, 2].std()) == pytest.approx(float(snapshots.x[2][:, 2].std()), rel=0.6)


def test_a_response_with_a_variable_of_another_size_is_trained(caplog):
    with caplog.at_level(logging.WARNING, "celltraj"):
        model = response(scale=UNEVEN)
    assert "cannot resolve" in caplog.text
    assert max(model.losses) < 10
    assert bool(
        torch.isfinite(model.respond(cells(0, scale=UNEVEN), DRUG, generator=generator()).x).all()
    )


def test_distances_of_cells_far_from_zero():
    x, y = cells(0).numpy(), cells(1).numpy()
    assert wasserstein(x + AWAY, y + AWAY) == pytest.approx(wasserstein(x, y), rel=1e-6)
    assert wasserstein(x + AWAY, x + AWAY) == pytest.approx(0, abs=1e-6)
