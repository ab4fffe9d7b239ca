"""Fused Gromov-Wasserstein transport against plain transport, known permutations and POT."""

import numpy as np
import ot as pot
import pytest
import torch
from analytic import normal, uniform

import celltraj as ct
from celltraj import ot

N, M = 30, 40


def problem():
    """Return a cost, weights that are not even, and positions of both sides."""
    cost = ot.SquaredEuclidean(normal(N, 3, seed=0), normal(M, 3, seed=1))
    a, b = (uniform(n) * (0.5 + torch.arange(n) / n) for n in (N, M))
    places = normal(N, 2, seed=2), normal(M, 2, seed=3)
    return cost, a / a.sum(), b / b.sum(), places


def turned(points, angle=2.0, scale=3.0):
    c, s = np.cos(angle), np.sin(angle)
    return scale * points @ torch.tensor([[c, s], [-s, c]]).double() + 5


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_without_distances_it_is_plain_transport(epsilon):
    cost, a, b, places = problem()
    found = ot.FusedGromov(alpha=0)(
        cost, a, b, within=ot.Within.of_coordinates(*places), epsilon=epsilon
    )
    plain = ot.SparseNewtonSinkhorn(1e-9) if epsilon else ot.Exact()
    expected = plain(cost, a, b, epsilon=epsilon).to_dense()
    torch.testing.assert_close(found.to_dense(), expected, atol=1e-7, rtol=0)
    if not epsilon:
        assert found.objective == pytest.approx(float((expected * cost.dense()).sum()))


def test_by_distances_alone_it_finds_which_cell_is_which():
    u, order = normal(N, 2, seed=4), torch.randperm(N, generator=torch.Generator().manual_seed(0))
    within = ot.Within.of_coordinates(u, turned(u)[order])
    cost = ot.DenseCost(torch.zeros(N, N))
    found = ot.FusedGromov(alpha=1)(cost, uniform(N), uniform(N), within=within)
    assert torch.equal(order[found.to_dense().argmax(1)], torch.arange(N))
    assert found.objective == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_turning_moving_and_enlarging_a_side_changes_nothing(epsilon):
    cost, a, b, (u, v) = problem()
    plans = [
        ot.FusedGromov()(cost, a, b, within=ot.Within.of_coordinates(*sides), epsilon=epsilon)
        for sides in ((u, v), (turned(u), v), (u, turned(v)))
    ]
    for other in plans[1:]:
        torch.testing.assert_close(other.to_dense(), plans[0].to_dense(), atol=1e-6, rtol=0)


def test_the_unit_of_features_changes_nothing():
    cost, a, b, places = problem()
    within = ot.Within.of_coordinates(*places)
    first = ot.FusedGromov()(cost, a, b, within=within)
    larger = ot.FusedGromov()(ot.DenseCost(100 * cost.dense()), a, b, within=within)
    torch.testing.assert_close(larger.to_dense(), first.to_dense(), atol=1e-9, rtol=0)
    assert larger.objective == pytest.approx(100 * first.objective)


def test_its_value_from_a_start_is_that_of_pot():
    cost, a, b, places = problem()
    within = ot.Within.of_coordinates(*places)
    start = torch.outer(a, b)
    found = ot.FusedGromov(alpha=0.4)(cost, a, b, within=within, start=start)
    c, (dx, dy) = cost.dense().numpy(), within.scaled(a.numpy(), b.numpy())
    mean = a.numpy() @ c @ b.numpy()
    value = pot.gromov.fused_gromov_wasserstein2(c / mean, dx, dy, a.numpy(), b.numpy(), alpha=0.4)
    assert found.objective == pytest.approx(mean * float(value), rel=1e-6)
    assert list(found.objectives) == ["given"]


