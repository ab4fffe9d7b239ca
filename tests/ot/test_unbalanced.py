"""Relaxed marginals against POT and closed forms."""

import numpy as np
import ot as pot
import pytest
import torch
from analytic import normal

from celltraj.ot import DenseCost, SparseNewtonSinkhorn, SquaredEuclidean, Unbalanced
from celltraj.ot import _solve as solve_module


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
