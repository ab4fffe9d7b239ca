"""Relaxed marginals against POT and closed forms."""

import numpy as np
import ot as pot
import pytest
import torch
from analytic import normal, uniform

import celltraj as ct
from celltraj.ot import DenseCost, SparseNewtonSinkhorn, SquaredEuclidean, Unbalanced
from celltraj.ot import _unbalanced as solve_module


def problem(n=60, m=80):
    rng = np.random.default_rng(0)
    cost = SquaredEuclidean(normal(n, 3, seed=0), normal(m, 3, seed=1) + 1)
    a, b = (torch.from_numpy(rng.dirichlet(np.ones(k))) for k in (n, m))
    return cost, a, 1.7 * b


@pytest.mark.filterwarnings("ignore:If reg_type = entropy")  # POT says what the names say
@pytest.mark.parametrize("reg_type", ["kl", "entropy"])
@pytest.mark.parametrize("taus", [(0.95, 0.99), (0.5, 0.999), (0.9, 0.9)])
def test_agrees_with_pot(reg_type, taus):
    cost, a, b = problem()
    epsilon = 0.05 * cost.mean()
    rho = tuple(tau * epsilon / (1 - tau) for tau in taus)
    coupling = Unbalanced(*taus, tol=1e-12, reg_type=reg_type)(cost, a, b, epsilon=epsilon)
    expected = pot.unbalanced.sinkhorn_unbalanced(
        a.numpy(), b.numpy(), cost.dense().numpy(), epsilon, rho,
        reg_type=reg_type, numItermax=200_000, stopThr=1e-15,
    )  # fmt: skip
    np.testing.assert_allclose(coupling.to_dense(), expected, atol=1e-8, rtol=0)


def test_agrees_with_the_translation_invariant_solver():
    cost, a, b = problem()
    epsilon = 0.05 * cost.mean()
    rho = 0.99 * epsilon / (1 - 0.99)
    coupling = Unbalanced(0.99, 0.99, tol=1e-12, reg_type="kl")(cost, a, b, epsilon=epsilon)
    expected = pot.unbalanced.sinkhorn_unbalanced_translation_invariant(
        a.numpy(), b.numpy(), cost.dense().numpy(), epsilon, rho,
        reg_type="kl", numItermax=100_000, stopThr=1e-15,
    )  # fmt: skip
    np.testing.assert_allclose(coupling.to_dense(), expected, atol=1e-8, rtol=0)


def test_one_cell_to_one_cell():
    # f = -tau (g - C / e), g likewise: with a = b = 1 both are tau C / (e (1 + tau))
    cost, tau, epsilon = 2.0, 0.8, 0.5
    one = torch.ones(1, dtype=torch.float64)
    coupling = Unbalanced(tau, tau, tol=1e-12)(
        DenseCost(torch.tensor([[cost]]).double()), one, one, epsilon=epsilon
    )
    exponent = (2 * tau / (1 + tau) - 1) * cost / epsilon
    assert float(coupling.to_dense()) == pytest.approx(np.exp(exponent), abs=1e-11)
    assert float(coupling.growth()) == pytest.approx(np.exp(exponent), abs=1e-11)


def test_firm_marginals_are_the_balanced_problem():
    cost, a, b = problem()
    b = b / b.sum() * a.sum()
    epsilon = 0.05 * cost.mean()
    fixed = Unbalanced(1.0, 1.0, tol=1e-11)(cost, a, b, epsilon=epsilon)
    balanced = SparseNewtonSinkhorn(tol=1e-11)(cost, a, b, epsilon=epsilon)
    torch.testing.assert_close(fixed.to_dense(), balanced.to_dense(), atol=1e-9, rtol=0)
    # growth tends to 1 with tau: it is exp(-f / rho), of order (1 - tau) |f| / epsilon
    nearly = Unbalanced(1 - 1e-9, 1 - 1e-9, tol=1e-11)(cost, a, b, epsilon=epsilon)
    bound = 1e-9 * float(nearly.f.abs().max()) / epsilon
    assert float((nearly.growth() - 1).abs().max()) < 2 * bound + 1e-9