def test_with_entropy_its_plan_is_that_of_pot():
    cost, a, b, places = problem()
    within = ot.Within.of_coordinates(*places)
    found = ot.FusedGromov(alpha=0.4)(
        cost, a, b, within=within, start=torch.outer(a, b), epsilon=0.2 * cost.mean()
    )
    c, (dx, dy) = cost.dense().numpy(), within.scaled(a.numpy(), b.numpy())
    mean = a.numpy() @ c @ b.numpy()
    expected = pot.gromov.entropic_fused_gromov_wasserstein(
        *(c / mean, dx, dy, a.numpy(), b.numpy()),
        alpha=0.4,
        epsilon=0.2 * cost.mean() / mean,
        max_iter=5000,
        tol=1e-12,
    )
    np.testing.assert_allclose(found.to_dense(), expected, atol=1e-6)


def test_the_best_start_is_kept_and_all_are_told():
    cost, a, b, places = problem()
    found = ot.FusedGromov(alpha=0.9)(cost, a, b, within=ot.Within.of_coordinates(*places))
    assert set(found.objectives) == {"features", "profiles", "product"}
    assert found.objective == min(found.objectives.values()) == found.objectives[found.start]
    assert found.report()["worst_start"] == pytest.approx(max(found.objectives.values()))
    assert found.converged
    assert found.marginal_error < 1e-9


def test_masses_need_not_be_one():
    cost, a, b, places = problem()
    within = ot.Within.of_coordinates(*places)
    one, three = (ot.FusedGromov()(cost, k * a, k * b, within=within) for k in (1, 3))
    torch.testing.assert_close(three.to_dense(), 3 * one.to_dense(), atol=1e-9, rtol=0)


def test_iterations_that_run_out_are_told():
    cost, a, b, places = problem()
    within = ot.Within.of_coordinates(*places)
    with pytest.raises(ct.ConvergenceError, match="still changed after 1 steps"):
        ot.FusedGromov(alpha=1, max_iters=1)(cost, a, b, within=within, epsilon=0.05)
    found = ot.FusedGromov(alpha=1, max_iters=1, throw=False)(
        cost, a, b, within=within, epsilon=0.05
    )
    assert not found.converged


def test_more_cells_than_it_takes_are_refused_with_what_they_would_take():
    n = 3001
    cost = ot.SquaredEuclidean(torch.zeros(n, 1), torch.ones(2, 1))
    within = ot.Within(1 - torch.eye(n), 1 - torch.eye(2))
    message = r"3,001 x 2 cells are more than the 3,000 .* GB.*ct.ot.Registration\(\)"
    with pytest.raises(ValueError, match=message):
        ot.FusedGromov()(cost, uniform(n), uniform(2), within=within)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(3, 2), r"\(n, n\); found \(3, 2\)"),
        (torch.zeros(2, 2), "all distances in x are zero"),
        (-torch.ones(2, 2), "not negative; found -1"),
        (torch.tensor([[0.0, 1.0], [2.0, 0.0]]), "must be symmetric; found entries that differ by"),
        (torch.tensor([[0.0, torch.nan], [2.0, 0.0]]), "must be finite"),
    ],
)
def test_what_are_no_distances_is_refused(x, message):
    with pytest.raises(ValueError, match=message):
        ot.Within(x, 1 - torch.eye(2))


def test_bad_arguments_are_refused():
    cost, a, b, (u, v) = problem()
    within = ot.Within.of_coordinates(u, v)
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\]; found 1.5"):
        ot.FusedGromov(alpha=1.5)
    with pytest.raises(ValueError, match="distances within 40 and 30 cells, cost of shape"):
        ot.FusedGromov()(cost, a, b, within=ot.Within(within.y, within.x))
    with pytest.raises(ValueError, match="epsilon must be finite and not negative"):
        ot.FusedGromov()(cost, a, b, within=within, epsilon=-1.0)
    with pytest.raises(ValueError, match="start must be a plan of shape"):
        ot.FusedGromov()(cost, a, b, within=within, start=torch.zeros(N, M))
