"""What every coupling solver must satisfy. To add one: a line in ``SOLVERS``."""

import math
from dataclasses import FrozenInstanceError, dataclass, fields, replace
from functools import cache

import numpy as np
import pytest
import torch
from analytic import normal, uniform
from notebook import Annealed, Forgiving, Monotone

import celltraj as ct
from celltraj import ot
from celltraj.models.coupling import couple_gap
from celltraj.ot.solver import check_solver
from celltraj.snapshots import Snapshots

SOLVERS = {
    "solve": ot.solve,
    "Balanced": ot.Balanced(tol=1e-8),
    "Sinkhorn": ot.Sinkhorn(),
    "SparseNewtonSinkhorn": ot.SparseNewtonSinkhorn(),
    "Multiscale": ot.Multiscale(n_coarse=30, n_groups=15, progress=False),
    "Minibatch": ot.Minibatch(size=30, rounds=60),
    "Exact": ot.Exact(),
    "Unbalanced": ot.Unbalanced(tau_a=0.9),
    "Unbalanced with firm marginals": ot.Unbalanced(1.0, 1.0),
    "user's entropic": Annealed(),
    "user's plan": Monotone(),
    "user's unbalanced": Forgiving(),
}
ROW = ["epsilon", "marginal_error", "converged", "n_iters", "mass"]
N, M = 40, 60


@pytest.fixture(params=list(SOLVERS))
def solver(request):
    return SOLVERS[request.param]


def problem():
    """Return a cost and weights, some of them small."""
    x, y = normal(N, 2, seed=0), normal(M, 2, seed=1) + 0.5
    a, b = (uniform(n) * (0.2 + torch.arange(n) / n) for n in (N, M))
    return ot.SquaredEuclidean(x, y), a / a.sum(), b / b.sum()


@cache
def solved(solver):
    cost, a, b = problem()
    return solver(cost, a, b, epsilon=0.1 * cost.mean())


def test_is_a_solver_and_says_what_it_is(solver):
    assert isinstance(solver, ot.Solver)
    assert isinstance(solver.is_balanced, bool)
    first = fields(solver)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(solver, first, getattr(solver, first))
    assert replace(solver) == solver
    assert repr(solver).startswith(f"{type(solver).__name__}({first}=")


def test_returns_a_coupling(solver):
    found, plan = solved(solver), solved(solver).to_dense()
    assert isinstance(found, ot.Transport)
    assert plan.shape == (N, M)
    assert (plan >= 0).all()
    torch.testing.assert_close(found.row_mass, plan.sum(1))
    torch.testing.assert_close(found.column_mass, plan.sum(0))
    v, w = normal(N, 3, seed=2), normal(M, 3, seed=3)
    torch.testing.assert_close(found.push(v), plan.T @ v)
    torch.testing.assert_close(found.pull(w), plan @ w)
    share = plan / plan.sum(1, keepdim=True)
    torch.testing.assert_close(found.entropy(), -torch.special.xlogy(share, share).sum(1))


def test_tells_how_well_it_did_in_one_row(solver):
    found = solved(solver)
    row = found.report()
    assert list(row)[:5] == ROW
    assert row["converged"] is found.converged is True
    assert row["mass"] == pytest.approx(float(found.row_mass.sum()))
    np.testing.assert_equal(row["marginal_error"], found.marginal_error)
    assert all(isinstance(row[key], float) for key in ("epsilon", "marginal_error", "mass"))
    assert isinstance(row["n_iters"], int)


def test_a_balanced_one_keeps_both_marginals(solver):
    _, a, b = problem()
    plan = solved(solver).to_dense()
    missed = float((plan.sum(1) - a).abs().sum() + (plan.sum(0) - b).abs().sum())
    assert (missed < 2e-3) == solver.is_balanced
    if solver.is_balanced:
        assert solved(solver).marginal_error == pytest.approx(missed, rel=1e-3, abs=1e-10)


def test_draws_pairs_as_the_plan_has_them(solver):
    found, n = solved(solver), 40_000
    i, j = found.sample(n, generator=torch.Generator().manual_seed(0))
    counts = torch.zeros(N, M).double().index_put_((i, j), torch.ones(n).double(), accumulate=True)
    wanted = n * found.to_dense() / float(found.row_mass.sum())
    # earlier cells in their shares to within one
    assert (counts.sum(1) - wanted.sum(1)).abs().max() <= 1 + 1e-6
    assert (counts[wanted == 0] == 0).all()
    likely = wanted > 5
    chi_square = ((counts - wanted)[likely] ** 2 / wanted[likely]).mean()
    # mean of k chi-square(1) variables: 1, standard error sqrt(2 / k)
    assert chi_square < 1 + 4 * (2 / int(likely.sum())) ** 0.5


def test_cells_without_weight_take_no_part(solver):
    cost, a, b = problem()
    a[3] = b[5] = 0
    plan = solver(cost, a / a.sum(), b / b.sum(), epsilon=0.1 * cost.mean()).to_dense()
    assert torch.isfinite(plan).all()
    assert plan[3].sum() == plan[:, 5].sum() == 0


