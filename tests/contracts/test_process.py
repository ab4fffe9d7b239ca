"""What every process must satisfy, whoever built it."""

import pytest
import torch
from analytic import OrnsteinUhlenbeck, normal

from celltraj.models import (
    Brownian,
    FlowOptions,
    Midpoint,
    Process,
    ReversibleProcess,
    SplineInterpolant,
    Training,
    fit_bridge,
    fit_flow,
    simulate,
)
from celltraj.ot import Sinkhorn
from celltraj.snapshots import Snapshots


def bridge(drift):
    clouds = tuple(normal(40, 2, seed=k) + k for k in range(3))
    return fit_bridge(
        Snapshots((0, 1, 3), clouds),
        Brownian(0.5),
        coupling=Sinkhorn(),
        training=drift,
        generator=torch.Generator().manual_seed(0),
        progress=False,
    )


def flow(noise):
    clouds = tuple(normal(40, 2, seed=k) + k for k in range(3))
    return fit_flow(
        Snapshots((0, 1, 3), clouds),
        SplineInterpolant(),
        sigma=0.5,
        options=FlowOptions(coupling=Sinkhorn()),
        training=Training(max_steps=20),
        generator=torch.Generator().manual_seed(0),
        progress=False,
    ).with_noise(noise)


PROCESSES = {
    "Brownian": lambda: Brownian(0.5),
    "OrnsteinUhlenbeck": OrnsteinUhlenbeck,
    "plug-in bridge": lambda: bridge(None),
    "neural bridge": lambda: bridge(Training(max_steps=20)),
    "flow": lambda: flow(0.0),
    "noisy flow": lambda: flow(0.3),
}


@pytest.fixture(params=list(PROCESSES))
def process(request):
    return PROCESSES[request.param]()


def test_is_a_process(process):
    assert isinstance(process, Process)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_types_are_those_of_the_state(process, dtype):
    x = normal(7, 2, seed=1).to(dtype)
    laws = [process.drift, process.diffusion]
    if isinstance(process, ReversibleProcess):
        laws.append(process.score)
    for law in laws:
        value = law(0.5, x)
        assert value.shape == x.shape
        assert value.dtype == dtype
        assert torch.isfinite(value).all()
    assert (process.diffusion(0.5, x) >= 0).all()  # 0 for an ODE


def test_cells_do_not_see_each_other(process):
    x = normal(9, 2, seed=1)
    order = torch.tensor([3, 1, 4, 0, 5, 8, 2, 6, 7])
    torch.testing.assert_close(process.drift(0.5, x)[order], process.drift(0.5, x[order]))
    # a product over fewer rows may round differently in float32
    torch.testing.assert_close(
        process.drift(0.5, x)[:2], process.drift(0.5, x[:2]), rtol=1e-5, atol=1e-6
    )


def test_simulation_lands_on_every_time_without_a_gradient(process):
    path = simulate(
        process,
        normal(5, 2, seed=0),
        (0.0, 0.3, 1.0, 2.5),
        solver=Midpoint(n_steps=5),
        generator=torch.Generator().manual_seed(0),
    )
    assert path.times == (0.0, 0.3, 1.0, 2.5)
    assert path.x.shape == (4, 5, 2)
    assert not path.x.requires_grad


def test_score_is_the_difference_of_forward_and_backward_drift(process):
    if not hasattr(process, "field"):
        pytest.skip("holds for bridges")
    x = normal(5, 2, seed=3)
    difference = process.field.drift(0.4, x) - process.field.backward_drift(0.4, x)
    torch.testing.assert_close(difference, 0.25 * process.score(0.4, x), rtol=1e-4, atol=1e-4)
