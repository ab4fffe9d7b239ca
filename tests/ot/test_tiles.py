"""Sums over plans in tiles: any shape, any tile, any number of threads, single precision."""

import threading
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from analytic import normal, uniform

from celltraj.ot import DenseCost, Multiscale, SquaredEuclidean, Unbalanced
from celltraj.ot import _cost as cost_module
from celltraj.ot import _tiles as tiles_module
from celltraj.ot._coupling import Coupling
from celltraj.ot._dual import log_columns
from celltraj.ot._tiles import TiledPlan

SHAPES = [(3, 1200), (1200, 3), (300, 300), (1, 1)]


@pytest.fixture(autouse=True)
def _small_plans_have_tiles(monkeypatch):
    monkeypatch.setattr(tiles_module, "_TILED_FROM", 0)


def potentials(n, m):
    """Return potentials in units of epsilon; a third of the earlier cells has no mass."""
    f, g = normal(n, 1, seed=5)[:, 0] - 9, normal(m, 1, seed=6)[:, 0]
    f[1 : 1 + n // 3] = -torch.inf
    return f, g


def example(n, m, *, offset=0.0, epsilon=0.4, of=lambda cost: cost):
    cost = SquaredEuclidean(normal(n, 4, seed=0) + offset, normal(m, 4, seed=1) + offset)
    f, g = potentials(n, m)
    log_plan = f[:, None] + g - cost.dense() / epsilon
    return TiledPlan.of(of(cost), f, g, epsilon), log_plan


@pytest.fixture(params=[(512, 512), (7, 5), (100, 2000)])
def _tile(request, monkeypatch):
    monkeypatch.setattr(tiles_module, "TILE", request.param)


@pytest.mark.usefixtures("_tile")
@pytest.mark.parametrize("of", [lambda cost: cost, lambda cost: DenseCost(cost.dense())])
@pytest.mark.parametrize(("n", "m"), SHAPES)
def test_sums_are_those_of_the_whole_plan(n, m, of):
    tiled, log_plan = example(n, m, of=of)
    plan = log_plan.exp()
    close = {"rtol": 1e-11, "atol": 1e-13}
    row, column = (torch.from_numpy(v) for v in tiled.sums())
    torch.testing.assert_close(row, plan.sum(1), **close)
    torch.testing.assert_close(column, plan.sum(0), **close)
    wide = normal(n, 3, seed=3), normal(m, 3, seed=4)
    for v, w in (wide, tuple(part[:, 0] for part in wide)):
        torch.testing.assert_close(tiled.push(v), plan.T @ v, **close)
        torch.testing.assert_close(tiled.pull(w), plan @ w, **close)
    torch.testing.assert_close(tiled.entropies(), torch.special.xlogy(plan, plan).sum(1), **close)
    torch.testing.assert_close(tiled.log_rows(), log_plan.logsumexp(1), **close)
    torch.testing.assert_close(tiled.log_columns(), log_plan.logsumexp(0), **close)


@pytest.mark.usefixtures("_tile")
def test_logarithms_of_sums_have_no_range():
    tiled, log_plan = example(60, 50, epsilon=1e-4)  # exponents of -100,000
    torch.testing.assert_close(tiled.log_rows(), log_plan.logsumexp(1), rtol=1e-11, atol=0)
    torch.testing.assert_close(tiled.log_columns(), log_plan.logsumexp(0), rtol=1e-11, atol=0)
    assert torch.isneginf(tiled.log_rows()).sum() == 20


def test_columns_of_cells_without_mass_alone_get_nothing():
    nothing = torch.full((4,), -torch.inf, dtype=torch.float64)
    cost = SquaredEuclidean(normal(4, 2, seed=0), normal(5, 2, seed=1))
    assert torch.isneginf(log_columns(cost, nothing, 0.1)).all()


def test_clouds_far_from_zero_keep_their_digits():
    (near, _), (far, _) = example(300, 200), example(300, 200, offset=1e4)
    # coordinates of 1e4 are known to 2e-12, so are distances and, over epsilon, exponents
    for one, two in zip(near.sums(), far.sums(), strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-9)


@pytest.fixture
def _single(monkeypatch):
    monkeypatch.setattr(tiles_module, "_SINGLE_FROM", 0)


@pytest.mark.usefixtures("_single", "_tile")
@pytest.mark.parametrize(("n", "m"), SHAPES)
@pytest.mark.parametrize("epsilon", [4.0, 1.0, 0.4])
def test_single_precision_moves_less_mass_than_it_says(n, m, epsilon):
    tiled, log_plan = example(n, m, epsilon=epsilon)
    plan = log_plan.exp()
    masses = plan.sum(1), plan.sum(0)
    row, column = (v.numpy() for v in masses)
    single = tiled.rounded(row, column, np.inf)
    bound = tiled.moved(row, column)
    assert single.is_single
    for found, mass in zip(single.sums(), masses, strict=True):
        assert float((torch.from_numpy(found) - mass).abs().sum()) <= bound
    ones = torch.ones(n, dtype=torch.float64), torch.ones(m, dtype=torch.float64)
    assert float((single.push(ones[0]) - masses[1]).abs().sum()) <= bound
    assert float((single.pull(ones[1]) - masses[0]).abs().sum()) <= bound
    assert bound < 1e-3 * float(plan.sum())  # or it would be of no use


@pytest.mark.usefixtures("_single")
def test_single_precision_is_taken_within_a_tolerance_alone():
    tiled, log_plan = example(300, 200)
    row, column = (log_plan.exp().sum(k).numpy() for k in (1, 0))
    bound = 2 * tiled.moved(row, column)
    assert tiled.rounded(row, column, 1.01 * bound).is_single
    assert tiled.rounded(row, column, 0.99 * bound) is tiled
    assert tiled.rounded(row, column, np.nan) is tiled
    assert tiled.rounded(row * 1e-26, column * 1e-26, 1.0) is tiled  # beyond its range
    dense, _ = example(300, 200, of=lambda cost: DenseCost(cost.dense()))
    assert dense.rounded(row, column, np.inf) is dense


def test_small_plans_are_not_rounded():
    tiled, log_plan = example(300, 200)
    row, column = (log_plan.exp().sum(k).numpy() for k in (1, 0))
    assert tiled.rounded(row, column, np.inf) is tiled


@pytest.mark.usefixtures("_single")
def test_a_coupling_rounds_less_than_it_misses():
    n, m, epsilon = 300, 200, 0.4
    cost = SquaredEuclidean(normal(n, 4, seed=0), normal(m, 4, seed=1))
    f, g = (epsilon * v for v in potentials(n, m))
    one = Coupling.of(cost, (f, g), (uniform(n), uniform(m)), epsilon=epsilon)
    exact, rough = (replace(one, marginal_error=error) for error in (0.0, 1.0))
    v, plan = normal(n, 2, seed=3), exact.to_dense()
    torch.testing.assert_close(exact.push(v), plan.T @ v, rtol=1e-11, atol=1e-14)
    moved = float((rough.push(v) - plan.T @ v).abs().sum())
    assert 1e-12 < moved / float(plan.sum()) < 1e-4


@pytest.fixture
def _threads(monkeypatch):
    """Let few entries be shared among threads, and leave the number of threads as it was."""
    monkeypatch.setattr(tiles_module, "_PARALLEL", 0)
    monkeypatch.setattr(tiles_module, "TILE", (16, 32))
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_single", "_threads")
@pytest.mark.parametrize("tol", [0.0, np.inf])
def test_any_number_of_threads_finds_the_same_bits(tol):
    tiled, log_plan = example(300, 200)
    tiled = tiled.rounded(*(log_plan.exp().sum(k).numpy() for k in (1, 0)), tol)
    v, w = normal(300, 2, seed=3), normal(200, 2, seed=4)
    found = []
    for n_threads in (1, 2, 3):
        torch.set_num_threads(n_threads)
        row, column = (torch.from_numpy(mass) for mass in tiled.sums())
        parts = [row, column, tiled.push(v), tiled.pull(w)]
        if not tiled.is_single:
            parts += [tiled.entropies(), tiled.log_rows(), tiled.log_columns()]
        assert torch.get_num_threads() == n_threads
        found.append(torch.cat([part.flatten() for part in parts]))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.usefixtures("_threads")
def test_threads_are_counted_anew_after_an_error():
    torch.set_num_threads(2)
    tiled, _ = example(300, 200)

    def fail(rows, tiles):
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        list(tiled.over_bands(fail))
    found = []
    one = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    one.start()
    one.join()
    assert (torch.get_num_threads(), found) == (2, [2])


def test_product_blocks_are_the_product(monkeypatch):
    monkeypatch.setattr(cost_module, "_BLOCK", 10)
    monkeypatch.setattr(cost_module, "_WIDTH", 7)
    left, right = normal(150, 3, seed=0), normal(40, 3, seed=1)
    blocks = [(rows, block.clone()) for rows, block in cost_module.product_blocks(left, right)]
    assert [rows.stop for rows, _ in blocks] == [64, 128, 150]  # never a few rows
    product = torch.cat([block for _, block in blocks])
    torch.testing.assert_close(product, left @ right.T, rtol=1e-13, atol=1e-13)


@pytest.mark.usefixtures("_single")
@pytest.mark.parametrize("solver", [Multiscale(progress=False), Unbalanced(0.9, 0.8)])
@pytest.mark.parametrize("n_zeros", [0, 50])
def test_problems_in_blocks_are_solved_in_single_precision(solver, n_zeros, monkeypatch):
    monkeypatch.setattr("celltraj.ot._unbalanced.DENSE_LIMIT", 1000)
    monkeypatch.setattr(cost_module, "_BLOCK", 50_000)
    cost = SquaredEuclidean(normal(700, 3, seed=0), normal(600, 3, seed=1) + 1)
    a, b = uniform(700), uniform(600)
    a[:n_zeros], b[n_zeros : 2 * n_zeros] = 0, 0
    a, b, epsilon = a / a.sum(), b / b.sum(), 0.05 * cost.mean()
    singles = []
    keep = TiledPlan.blocks
    monkeypatch.setattr(TiledPlan, "blocks", lambda t: (singles.append(t.is_single), keep(t))[1])
    found = solver(cost, a, b, epsilon=epsilon)
    assert found.converged
    assert all(singles)
    plan = found.to_dense()
    torch.testing.assert_close(plan.sum(1), found.row_mass, rtol=1e-9, atol=1e-15)
    torch.testing.assert_close(plan.sum(0), found.column_mass, rtol=1e-9, atol=1e-15)
    if solver.is_balanced:
        assert float((plan.sum(1) - a).abs().sum() + (plan.sum(0) - b).abs().sum()) <= 1e-3


@pytest.mark.usefixtures("_single")
def test_a_tolerance_beyond_single_precision_is_reached_in_double():
    cost = SquaredEuclidean(normal(300, 3, seed=0), normal(200, 3, seed=1))
    solver = Multiscale(1e-8, n_coarse=100, n_groups=50, max_passes=200, progress=False)
    found = solver(cost, uniform(300), uniform(200), epsilon=0.1 * cost.mean())
    assert found.marginal_error <= 1e-8


def test_sums_hold_a_few_tiles():
    n = m = 3000  # 72 MB as a whole
    cost = SquaredEuclidean(normal(n, 3, seed=0), normal(m, 3, seed=1))
    tiled = TiledPlan.of(cost, torch.zeros(n).double(), torch.zeros(m).double(), 1.0)
    v = torch.ones(n, dtype=torch.float64)
    for call in (tiled.sums, lambda: tiled.push(v), tiled.entropies, tiled.log_columns):
        call()
        tracemalloc.start()
        call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8e6  # what numpy holds: two tiles and sums