@pytest.mark.parametrize("tau", [0.9, 0.99, 0.999, 0.99999])
def test_small_epsilon_and_firm_marginals_converge(tau):
    cost, a, b = problem()
    coupling = Unbalanced(tau, tau, tol=1e-9)(cost, a, b, epsilon=1e-3 * cost.mean())
    assert coupling.marginal_error <= 1e-9
    # what growth says is what the plan says
    torch.testing.assert_close(coupling.growth() * a, coupling.to_dense().sum(1))


def test_blocks_agree_with_the_whole_problem(monkeypatch):
    cost, a, b = problem(700, 600)
    epsilon = 0.02 * cost.mean()
    whole = Unbalanced(tol=1e-9)(cost, a, b, epsilon=epsilon)
    monkeypatch.setattr(solve_module, "DENSE_LIMIT", 1000)
    blocks = Unbalanced(tol=1e-7)(cost, a, b, epsilon=epsilon)
    # conditions met to 1e-7; relaxed marginals answer with that over 1 - tau, 1e-5
    torch.testing.assert_close(blocks.row_mass, whole.row_mass, atol=1e-5, rtol=0)


def test_cells_without_mass_take_no_part():
    cost, a, b = problem()
    a[3] = b[5] = 0
    coupling = Unbalanced(tol=1e-10)(cost, a, b, epsilon=0.1 * cost.mean())
    assert coupling.to_dense()[3].sum() == coupling.to_dense()[:, 5].sum() == 0
    assert torch.isnan(coupling.growth()[3])


def test_masses_must_agree_only_where_both_are_fixed():
    cost, a, b = problem()
    with pytest.raises(ValueError, match="masses differ"):
        Unbalanced(1.0, 1.0)(cost, a, b, epsilon=1.0)
    for tau in (0.0, 1.1):
        with pytest.raises(ValueError, match="tau_a"):
            Unbalanced(tau)
    with pytest.raises(ValueError, match="reg_type"):
        Unbalanced(reg_type="l2")


SOFT = [(0.95, 0.99), (0.5, 0.9), (0.97, 1.0), (0.03, 0.04)]


@pytest.mark.parametrize("taus", SOFT)
def test_cells_may_be_split(taus):
    # a cell and its copies share its weight: nothing else may change, whatever else is expected
    x, y = normal(40, 2, seed=0), normal(50, 2, seed=1) + 1
    rng = np.random.default_rng(0)
    w, a, b = (torch.from_numpy(rng.dirichlet(np.ones(k))) for k in (40, 40, 50))
    i = torch.cat([torch.arange(40), torch.arange(15), torch.arange(5)])
    j = torch.cat([torch.arange(50), torch.arange(30)])
    shared = [v[k] / torch.bincount(k)[k] for v, k in ((w, i), (a, i), (b, j))]
    solver = Unbalanced(*taus, tol=1e-11)
    one = solver(SquaredEuclidean(x, y), a, b, epsilon=0.3, base=w)
    many = solver(SquaredEuclidean(x[i], y[j]), *shared[1:], epsilon=0.3, base=shared[0])
    # marginals to 1e-11 of their mass, divided by weights of 1e-4
    torch.testing.assert_close(many.growth(), one.growth()[i], atol=1e-6, rtol=1e-6)
    assert float(many.row_mass.sum()) == pytest.approx(float(one.row_mass.sum()), rel=1e-9)


@pytest.mark.parametrize("taus", [(0.95, 0.99), (0.8, 0.8)])
def test_mass_does_not_depend_on_how_many_cells_were_sampled(taus):
    x, y = normal(1600, 2, seed=0), normal(1600, 2, seed=1) + 1
    masses = {}
    for n in (400, 800, 1600):
        parts = [slice(k, k + n) for k in range(0, 1600, n)]
        solver = Unbalanced(*taus)
        masses[n] = [
            float(
                solver(
                    SquaredEuclidean(x[p], y[p]), uniform(n), uniform(n), epsilon=0.2
                ).row_mass.sum()
            )
            for p in parts
        ]
    # log mass is a mean over cells, up to the bias of a plan between samples, of order 1 / n
    error = np.std(np.log(masses[400]), ddof=1)
    for n in (400, 800):
        assert abs(np.log(masses[n]).mean() - np.log(masses[1600][0])) < 3 * error
    assert max(map(max, masses.values())) < 1


