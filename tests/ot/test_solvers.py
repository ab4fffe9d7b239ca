"""Transport solvers against POT, each other and closed forms."""

import numpy as np
import ot as pot
import pytest
import torch
from analytic import normal, uniform

import celltraj as ct
from celltraj.ot import Sinkhorn, SquaredEuclidean, exact_matching, wasserstein


def problem(n=60, m=80, d=3):
    return SquaredEuclidean(normal(n, d, seed=0), normal(m, d, seed=1) + 1), uniform(n), uniform(m)


# .5 keeps the kernel dense, .01 makes it sparse and the ladder climb
@pytest.mark.parametrize("epsilon", [0.5, 0.05, 0.01])
def test_sinkhorn_agrees_with_pot(epsilon):
    cost, a, b = problem()
    coupling = Sinkhorn(tol=1e-10)(cost, a, b, epsilon=epsilon)
    expected = pot.sinkhorn(
        a.numpy(),
        b.numpy(),
        cost.dense().numpy(),
        epsilon,
        method="sinkhorn_log",
        stopThr=1e-12,
        numItermax=200_000,
    )
    # both plans have marginals within 1e-10 of the target, so they differ by that order
    np.testing.assert_allclose(coupling.to_dense(), expected, atol=1e-8)
    assert coupling.converged
    assert coupling.marginal_error <= 1e-10


def test_sinkhorn_tends_to_exact_transport():
    cost, a, b = problem()
    plan = Sinkhorn(tol=1e-6)(cost, a, b, epsilon=2e-3 * cost.mean()).to_dense()
    exact = exact_matching(cost.x.numpy(), cost.y.numpy(), a.numpy(), b.numpy())
    entropic, least = (
        float((plan * cost.dense()).sum()),
        float((exact * cost.dense().numpy()).sum()),
    )
    # 0 <= <C, P_eps> - <C, P_0> <= epsilon x entropy of the plan, at most log(n m)
    assert -1e-6 < entropic - least < 2e-3 * cost.mean() * np.log(60 * 80)


def test_sinkhorn_between_two_points_and_two_points():
    # P = [[p, .5-p], [.5-p, p]] with p/(.5-p) = exp((C_01 - C_00)/epsilon)
    x = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    plan = Sinkhorn(tol=1e-12)(SquaredEuclidean(x, x), uniform(2), uniform(2), epsilon=0.4)
    ratio = np.exp(0.5 / 0.4)
    p = 0.5 * ratio / (1 + ratio)
    np.testing.assert_allclose(plan.to_dense(), [[p, 0.5 - p], [0.5 - p, p]], atol=1e-12)


def test_zero_weights_carry_no_mass():
    cost, a, b = problem()
    a, b = a.clone(), b.clone()
    a[3] = b[5] = 0
    coupling = Sinkhorn()(cost, a / a.sum(), b / b.sum(), epsilon=0.5)
    plan = coupling.to_dense()
    assert plan[3].sum() == plan[:, 5].sum() == 0
    assert torch.isfinite(plan).all()
    i, j = coupling.sample(5000, generator=torch.Generator().manual_seed(0))
    assert 3 not in i
    assert 5 not in j


def test_translation_leaves_the_plan_alone():
    cost, a, b = problem()
    shift = torch.tensor([100.0, -50.0, 3.0], dtype=torch.float64)
    one, two = (
        Sinkhorn(tol=1e-9)(c, a, b, epsilon=0.2).to_dense()
        for c in (cost, SquaredEuclidean(cost.x + shift, cost.y + shift))
    )
    torch.testing.assert_close(one, two, atol=1e-8, rtol=0)


def test_permutation_permutes_the_plan():
    cost, a, b = problem()
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    one = Sinkhorn(tol=1e-9)(cost, a, b, epsilon=0.2).to_dense()[order]
    two = Sinkhorn(tol=1e-9)(SquaredEuclidean(cost.x[order], cost.y), a, b, epsilon=0.2).to_dense()
    torch.testing.assert_close(one, two, atol=1e-8, rtol=0)


def test_unconverged_raises_and_carries_the_coupling():
    cost, a, b = problem()
    with pytest.raises(ct.ConvergenceError, match=r"marginal error .* raise epsilon") as caught:
        Sinkhorn(tol=1e-14, max_iters=2)(cost, a, b, epsilon=0.1)
    assert not caught.value.result.converged
    assert not Sinkhorn(tol=1e-14, max_iters=2, throw=False)(cost, a, b, epsilon=0.1).converged


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epsilon": 0.0}, "epsilon must be positive"),
        ({"a": uniform(59)}, "weights of 59"),
        ({"a": -uniform(60)}, "non-negative"),
        ({"a": 2 * uniform(60)}, "masses differ"),
    ],
)
def test_bad_problems_are_refused(change, message):
    cost, a, b = problem()
    given = {"a": a, "b": b, "epsilon": 0.1} | change
    with pytest.raises(ValueError, match=message):
        Sinkhorn()(cost, given["a"], given["b"], epsilon=given["epsilon"])


def test_push_pull_and_dense_agree():
    coupling = Sinkhorn()(*problem()[:1], *problem()[1:], epsilon=0.3)
    plan, v, w = coupling.to_dense(), normal(60, 2, seed=5), normal(80, 2, seed=6)
    torch.testing.assert_close(coupling.push(v), plan.T @ v)
    torch.testing.assert_close(coupling.pull(w), plan @ w)


def test_samples_follow_the_plan():
    coupling = Sinkhorn()(*problem()[:1], *problem()[1:], epsilon=0.3)
    n = 200_000
    i, j = coupling.sample(n, generator=torch.Generator().manual_seed(0))
    plan = coupling.to_dense()
    counts = torch.zeros_like(plan).index_put_((i, j), torch.ones(n).double(), accumulate=True)
    likely = plan * n > 5
    chi_square = ((counts - n * plan)[likely] ** 2 / (n * plan)[likely]).mean()
    # mean of m chi-square(1) variables: 1, standard error sqrt(2 / m); systematic rows lower it
    assert chi_square < 1 + 4 * (2 / int(likely.sum())) ** 0.5
    # each row is drawn n a_i times to within one
    assert (torch.bincount(i, minlength=60) - n / 60).abs().max() <= 1


def test_mean_cost_is_that_of_the_dense_one():
    cost, _, _ = problem()
    assert cost.mean() == pytest.approx(float(cost.dense().mean()))


def test_wasserstein_of_a_translation_is_its_length():
    x, shift = normal(50, 2, seed=0).numpy(), np.array([3.0, 4.0])
    for order in (1, 2):
        assert wasserstein(x, x + shift, order=order) == pytest.approx(5)
    with pytest.raises(ValueError, match="order"):
        wasserstein(x, x, order=3)
