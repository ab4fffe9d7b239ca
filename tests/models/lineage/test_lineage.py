"""Descendants, ancestors and fates against products of dense matrices."""

import numpy as np
import pytest
import torch
from analytic import normal
from scipy.sparse import csr_array

import celltraj as ct
from celltraj.models import Brownian, Lineage, land
from celltraj.models.lineage.lineage import joint_masses
from celltraj.ot import Coupling, SparseCoupling, SquaredEuclidean, Unbalanced, solve
from celltraj.snapshots import Snapshots

SIZES = (30, 40, 50)


def weights(n, seed):
    w = torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.1
    return w / w.sum()


@pytest.fixture(params=["balanced", "relaxed", "sparse"])
def lineage(request):
    """Return a lineage of three snapshots whose population grows."""
    x = [normal(n, 2, seed=k) + k for k, n in enumerate(SIZES)]
    w = tuple(weights(n, k) for k, n in enumerate(SIZES))
    solver = solve if request.param == "balanced" else Unbalanced(0.9, 0.95)
    couplings = []
    for k in (0, 1):
        cost = SquaredEuclidean(x[k], x[k + 1])
        couplings.append(solver(cost, w[k], w[k + 1], epsilon=0.1 * cost.mean()))
    if request.param == "sparse":
        couplings = [SparseCoupling(csr_array(one.to_dense().numpy())) for one in couplings]
    return Lineage((0.0, 1.0, 3.0), tuple(couplings), w, (1.0, 3.0, 2.0))


def matrices(lineage):
    """Return ``T``: descendants per cell, one matrix for each gap."""
    found = []
    for k, one in enumerate(lineage.couplings):
        plan = one.to_dense().numpy()
        ratio = lineage.numbers[k + 1] / lineage.numbers[k]
        found.append(ratio * plan / plan.sum() / lineage.weights[k].numpy()[:, None])
    return found


def test_descendants_are_the_product(lineage):
    mass = weights(SIZES[0], 7)
    first, second = matrices(lineage)
    found = lineage.descendants(mass, 0.0, 3.0)
    np.testing.assert_allclose(found[1], first.T @ mass.numpy(), rtol=1e-9)
    np.testing.assert_allclose(found[2], second.T @ first.T @ mass.numpy(), rtol=1e-9)


def test_the_population_grows_as_it_is_declared_to(lineage):
    masses = lineage.descendants(lineage.weights[0], 0.0, 1.0)
    assert float(masses[1].sum()) == pytest.approx(3.0)


def test_fates_are_the_product_scaled_to_shares(lineage):
    labels = torch.nn.functional.one_hot(torch.arange(SIZES[2]) % 3).double()
    labels[:5] = 0  # cells without a label
    first, second = matrices(lineage)
    expected = first @ second @ labels.numpy()
    expected /= expected.sum(1, keepdims=True)
    shares = lineage.fates(labels, 3.0)
    np.testing.assert_allclose(shares[0], expected, rtol=1e-8)
    assert bool(torch.isnan(shares[2][:5]).all())
    np.testing.assert_array_equal(shares[2][5:], labels[5:])


def test_ancestors_lose_no_mass(lineage):
    mass = weights(SIZES[2], 3)
    found = lineage.ancestors(mass, 0.0, 3.0)
    plans = [one.to_dense().numpy() for one in lineage.couplings]
    expected = mass.numpy()
    for plan in plans[::-1]:
        expected = plan @ (expected / plan.sum(0))
    np.testing.assert_allclose(found[0], expected, rtol=1e-8)
    assert float(found[0].sum()) == pytest.approx(1.0)


def test_joint_masses_are_those_of_the_groups(lineage):
    before = torch.nn.functional.one_hot(torch.arange(SIZES[0]) % 2).double()
    after = torch.nn.functional.one_hot(torch.arange(SIZES[1]) % 4).double()
    plan = lineage.couplings[0].to_dense()
    expected = before.T @ plan @ after
    torch.testing.assert_close(
        joint_masses(lineage, before, after, 0.0, 1.0), expected / expected.sum()
    )


def test_growth_is_the_logarithm_of_the_descendants_of_a_cell(lineage):
    first = matrices(lineage)[0]
    np.testing.assert_allclose(lineage.growth(0), np.log(first.sum(1)), atol=1e-9)
    # twice as long a gap halves the rate, and the times alone set it
    slower = Lineage((0.0, 2.0, 4.0), lineage.couplings, lineage.weights, lineage.numbers)
    torch.testing.assert_close(2 * slower.growth(0), lineage.growth(0))