def test_equal_weights_have_the_plan_of_counted_entropy_but_for_its_scale():
    # as in OTT, moscot and Waddington-OT, whatever growth is expected
    x, y = normal(40, 2, seed=0), normal(50, 2, seed=1) + 1
    a = torch.softmax(x[:, 0], 0)
    given = SquaredEuclidean(x, y), a, uniform(50)
    counted = Unbalanced(0.8, 0.9, tol=1e-11, reg_type="entropy")(*given, epsilon=0.3).to_dense()
    relative = Unbalanced(0.8, 0.9, tol=1e-11)(*given, epsilon=0.3, base=uniform(40)).to_dense()
    torch.testing.assert_close(
        relative / relative.sum(), counted / counted.sum(), atol=1e-10, rtol=0
    )


def test_mass_is_that_of_the_objective():
    # at the best scale of a plan Q of mass 1 it is exp(-J(Q) / (epsilon + rho_a + rho_b))
    cost, a, b = problem()
    b, epsilon, taus = b / b.sum(), 0.3, (0.7, 0.8)
    plan = Unbalanced(*taus, tol=1e-12)(cost, a, b, epsilon=epsilon).to_dense()
    mass, q = plan.sum(), plan / plan.sum()
    rho = [tau * epsilon / (1 - tau) for tau in taus]
    parts = ((epsilon, q, a[:, None] * b), (rho[0], q.sum(1), a), (rho[1], q.sum(0), b))
    objective = (q * cost.dense()).sum() + sum(p * (v * (v / u).log()).sum() for p, v, u in parts)
    torch.testing.assert_close(mass, (-objective / (epsilon + sum(rho))).exp(), rtol=1e-9, atol=0)


def test_a_coupling_that_keeps_next_to_nothing_is_refused():
    cost, a, b = problem()
    epsilon = 1e-6 * cost.mean()
    with pytest.raises(
        ct.ConvergenceError, match=r"keeps .* of the mass.* = 1e-06 x the mean"
    ) as caught:
        Unbalanced()(cost, a, b / b.sum(), epsilon=epsilon)
    lost = caught.value.result
    assert float(lost.row_mass.sum()) < 0.01
    with pytest.warns(ct.DataWarning, match=r"\d+ of 60 earlier cells have no descendants"):
        asked = Unbalanced(throw=False)(cost, a, b / b.sum(), epsilon=epsilon)
    assert torch.equal(asked.row_mass, lost.row_mass)
    # what the message advises
    kept = Unbalanced()(cost, a, b / b.sum(), epsilon=0.05 * cost.mean())
    assert float(kept.row_mass.sum()) > 0.5
    kept = Unbalanced(1.0, 1.0)(cost, a, b / b.sum(), epsilon=1e-3 * cost.mean())
    assert float(kept.row_mass.sum()) == pytest.approx(1)


def test_deaths_are_no_loss():
    # nine cells in ten lie where none are later: they die, and the others have all descendants
    x = torch.cat([normal(10, 2, seed=0), normal(90, 2, seed=1) + 8])
    cost = SquaredEuclidean(x, normal(100, 2, seed=2))
    found = Unbalanced(0.5, 0.99)(cost, uniform(100), uniform(100), epsilon=1.0)
    assert float(found.growth()[:10].sum()) > 100 * float(found.growth()[10:].sum())
    assert float(found.row_mass.sum()) > 0.9


def test_a_constant_in_the_cost_is_no_loss():
    # as of a density in another unit; the scale changes, who sends what does not
    cost, a, b = problem()
    b = b / b.sum()
    epsilon = 0.05 * cost.mean()
    price = epsilon * (1 + 19 + 99)
    one = Unbalanced(tol=1e-11)(cost, a, b, epsilon=epsilon)
    far = Unbalanced(tol=1e-11)(DenseCost(cost.dense() + 9 * price), a, b, epsilon=epsilon)
    torch.testing.assert_close(far.row_mass * np.exp(9), one.row_mass, rtol=1e-5, atol=1e-9)


def test_cells_that_nothing_is_near_are_counted():
    x = normal(40, 2, seed=0)
    x[0] += 1000
    with pytest.warns(ct.DataWarning, match="1 of 40 earlier cells have no descendants"):
        found = Unbalanced()(SquaredEuclidean(x, x[1:]), uniform(40), uniform(39), epsilon=0.5)
    assert float(found.row_mass[0]) == 0
    assert float(found.row_mass[1:].min()) > 0
