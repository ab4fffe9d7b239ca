"""Models compute where their network and the cells are.

A tensor on the meta device has no values, and mixes with none on the CPU: what makes a tensor
without saying where fails.
"""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from analytic import normal

from celltraj.datasets import interacting_populations
from celltraj.models import (
    Brownian,
    Condition,
    FlowOptions,
    KernelReference,
    OrnsteinUhlenbeck,
    SplineInterpolant,
    TrainerOptions,
    Training,
    fit_bridge,
    fit_flow,
    simulate,
)
from celltraj.models.flow.likelihood import log_density, velocity_and_divergence
from celltraj.models.response.process import ResponseProcess
from celltraj.models.solvers.noise import normal_like
from celltraj.ot import Sinkhorn
from celltraj.snapshots import Snapshots
from celltraj.tl import fit_response

SHORT = Training(max_steps=3, batch_size=16, width=8, trainer=TrainerOptions(accelerator="cpu"))
CLOUDS = Snapshots((0.0, 1.0, 2.0), tuple(normal(20, 2, seed=k) + k for k in range(3)))
X = CLOUDS.x[0]
ON_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def seeded():
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def flow():
    options = FlowOptions(coupling=Sinkhorn())
    fitted = fit_flow(
        CLOUDS, SplineInterpolant(), sigma=0.5, options=options, training=SHORT,
        generator=seeded(), progress=False,
    )  # fmt: skip
    return fitted.with_noise(0.5)


LAWS = {
    "brownian": Brownian(1.0),
    "pull": OrnsteinUhlenbeck(matrix=-torch.eye(2), shift=torch.zeros(2), sigma=1.0),
    "kernel": KernelReference(
        sigma=1.0,
        frame=torch.tensor([[0.0, 0.0], [1.0, 1.0], [-9.0, -9.0], [9.0, 9.0]]).double(),
        centres=normal(5, 2, seed=4),
        weights=0.1 * normal(8, 2, seed=5),
    ),
}


@pytest.fixture(scope="module", params=LAWS)
def bridge(request):
    law = LAWS[request.param]
    return fit_bridge(
        CLOUDS, law, coupling=Sinkhorn(), training=SHORT, generator=seeded(), progress=False
    )


def on(model, device):
    if hasattr(model, "heads"):
        return replace(model, heads=deepcopy(model.heads).to(device))
    return replace(model, field=on(model.field, device))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("device", ["meta", pytest.param("cuda", marks=ON_GPU)])
def test_laws_are_evaluated_on_the_device(flow, bridge, device, dtype):
    x = X.to(dtype)
    for model in (flow, bridge):
        there = on(model, device)
        for name in ("drift", "score", "diffusion"):
            found = getattr(there, name)(0.5, x.to(device))
            assert found.device.type == device
            assert found.dtype == dtype
            if device != "meta":
                torch.testing.assert_close(
                    found.cpu(), getattr(model, name)(0.5, x), atol=1e-3, rtol=1e-3
                )


@pytest.mark.parametrize("noise", [0.0, 0.5])
@pytest.mark.parametrize("device", ["meta", pytest.param("cuda", marks=ON_GPU)])
def test_responses_are_evaluated_on_the_device(device, noise):
    adata = interacting_populations(n_populations=5, n_cells=20, seed=0)
    keys = {"population_key": "population", "condition_key": "condition", "control": "before"}
    model = fit_response(adata, **keys, training=SHORT, progress=False)
    there = replace(model, network=deepcopy(model.network).to(device))
    x, after = torch.from_numpy(adata.X[:20]).to(device), Condition(("after",))
    known, unknown = (there._known(x, after, has_condition=has) for has in (True, False))
    law = ResponseProcess(there.network, model.interpolant, known, unknown, 2.0, noise)
    among = replace(law, neighbourhood=x.expand(3, *x.shape), own=torch.arange(20, device=device))
    for one in (law, among):
        assert one.drift(0.5, x).device.type == device
    if device != "meta":
        found = there.respond(x, after, noise=noise, generator=seeded()).x
        expected = model.respond(x.cpu(), after, noise=noise, generator=seeded()).x
        torch.testing.assert_close(found.cpu(), expected, atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("device", ["meta", pytest.param("cuda", marks=ON_GPU)])
@pytest.mark.parametrize("n_probes", [None, 3])
def test_divergences_are_taken_on_the_device(flow, device, n_probes):
    probes = None if n_probes is None else normal(n_probes, 40, seed=3).reshape(n_probes, 20, 2)
    expected = velocity_and_divergence(flow, 0.5, X, probes)
    away = None if probes is None else probes.to(device)
    found = velocity_and_divergence(on(flow, device), 0.5, X.to(device), away)
    for one, other in zip(found, expected, strict=True):
        assert one.device.type == device
        assert one.shape == other.shape


def test_noise_is_that_of_its_generator_wherever_it_is_wanted():
    drawn = torch.randn(20, 2, dtype=torch.float64, generator=seeded())
    assert torch.equal(normal_like(X, seeded()), drawn)
    assert normal_like(X.to("meta"), seeded()).device.type == "meta"


@ON_GPU
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cells_are_followed_on_the_gpu(flow, bridge, dtype):
    x = X.to(dtype)
    for model in (flow, bridge):
        there = on(model, "cuda")
        path = simulate(there, x.cuda(), (0.0, 1.5), ode=True, generator=seeded()).x
        assert path.device.type == "cuda"
        expected = simulate(model, x, (0.0, 1.5), ode=True, generator=seeded()).x
        torch.testing.assert_close(path.cpu(), expected, atol=1e-2, rtol=1e-2)
        noisy = simulate(there, x.cuda(), (0.0, 1.5), generator=seeded()).x
        assert noisy.device.type == "cuda"


@ON_GPU
def test_densities_are_those_of_the_cpu(flow):
    def base(x):
        return -0.5 * x.square().sum(1)

    found = log_density(on(flow, "cuda"), 1.0, X.cuda(), base, generator=seeded())
    expected = log_density(flow, 1.0, X, base, generator=seeded())
    torch.testing.assert_close(found.cpu(), expected, atol=1e-2, rtol=1e-2)
