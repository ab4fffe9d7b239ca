"""Transport in linear time, against the exact plan of the same problem."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from celltraj import ConvergenceError, ot
from celltraj.ot._strata import Strata, inclusions

N, D, GROUPS = 3000, 10, 6
CHANCE = 4  # standard errors


def cloud(seed, *, n=N, shift=0.0):
    rng = np.random.default_rng(seed)
    centres = 2 * np.random.default_rng(0).normal(size=(GROUPS, D))
    return torch.from_numpy(centres[rng.integers(GROUPS, size=n)] + rng.normal(size=(n, D)) + shift)


X, Y = cloud(1), cloud(2, shift=0.5)
COST = ot.SquaredEuclidean(X, Y)
EPSILON = 0.05 * COST.mean()
SOLVER = ot.Stratified(n_start=600, n_draws=800)
EVEN = torch.full((N,), 1 / N, dtype=torch.float64)
GROUP = (Y[:, :3] > 0).double()


@pytest.fixture(scope="module")
def exact():
    return ot.solve(COST, EVEN, EVEN, epsilon=EPSILON)


@pytest.fixture(scope="module")
def found():
    return SOLVER(COST, EVEN, EVEN, epsilon=EPSILON)


def mean_cost(plan):
    whole = plan.to_dense()
    return float((whole * COST.dense()).sum() / whole.sum())


def test_the_cost_is_that_of_the_exact_plan(exact, found):
    assert abs(mean_cost(found) / mean_cost(exact) - 1) < 0.005


def test_the_error_is_what_it_is_said_to_be(found):
    whole = found.to_dense()
    error = (whole.sum(1) - EVEN).abs().sum() + (whole.sum(0) - EVEN).abs().sum()
    assert abs(found.marginal_error - float(error)) < CHANCE * found.error_sd + 1e-5
    assert found.converged
    assert found.marginal_error < SOLVER.tol


def test_transitions_are_those_of_the_exact_plan(exact, found):
    before = (X[:, :3] > 0).double()
    for ask in (lambda plan: before.T @ plan.pull(GROUP), lambda plan: plan.push(before).T @ GROUP):
        assert (ask(found) - ask(exact)).abs().max() < 0.003


def test_every_cell_goes_where_it_goes_in_the_exact_plan(exact, found):
    pairs = [(one.pull(GROUP) / EVEN[:, None]).flatten() for one in (found, exact)]
    assert stats.pearsonr(*pairs)[0] > 0.995


def test_the_entropy_is_that_of_the_exact_plan(exact, found):
    assert (found.entropy() - exact.entropy()).abs().mean() < 0.05


def test_what_is_constant_is_moved_exactly(found):
    torch.testing.assert_close(
        found.pull(torch.ones(N)).double(), found.row_mass, rtol=1e-5, atol=0
    )


def test_pairs_are_drawn_as_the_plan_has_them(exact, found):
    i, j = found.sample(4000, generator=torch.Generator().manual_seed(0))
    drawn = (X[i] - Y[j]).square().sum(1) / 2
    assert abs(float(drawn.mean()) - mean_cost(exact)) < CHANCE * float(drawn.std()) / math.sqrt(
        4000
    )


def test_a_drawn_plan_has_the_mass_of_every_row(found):
    plan = found.drawn(50)
    np.testing.assert_allclose(plan.sum(1), found.row_mass.numpy(), rtol=1e-12)
    assert plan.nnz <= 50 * N


def test_the_same_seed_gives_the_same_plan(found):
    again = SOLVER(COST, EVEN, EVEN, epsilon=EPSILON)
    torch.testing.assert_close(again.f, found.f, rtol=0, atol=0)
    torch.testing.assert_close(again.pull(GROUP), found.pull(GROUP), rtol=0, atol=0)


def test_relaxed_marginals_are_those_of_the_exact_plan():
    problem = {"tau_a": 0.95, "tau_b": 0.99}
    exact = ot.Unbalanced(**problem)(COST, EVEN, EVEN, epsilon=EPSILON)
    found = SOLVER.coupling(ot.Unbalanced(**problem).problem(COST, EVEN, EVEN, epsilon=EPSILON))
    assert abs(float(found.row_mass.sum() / exact.row_mass.sum()) - 1) < 0.005
    assert stats.pearsonr(found.growth(), exact.growth())[0] > 0.99


def test_cells_without_weight_take_no_part():
    a = torch.where(torch.arange(N) < 100, 0.0, 1.0).double()
    found = SOLVER(COST, a / a.sum(), EVEN, epsilon=EPSILON)
    assert torch.isneginf(found.f[:100]).all()
    assert (found.pull(GROUP)[:100] == 0).all()
    assert found.converged


def test_uneven_weights_are_held():
    a = torch.from_numpy(np.random.default_rng(3).gamma(0.5, size=N))
    found = SOLVER(COST, a / a.sum(), EVEN, epsilon=EPSILON)
    sums = found.to_dense().sum(1)
    assert float((sums - a / a.sum()).abs().sum()) < SOLVER.tol


def test_a_gaussian_law_is_a_product_as_well():
    precision = torch.diag(torch.linspace(0.5, 2, D)).double().expand(N, D, D)
    cost = ot.GaussianCost(X, precision, torch.zeros(N).double(), Y)
    epsilon = 0.05 * cost.mean()
    found = SOLVER(cost, EVEN, EVEN, epsilon=epsilon)
    exact = ot.solve(cost, EVEN, EVEN, epsilon=epsilon)
    assert (found.pull(GROUP).sum(0) - exact.pull(GROUP).sum(0)).abs().max() < 0.005


def test_other_costs_are_refused():
    with pytest.raises(TypeError, match="is no product of features"):
        ot.Stratified()(ot.DenseCost(COST.dense()), EVEN, EVEN, epsilon=EPSILON)


def test_an_epsilon_too_small_to_draw_for_is_said():
    solver = replace(SOLVER, max_draws=800)
    with pytest.raises(ConvergenceError, match="transport stopped at a marginal error of"):
        solver(COST, EVEN, EVEN, epsilon=1e-4 * COST.mean())


def test_draws_are_as_many_as_asked_and_even_within_a_stratum():
    rng = np.random.default_rng(0)
    strata = Strata.of(X, rng)
    share = rng.dirichlet(np.ones(len(strata.sizes)))
    inclusion = inclusions(share, strata.sizes, 500)
    assert inclusion @ strata.sizes == pytest.approx(500)
    counts = np.zeros(N)
    for _ in range(400):
        drawn, stratum = strata.draw(inclusion, rng)
        assert (strata.bounds[stratum] <= drawn).all()
        assert (drawn < strata.bounds[stratum + 1]).all()
        assert len(np.unique(drawn)) == len(drawn)
        counts[drawn] += 1
    wanted = 400 * np.repeat(inclusion, strata.sizes)
    score = (counts - wanted) / np.sqrt(wanted * (1 - np.repeat(inclusion, strata.sizes)) + 1e-9)
    assert np.abs(score).max() < 5.5  # of 3,000 normal scores
