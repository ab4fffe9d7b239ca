"""Sparse Newton against POT, scipy, closed forms, and on what breaks other solvers."""

import numpy as np
import ot as pot
import pytest
import torch
from analytic import normal, uniform
from hard_problems import hard_problems
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

import celltraj as ct
from celltraj.ot import DenseCost, ReferenceCost, SparseNewtonSinkhorn, SquaredEuclidean

HARD = hard_problems()


def marginal_error(coupling):
    plan = coupling.to_dense()
    rows, columns = plan.sum(1) - coupling.a, plan.sum(0) - coupling.b
    return float(rows.abs().sum() + columns.abs().sum())


@pytest.mark.parametrize("relative", [0.05, 0.01])
@pytest.mark.parametrize("is_uniform", [True, False])
def test_agrees_with_pot(relative, is_uniform):
    rng = np.random.default_rng(0)
    cost = SquaredEuclidean(normal(60, 3, seed=0), normal(80, 3, seed=1) + 1)
    a, b = (
        uniform(n) if is_uniform else torch.from_numpy(rng.dirichlet(np.ones(n))) for n in (60, 80)
    )
    epsilon = relative * cost.mean()
    coupling = SparseNewtonSinkhorn(tol=1e-11)(cost, a, b, epsilon=epsilon)
    expected = pot.sinkhorn(
        a.numpy(), b.numpy(), cost.dense().numpy(), epsilon, stopThr=1e-13, numItermax=100_000
    )
    # marginals within 1e-11 of the target move the plan by that order
    np.testing.assert_allclose(coupling.to_dense(), expected, atol=1e-9)


@pytest.mark.parametrize("name", HARD)
def test_hard_problems_are_solved_to_1e_9(name):
    matrix, a, b, epsilon = HARD[name]
    coupling = SparseNewtonSinkhorn(tol=1e-9)(DenseCost(matrix), a, b, epsilon=epsilon)
    assert marginal_error(coupling) <= 1.01e-9
    assert torch.equal(torch.isneginf(coupling.f), a == 0)


def test_tol_1e_12_is_reached_or_denied():
    matrix, a, b, epsilon = HARD["zero weights"]
    coupling = SparseNewtonSinkhorn(tol=1e-12, throw=False)(
        DenseCost(matrix), a, b, epsilon=epsilon
    )
    # recomputed sums of 130 entries carry rounding of 1e-16 each
    assert marginal_error(coupling) == pytest.approx(coupling.marginal_error, abs=1e-13)
    assert coupling.converged == (coupling.marginal_error <= 1e-12)


def test_tends_to_the_optimal_assignment():
    cost = SquaredEuclidean(normal(40, 2, seed=0), normal(40, 2, seed=1) + 1)
    plan = SparseNewtonSinkhorn()(cost, uniform(40), uniform(40), epsilon=1e-5 * cost.mean())
    rows, columns = linear_sum_assignment(cost.dense().numpy())
    expected = torch.zeros(40, 40, dtype=torch.float64)
    expected[rows, columns] = 1 / 40
    # the second-best assignment is dearer by far more than epsilon
    torch.testing.assert_close(plan.to_dense(), expected, atol=1e-5, rtol=0)


def test_gaussian_plan_in_one_dimension():
    # between N(0, s^2) and N(0, s^2) with cost |x - y|^2 / 2 the plan is Gaussian with covariance
    # c = sqrt(s^4 + epsilon^2 / 4) - epsilon / 2 (Janati et al., 2020)
    grid = torch.linspace(-6, 6, 400, dtype=torch.float64)[:, None]
    weights = torch.exp(-(grid[:, 0] ** 2) / 2)
    weights /= weights.sum()
    epsilon = 0.5
    coupling = SparseNewtonSinkhorn(tol=1e-11)(
        SquaredEuclidean(grid, grid), weights, weights, epsilon=epsilon
    )
    covariance = float(grid[:, 0] @ coupling.pull(grid)[:, 0])
    # the trapezoidal rule is exact here but for the tails beyond 6 s, mass 2e-9
    assert covariance == pytest.approx(np.sqrt(1 + epsilon**2 / 4) - epsilon / 2, abs=1e-7)


SMALL = st.integers(2, 25)


@st.composite
def problems(draw):
    n, m, seed = draw(SMALL), draw(SMALL), draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    matrix = torch.from_numpy(rng.exponential(size=(n, m)))
    a, b = (torch.from_numpy(rng.dirichlet(np.ones(k))) for k in (n, m))
    return matrix, a, b / (b.sum() / a.sum()), 10 ** draw(st.floats(-3, 0))


def plan(matrix, a, b, epsilon):
    return SparseNewtonSinkhorn(tol=1e-10)(DenseCost(matrix), a, b, epsilon=epsilon).to_dense()