def test_fates_do_not_depend_on_the_order_of_cells(lineage):
    labels = torch.nn.functional.one_hot(torch.arange(SIZES[2]) % 3).double()
    order = torch.randperm(SIZES[1], generator=torch.Generator().manual_seed(0))
    dense = [one.to_dense().numpy() for one in lineage.couplings]
    shuffled = (dense[0][:, order], dense[1][order])
    w = (lineage.weights[0], lineage.weights[1][order], lineage.weights[2])
    couplings = tuple(SparseCoupling(csr_array(plan)) for plan in shuffled)
    again = Lineage(lineage.times, couplings, w, lineage.numbers)
    torch.testing.assert_close(again.fates(labels, 3.0)[0], lineage.fates(labels, 3.0)[0])


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [(2.0, 3.0, "no cells at time 2"), (3.0, 0.0, "must be before"), (1.0, 1.0, "must be before")],
)
def test_times_that_do_not_suit_are_named(lineage, source, target, message):
    with pytest.raises(ValueError, match=message):
        lineage.descendants(lineage.weights[0], source, target)


def test_a_lineage_needs_parts_that_agree(lineage):
    with pytest.raises(ValueError, match="couplings"):
        Lineage(lineage.times, lineage.couplings[:1], lineage.weights)
    with pytest.raises(ValueError, match="positive"):
        Lineage(lineage.times, lineage.couplings, lineage.weights, (1.0, 0.0, 1.0))


def test_entropy_and_the_smallest_entries_agree_with_dense_plans(lineage):
    for one in lineage.couplings:
        plan = one.to_dense().numpy()
        share = plan / plan.sum(1, keepdims=True)
        logs = np.log(np.where(share > 0, share, 1))
        np.testing.assert_allclose(one.entropy(), -(share * logs).sum(1), atol=1e-9)
        kept = one.to_sparse(mass=0.05).toarray()
        dropped = 1 - kept.sum(1) / plan.sum(1)
        assert ((dropped >= 0) & (dropped <= 0.05)).all()
        # none of what is dropped is larger than what is kept
        least = np.where(kept > 0, kept, np.inf).min(1)
        assert (np.where(kept == 0, plan, 0).max(1) <= least).all()
        # and one more entry would be too many
        assert ((dropped + least / plan.sum(1)) > 0.05).all()


def test_a_law_of_motion_lands_where_its_couplings_say():
    """The couplings of a translation are those of a cell with its own image."""

    class Shift:
        def drift(self, t, x):
            return torch.full_like(x, 2.0)

        def diffusion(self, t, x):
            return torch.zeros_like(x)

        def growth(self, t, x):
            return (x[:, 0] > t).double()  # a cell ahead of the clock multiplies at rate 1

    x = torch.tensor([[-9.0], [9.0]]).double()
    snapshots = Snapshots((0.0, 0.5), (x, x + 1))
    lineage = land(Shift(), snapshots, n_neighbors=1, generator=torch.Generator())
    plan = lineage.couplings[0].to_dense()
    growth = np.exp([0.0, 0.5])
    expected = np.diag(growth / growth.sum())
    np.testing.assert_allclose(plan.numpy(), expected, rtol=1e-6)


def test_noise_lands_as_the_transition_does():
    x = torch.zeros(200, 1).double()
    y = torch.linspace(-3, 3, 601).double()[:, None]
    lineage = land(
        Brownian(1.0),
        Snapshots((0.0, 1.0), (x, y)),
        n_paths=50,
        n_neighbors=1,
        generator=torch.Generator().manual_seed(0),
    )
    shares = lineage.couplings[0].column_mass
    spread = float((shares * y[:, 0] ** 2).sum())
    # 10,000 squares of standard normals, those beyond 3 counted at 3
    assert spread == pytest.approx(0.995, abs=4 * (2 / 10_000) ** 0.5)


def test_a_coupling_draws_rows_as_it_is_asked_to():
    x = normal(20, 2, seed=0)
    cost = SquaredEuclidean(x, x + 1)
    w = weights(20, 0)
    one: Coupling = solve(cost, w, w, epsilon=0.1 * cost.mean())
    asked = weights(20, 5)
    i, _ = one.sample(1000, generator=torch.Generator().manual_seed(0), rows=asked)
    assert (torch.bincount(i, minlength=20) - 1000 * asked).abs().max() < 1


def test_models_are_exported():
    assert ct.models.Lineage is Lineage


def test_cells_with_few_descendants_have_fates():
    # numbers of descendants that differ by more than a float holds, over four gaps
    few = csr_array([[1.0, 0.0], [0.0, 1e-180]])
    end = csr_array([[1.0, 0.0], [3e-180, 1e-180]])
    plans = tuple(map(SparseCoupling, (few, few, few, end)))
    half = torch.tensor([0.5, 0.5]).double()
    found = Lineage(tuple(map(float, range(5))), plans, (half,) * 5).fates(
        torch.eye(2).double(), 4.0
    )
    for share in found[:-1]:
        torch.testing.assert_close(share[1], torch.tensor([0.75, 0.25]).double())


def test_a_cell_without_descendants_has_no_fate():
    plan = SparseCoupling(csr_array([[1.0, 0.0], [0.0, 0.0]]))
    half = torch.tensor([0.5, 0.5]).double()
    lineage = Lineage((0.0, 1.0), (plan,), (half, half))
    fates = lineage.fates(torch.eye(2).double(), 1.0)[0]
    assert torch.isnan(fates[1]).all()
    assert fates[0].tolist() == [1, 0]
    assert float(lineage.growth(0)[1]) == -np.inf
