"""Problems solved in blocks, in batches, exactly, and by size."""

import numpy as np
import ot as pot
import pytest
import torch
from analytic import normal, uniform

import celltraj as ct
from celltraj.ot import (
    DenseCost,
    Exact,
    Multiscale,
    SparseNewtonSinkhorn,
    SquaredEuclidean,
    solve,
    solve_batch,
)
from celltraj.ot import _balanced as solve_module
from celltraj.ot import _cost as cost_module
from celltraj.ot import _gathered as gathered_module


def problem(n=700, m=600, d=3):
    return SquaredEuclidean(normal(n, d, seed=0), normal(m, d, seed=1) + 1), uniform(n), uniform(m)


# without entries to take Newton steps on, .001 needs more passes than a test should take
@pytest.mark.parametrize(
    ("relative", "keeps_entries"),
    [(0.1, True), (0.01, True), (0.001, True), (0.1, False), (0.01, False)],
)
def test_multiscale_agrees_with_the_whole_problem(relative, keeps_entries, monkeypatch):
    monkeypatch.setattr(cost_module, "_BLOCK", 50_000)  # many blocks
    if not keeps_entries:
        monkeypatch.setattr(gathered_module, "_SPARSE_LIMIT", 0)
    cost, a, b = problem()
    epsilon = relative * cost.mean()
    solver = Multiscale(tol=1e-6, n_coarse=200, n_groups=100, max_passes=400, progress=False)
    coupling = solver(cost, a, b, epsilon=epsilon)
    whole = SparseNewtonSinkhorn(tol=1e-9)(cost, a, b, epsilon=epsilon)
    assert coupling.converged
    # plans whose marginals agree to 1e-6 have costs that agree to that, times the largest potential
    costs = [float((c.to_dense() * cost.dense()).sum()) for c in (coupling, whole)]
    assert abs(costs[0] - costs[1]) < 1e-6 * 2 * float(whole.f.abs().max() + whole.g.abs().max())


def test_multiscale_repeats_and_leaves_the_random_state_alone():
    cost, a, b = problem()
    before = torch.get_rng_state()
    solver = Multiscale(n_coarse=100, n_groups=50, progress=False)
    one, two = (solver(cost, a, b, epsilon=0.05 * cost.mean()) for _ in range(2))
    assert torch.equal(one.f, two.f)
    assert torch.equal(torch.get_rng_state(), before)


def test_multiscale_says_when_it_stops_early():
    cost, a, b = problem()
    solver = Multiscale(tol=1e-9, n_coarse=50, n_groups=10, max_passes=3, progress=False)
    with pytest.raises(ct.ConvergenceError, match="marginal error"):
        solver(cost, a, b, epsilon=0.01 * cost.mean())


def test_multiscale_leaves_out_cells_without_mass():
    cost, a, b = problem()
    a, b = a.clone(), b.clone()
    a[:50], b[:70] = 0, 0
    a, b = a / a.sum(), b / b.sum()
    solver = Multiscale(n_coarse=100, n_groups=50, progress=False)
    coupling = solver(cost, a, b, epsilon=0.05 * cost.mean())
    assert float(coupling.row_mass[:50].sum() + coupling.column_mass[:70].sum()) == 0


def test_solve_chooses_by_size(monkeypatch):
    cost, a, b = problem()
    epsilon = 0.05 * cost.mean()
    assert solve(cost, a, b, epsilon=epsilon).marginal_error <= 1e-6
    monkeypatch.setattr(solve_module, "DENSE_LIMIT", 1000)
    coupling = solve(cost, a, b, epsilon=epsilon)
    assert coupling.report()["sweeps"] >= 0
    assert coupling.marginal_error <= 1e-3


def test_blockwise_cost_is_the_distance():
    # shifted far away, the products lose digits: 1e-16 x 1e8 is 1e-8 without centring
    x, y = normal(40, 3, seed=0) + 1e4, normal(30, 3, seed=1) + 1e4
    expected = ((x[:, None] - y[None]) ** 2).sum(-1) / 2
    torch.testing.assert_close(SquaredEuclidean(x, y).dense(), expected, atol=1e-10, rtol=1e-10)


def test_batch_agrees_with_one_by_one():
    sizes = [(20, 30), (1, 5), (40, 10), (25, 25)]
    costs = [
        SquaredEuclidean(normal(n, 2, seed=k), normal(m, 2, seed=9 + k) + k)
        for k, (n, m) in enumerate(sizes)
    ]
    a, b = [uniform(n) for n, _ in sizes], [uniform(m) for _, m in sizes]
    epsilons = [0.1 * cost.mean() for cost in costs]
    epsilons[3] = 1e-3 * costs[3].mean()  # too small for sweeps: finished by Newton steps
    found = solve_batch(costs, a, b, epsilon=epsilons, tol=1e-9)
    for k, coupling in enumerate(found):
        expected = SparseNewtonSinkhorn(tol=1e-9)(costs[k], a[k], b[k], epsilon=epsilons[k])
        assert coupling.marginal_error <= 1e-9
        torch.testing.assert_close(coupling.to_dense(), expected.to_dense(), atol=1e-7, rtol=0)
    assert found[3].report()["fallbacks"][0] == "sparse Newton"
    with pytest.raises(ValueError, match="4 costs need as many"):
        solve_batch(costs, a[:2], b, epsilon=0.1)


def test_exact_agrees_with_pot():
    cost, a, b = problem(60, 80)
    coupling = Exact()(cost, a, b)
    value = pot.emd2(a.numpy(), b.numpy(), cost.dense().numpy())
    assert coupling.value() == pytest.approx(value, rel=1e-12)
    assert coupling.plan.nnz <= 60 + 80 - 1
    v = normal(60, 2, seed=3)
    torch.testing.assert_close(coupling.push(v), coupling.to_dense().T @ v)
    torch.testing.assert_close(coupling.pull(cost.y), coupling.to_dense() @ cost.y)
    i, j = coupling.sample(1000, generator=torch.Generator().manual_seed(0))
    assert (coupling.to_dense()[i, j] > 0).all()
    with pytest.raises(ValueError, match="masses differ"):
        Exact()(cost, 2 * a, b)


def test_dense_and_blockwise_costs_agree_on_their_parts():
    cost, _, _ = problem(60, 80)
    rows, columns = torch.tensor([3, 1]), torch.arange(80) > 40
    dense = DenseCost(cost.dense())
    torch.testing.assert_close(
        cost.take(rows, columns).dense(), dense.take(rows, columns).dense(), atol=1e-12, rtol=0
    )
    assert cost.mean() == pytest.approx(dense.mean())
    assert np.isclose(float(cost.dense().mean()), cost.mean())