def test_the_order_of_cells_does_not_matter(solver):
    if isinstance(solver, ot.Minibatch | ot.Multiscale):
        pytest.skip("draws cells at random")
    cost, a, b = problem()
    i, j = (torch.randperm(n, generator=torch.Generator().manual_seed(n)) for n in (N, M))
    epsilon = 0.1 * cost.mean()
    mixed = solver(cost.take(i, j), a[i], b[j], epsilon=epsilon).to_dense()
    # two entropic plans may differ by what both were allowed to miss
    torch.testing.assert_close(mixed, solved(solver).to_dense()[i][:, j], atol=1e-4, rtol=0)


def test_is_told_the_weights_of_cells_only_where_marginals_may_be_missed(solver):
    growth = (torch.linspace(0, 2, N), torch.zeros(M))
    cost, _, _ = problem()
    snapshots = Snapshots((0.0, 1.0), (cost.x, cost.y), growth=growth)
    a, b, weights = snapshots.expected(0), snapshots.weights[1], snapshots.weights[0]
    given = {} if solver.is_balanced else {"base": weights}
    found = couple_gap(snapshots, 0, solver, cost, epsilon=1.0)
    torch.testing.assert_close(
        found.to_dense(), solver(cost, a, b, epsilon=1.0, **given).to_dense()
    )
    if solver.is_balanced:
        torch.testing.assert_close(found.row_mass, a, atol=1e-3, rtol=0)


def test_users_agree_with_ours():
    cost, a, b = problem()
    epsilon = 0.1 * cost.mean()
    pairs = [
        (Annealed(2000), ot.Sinkhorn(tol=1e-9), {}),
        (Forgiving(), ot.Unbalanced(0.9, 0.9, tol=1e-9), {"base": uniform(N)}),
    ]
    for theirs, ours, given in pairs:
        one, two = (s(cost, a, b, epsilon=epsilon, **given).to_dense() for s in (theirs, ours))
        torch.testing.assert_close(one, two, atol=1e-7, rtol=0)
    line = ot.SquaredEuclidean(cost.x[:, :1], cost.y[:, :1])  # where order is optimal
    one, two = (s(line, a, b, epsilon=1.0).to_dense() for s in (Monotone(), ot.Exact()))
    torch.testing.assert_close(one, two, atol=1e-12, rtol=0)


def test_a_plan_of_unknown_origin_says_so():
    found = ot.SparseCoupling(solved(ot.Exact()).plan)
    assert isinstance(found, ot.Transport)
    row = found.report()
    assert list(row) == ROW
    assert math.isnan(row["epsilon"])
    assert math.isnan(row["marginal_error"])
    assert row["converged"]
    assert "nan" not in repr(found)


def test_batches_that_miss_a_cell_are_not_said_to_have_converged():
    found = solved(ot.Minibatch(size=5, rounds=1))
    assert found.marginal_error > 1e-3
    assert not found.converged
    assert not found.report()["converged"]


@dataclass(frozen=True)
class Silent:
    """A user's solver that does not say whether it keeps its marginals."""

    def __call__(self, cost, a, b, *, epsilon):
        return ot.solve(cost, a, b, epsilon=epsilon)


@dataclass(frozen=True)
class Deaf:
    """A user's solver that may miss its marginals and takes no weights."""

    is_balanced: bool = False

    def __call__(self, cost, a, b, *, epsilon):
        return ot.Unbalanced()(cost, a, b, epsilon=epsilon)


@pytest.mark.parametrize(
    ("solver", "message"),
    [
        (Silent(), r"solver must be .* ct\.ot\.Unbalanced\(\); found Silent\(\).* no is_balanced"),
        (Deaf(), r"solver must take base=None, the weights of the earlier cells"),
        (ot.Sinkhorn, r"pass an instance, Sinkhorn\(\.\.\.\), in place of the class as solver"),
        ("sinkhorn", r"solver must be an object such as ct\.ot\.solve"),
    ],
)
def test_what_is_no_solver_is_refused_and_told_why(solver, message):
    with pytest.raises(TypeError, match=message):
        check_solver(solver)
    with pytest.raises(TypeError, match="coupling"):
        ct.models.ResponseOptions(coupling=solver)


def test_a_function_is_a_solver_once_it_says_whether_it_is_balanced():
    def mine(cost, a, b, *, epsilon):
        return ot.solve(cost, a, b, epsilon=epsilon)

    assert not isinstance(mine, ot.Solver)
    mine.is_balanced = True
    assert isinstance(mine, ot.Solver)
    cost, _, _ = problem()
    found = couple_gap(Snapshots((0.0, 1.0), (cost.x, cost.y)), 0, mine, cost, epsilon=1.0)
    assert found.converged


def test_options_of_a_call_are_now_fields():
    cost, a, b = problem()
    with pytest.raises(TypeError, match=r"ct\.ot\.Balanced\(tol=1e-09, throw=False\)\(cost, a, b"):
        ot.solve(cost, a, b, epsilon=1.0, tol=1e-9, throw=False)
    assert ot.Balanced(tol=1e-9)(cost, a, b, epsilon=1.0).marginal_error <= 1e-9


def test_names_of_before_tell_those_of_now():
    with pytest.raises(AttributeError, match=r"Effort is no more: use ct\.ot\.SolverStats"):
        _ = ot.Effort
    with pytest.raises(AttributeError, match=r"effort is now Coupling\.stats"):
        _ = solved(ot.solve).effort
