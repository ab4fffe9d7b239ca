"""What is summed on a device, here the CPU as one, against the compiled kernels of the CPU."""

import pytest
import torch
from analytic import normal

from celltraj.ot import DenseCost, Sinkhorn, SquaredEuclidean, solve, solve_batch
from celltraj.ot import _device_tiles as there

ON_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=ON_GPU)]
N, M = 40, 30
X, Y = normal(N, 3, seed=0), normal(M, 3, seed=1) + 0.5
EPSILON = 0.3


def weights(n, seed):
    a = torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return a / a.sum()


@pytest.fixture(params=["product", "blocks"])
def cost(request):
    product = SquaredEuclidean(X, Y)
    return product if request.param == "product" else DenseCost(product.dense())


@pytest.fixture
def coupling(cost):
    return solve(cost, weights(N, 0), weights(M, 1), epsilon=EPSILON)


@pytest.fixture
def few_rows(monkeypatch):
    monkeypatch.setattr(there, "_ENTRIES", 7 * M)  # so that blocks end within the cells


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("k", [(), (2,)])
@pytest.mark.usefixtures("few_rows")
def test_a_plan_moves_the_same_on_a_device(coupling, device, k):
    tiles, f, g = coupling._on(torch.device(device))
    v = torch.ones(N, *k, dtype=torch.float64) + normal(N, 1, seed=2).reshape(N, *(1 for _ in k))
    w = torch.ones(M, *k, dtype=torch.float64) - normal(M, 1, seed=3).reshape(M, *(1 for _ in k))
    torch.testing.assert_close(tiles.push(f, g, v.to(device)).cpu(), coupling.push(v))
    torch.testing.assert_close(tiles.pull(f, g, w.to(device)).cpu(), coupling.pull(w))


@ON_GPU
def test_a_tensor_on_a_gpu_is_moved_there(coupling):
    v, w = torch.ones(N).cuda(), torch.ones(M, 2).cuda()
    for found, expected in (
        (coupling.push(v), coupling.column_mass),
        (coupling.pull(w)[:, 0], coupling.row_mass),
    ):
        assert found.is_cuda
        torch.testing.assert_close(found.cpu(), expected)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.usefixtures("few_rows")
def test_unseen_cells_have_the_same_potentials_on_a_device(coupling, device):
    unseen = SquaredEuclidean(normal(9, 3, seed=4), Y)
    expected = coupling.extend(unseen)
    torch.testing.assert_close(coupling.extend(unseen, device=device), expected)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.usefixtures("few_rows")
def test_sinkhorn_on_a_device_finds_the_plan(coupling, device):
    found = Sinkhorn(tol=1e-9, device=device)(
        coupling.cost, coupling.a, coupling.b, epsilon=EPSILON
    )
    assert found.converged
    assert found.f.device.type == "cpu"
    torch.testing.assert_close(found.to_dense(), coupling.to_dense(), atol=1e-6, rtol=0)


def test_sinkhorn_on_a_device_leaves_cells_of_no_weight_out():
    a, b = weights(N, 0), weights(M, 1)
    a[3] = 0
    a = a / a.sum()
    found = Sinkhorn(device="cpu")(SquaredEuclidean(X, Y), a, b, epsilon=EPSILON)
    assert found.f[3] == -torch.inf
    assert found.push(torch.ones(N)).sum() == pytest.approx(1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for what is there")
@pytest.mark.parametrize(
    "ask",
    [
        lambda c: c.extend(c.cost, device="cuda"),
        lambda c: Sinkhorn(device="cuda")(c.cost, c.a, c.b, epsilon=1.0),
        lambda c: solve_batch([c.cost], [c.a], [c.b], epsilon=1.0, device="cuda"),
    ],
)
def test_a_gpu_that_is_not_there_is_named(coupling, ask):
    with pytest.raises(ValueError, match="torch finds no GPU here"):
        ask(coupling)


def test_a_device_of_another_name_is_refused(coupling):
    with pytest.raises(ValueError, match="'cpu' or 'cuda'"):
        coupling.extend(coupling.cost, device="gpu")