# a column whose mass is off by 1e-10 moves others by at most that: plans agree to that order,
# times the condition of the smallest coupling, for which 1e3 leaves room
@settings(max_examples=25, deadline=None)
@given(problems(), st.integers(0, 10_000))
def test_plans_are_invariant(problem, seed):
    matrix, a, b, epsilon = problem
    rng = torch.Generator().manual_seed(seed)
    expected = plan(matrix, a, b, epsilon)
    i, j = torch.randperm(len(a), generator=rng), torch.randperm(len(b), generator=rng)
    close = {"atol": 1e-7, "rtol": 0}
    permuted = plan(matrix[i][:, j], a[i], b[j], epsilon)
    torch.testing.assert_close(permuted, expected[i][:, j], **close)
    torch.testing.assert_close(plan(7 * matrix, a, b, 7 * epsilon), expected, **close)
    torch.testing.assert_close(plan(matrix.T.contiguous(), b, a, epsilon).T, expected, **close)
    shift = torch.rand(len(a), 1, dtype=torch.float64, generator=rng)
    torch.testing.assert_close(plan(matrix + shift, a, b, epsilon), expected, **close)


def test_unconverged_is_said_and_carried():
    matrix, a, b, epsilon = HARD["epsilon 0.0001"]
    solver = SparseNewtonSinkhorn(tol=1e-18, max_steps=3)
    with pytest.raises(ct.ConvergenceError, match=r"marginal error .*tol 1.0e-18") as caught:
        solver(DenseCost(matrix), a, b, epsilon=epsilon)
    report = caught.value.result.report()
    assert not report["converged"]
    assert report["fallbacks"][-1] in {"exact duals", "sweeps"}
    assert report["n_iters"] == caught.value.result.n_iters > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epsilon": float("nan")}, "epsilon must be positive"),
        ({"epsilon": -1.0}, "epsilon must be positive"),
        ({"a": torch.full((20,), torch.nan).double()}, "NaN"),
        ({"a": torch.zeros(20).double()}, "sum to zero"),
        ({"b": uniform(30) * (1 + 1e-9)}, r"a sums to 1\.0.*, b to 1\.000000001"),
    ],
)
def test_bad_problems_are_refused(change, message):
    given_ = {"a": uniform(20), "b": uniform(30), "epsilon": 0.1} | change
    cost = SquaredEuclidean(normal(20, 2, seed=0), normal(30, 2, seed=1))
    with pytest.raises(ValueError, match=message):
        SparseNewtonSinkhorn()(cost, given_["a"], given_["b"], epsilon=given_["epsilon"])
    with pytest.raises(ValueError, match="finite"):
        SquaredEuclidean(cost.x * torch.nan, cost.y)
    with pytest.raises(ValueError, match="finite"):
        DenseCost(torch.tensor([[torch.nan, 1.0]]).double())


def test_reference_cost_of_brownian_motion_gives_the_same_plan():
    class Brownian:
        def log_transition(self, t0, x0, t1, x1):
            return -((x1 - x0) ** 2).sum(-1) / (2 * 0.3 * (t1 - t0))

    x, y = normal(20, 2, seed=0), normal(30, 2, seed=1)
    one = SparseNewtonSinkhorn(tol=1e-10)(
        ReferenceCost(Brownian(), 1.0, x, 3.0, y), uniform(20), uniform(30), epsilon=1.0
    )
    two = SparseNewtonSinkhorn(tol=1e-10)(
        SquaredEuclidean(x, y), uniform(20), uniform(30), epsilon=0.6
    )
    torch.testing.assert_close(one.to_dense(), two.to_dense(), atol=1e-9, rtol=0)


def test_sparse_plan_drops_the_mass_it_may():
    cost = SquaredEuclidean(normal(60, 3, seed=0), normal(80, 3, seed=1) + 1)
    coupling = SparseNewtonSinkhorn(tol=1e-9)(cost, uniform(60), uniform(80), epsilon=0.05)
    dense, sparse = coupling.to_dense().numpy(), coupling.to_sparse(mass=1e-3)
    kept = sparse.sum(1) / dense.sum(1)
    assert (kept >= 1 - 1e-3).all()
    assert sparse.nnz < dense.size
    stored = sparse.toarray() > 0
    np.testing.assert_array_equal(sparse.toarray()[stored], dense[stored])
    with pytest.raises(ValueError, match="mass"):
        coupling.to_sparse(mass=1.0)


def test_potentials_extend_to_unseen_cells():
    cost = SquaredEuclidean(normal(60, 3, seed=0), normal(80, 3, seed=1) + 1)
    coupling = SparseNewtonSinkhorn(tol=1e-11)(cost, uniform(60), uniform(80), epsilon=0.5)
    # at the cells themselves the c-transform gives f but for the cell's own mass
    again = coupling.extend(cost) + 0.5 * uniform(60).log()
    torch.testing.assert_close(again, coupling.f, atol=1e-8, rtol=0)
    with pytest.raises(ValueError, match="columns"):
        coupling.extend(SquaredEuclidean(cost.x, cost.x))
