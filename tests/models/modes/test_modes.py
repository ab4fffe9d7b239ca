"""Slow modes: singular values of couplings, eigenvalues of laws, sets and crossings."""

import itertools

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, svds

import celltraj as ct
from celltraj.models import Lineage
from celltraj.models.modes.bursts import Bursts, Pace
from celltraj.models.modes.chain import Chain
from celltraj.models.modes.coherent import coherent_modes
from celltraj.models.modes.course import coherent_sets
from celltraj.models.modes.crossings import Crossings, count_crossings
from celltraj.models.modes.features import Features, Motion
from celltraj.models.modes.generator import generator_modes
from celltraj.models.modes.law import law_modes
from celltraj.models.modes.sets import Sets, n_sets_of
from celltraj.models.modes.singular import singular_vectors
from celltraj.ot import SparseCoupling
from tests.analytic import normal, uniform


def drawn(seed=0):
    return torch.Generator().manual_seed(seed)


class DoubleWell:
    """Roll down ``(x^2 - 1)^2 + y^2 / 2``."""

    def __init__(self, sigma):
        self.sigma = sigma

    def drift(self, t, x):
        return torch.cat([-4 * x[:, :1] * (x[:, :1].square() - 1), -x[:, 1:]], 1)

    def diffusion(self, t, x):
        return torch.full_like(x, self.sigma)


def slow_rate(sigma, n=1000):
    """Return the slowest rate of the double well, by its generator on a grid."""
    x = np.linspace(-2.5, 2.5, n)
    d, h = sigma**2 / 2, x[1] - x[0]
    well = (x**2 - 1) ** 2
    between = (((x[1:] + x[:-1]) / 2) ** 2 - 1) ** 2
    right, left = (d / h**2 * np.exp(-(between - at) / d) for at in (well[:-1], well[1:]))
    diagonal = np.zeros(n)
    diagonal[:-1] += right
    diagonal[1:] += left
    pair = {"select": "i", "select_range": (0, 1), "eigvals_only": True}
    return float(scipy.linalg.eigh_tridiagonal(diagonal, -np.sqrt(right * left), **pair)[1])


def wells(n, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2)) * [0.3, 0.5]
    x[:, 0] += np.where(rng.random(n) < 0.5, -1, 1)
    return torch.from_numpy(x)


@pytest.fixture(scope="module")
def lineage():
    """Return couplings of three gaps between cells of unequal weight, mass not kept."""
    rng = np.random.default_rng(0)
    sizes = (30, 25, 28, 20)
    plans = []
    for n, m in itertools.pairwise(sizes):
        # two blocks that mix little
        sides = [np.arange(k) < k // 2 for k in (n, m)]
        plan = rng.random((n, m)) * np.where(sides[0][:, None] == sides[1], 1.0, 0.05)
        plans.append(SparseCoupling(csr_array(plan / plan.sum())))
    weights = []
    for n in sizes:
        w = torch.from_numpy(rng.random(n) + 0.5)
        weights.append(w / w.sum())
    return Lineage((0.0, 1.0, 2.0, 4.0), tuple(plans), tuple(weights))


def joint(lineage, first, last):
    """Return the dense joint plan of two times, of mass 1."""
    plan = np.diag(lineage.weights[first].numpy())
    for k in range(first, last):
        one = lineage.couplings[k].pull(torch.eye(len(lineage.weights[k + 1])).double()).numpy()
        plan = plan @ (one / lineage.weights[k].numpy()[:, None])
    return plan / plan.sum()


class TestCouplings:
    def test_the_chain_is_the_joint_plan_and_its_adjoint(self, lineage):
        chain, plan = Chain.of(lineage, 0, 3), joint(lineage, 0, 3)
        n, m = plan.shape
        np.testing.assert_allclose(chain.product(torch.eye(m).double()), plan, atol=1e-14)
        np.testing.assert_allclose(chain.adjoint(torch.eye(n).double()), plan.T, atol=1e-14)
        np.testing.assert_allclose(chain.reached[-1], plan.sum(0), atol=1e-14)

    @pytest.mark.parametrize("ends", [(0.0, 4.0), (1.0, 2.0)])
    def test_singular_values_and_functions_are_those_of_the_dense_plan(self, lineage, ends):
        modes = coherent_modes(lineage, *ends, 4, generator=drawn())
        first, last = lineage.span(*ends)
        plan = joint(lineage, first, last)
        a, b = plan.sum(1), plan.sum(0)
        values = np.linalg.svd(plan / np.sqrt(np.outer(a, b)))[1]
        assert values[0] == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(modes.values, values[1:5], atol=1e-8)
        ends_of = modes.functions[-1].numpy()
        # orthonormal over the cells of the last time, and of mean zero
        np.testing.assert_allclose(ends_of.T @ (b[:, None] * ends_of), np.eye(4), atol=1e-8)
        np.testing.assert_allclose(b @ ends_of, 0, atol=1e-8)
        # at the first time, means over descendants
        np.testing.assert_allclose(modes.functions[0], plan @ ends_of / a[:, None], atol=1e-10)
        np.testing.assert_allclose(modes.masses[0], a, atol=1e-12)
        np.testing.assert_allclose(modes.masses[-1], b, atol=1e-12)
        np.testing.assert_allclose(modes.rates, -np.log(values[1:5]) / (ends[1] - ends[0]))

    def test_errors_are_those_of_cells_drawn_anew(self):
        """Compare with the bootstrap: cells weigh otherwise, and the plan is fitted to that."""
        rng = np.random.default_rng(0)
        x, y = rng.uniform(0, 3, (2, 80))
        kernel = np.exp(-0.5 * (x[:, None] - y) ** 2 / 0.5)

        def coupled(a, b):
            plan = kernel
            for _ in range(40):
                plan = plan * (a / plan.sum(1))[:, None]
                plan = plan * (b / plan.sum(0))
            return plan

        plan = coupled(np.full(80, 1 / 80), np.full(80, 1 / 80))
        one = Lineage((0.0, 1.0), (SparseCoupling(csr_array(plan)),), (uniform(80), uniform(80)))
        modes = coherent_modes(one, 0.0, 1.0, 1, generator=drawn())
        found = []
        for _ in range(150):
            a, b = rng.dirichlet(np.ones(80), 2)
            scaled = coupled(a, b) / np.sqrt(np.outer(a, b))
            found.append(np.linalg.svd(scaled, compute_uv=False)[1])
        # 150 draws tell a standard deviation to 6 %; how plans answer to weights is left out
        assert float(modes.errors) == pytest.approx(np.std(found), rel=0.4)

    def test_it_agrees_with_scipy_on_potentials(self):
        x, y = normal(60, 2, seed=0), normal(50, 2, seed=1)
        plan = ct.ot.Sinkhorn()(ct.ot.SquaredEuclidean(x, y), uniform(60), uniform(50), epsilon=0.3)
        one = Lineage((0.0, 1.0), (plan,), (uniform(60), uniform(50)))
        chain = Chain.of(one, 0, 1)
        a = chain.product(torch.ones(50, 1).double())[:, 0]
        roots = [part.rsqrt()[:, None] for part in (a, chain.reached[-1])]
        map_ = LinearOperator(
            (60, 50),
            matvec=lambda v: (
                roots[0] * chain.product(roots[1] * torch.from_numpy(v.reshape(-1, 1)))
            ).numpy(),
            rmatvec=lambda u: (
                roots[1] * chain.adjoint(roots[0] * torch.from_numpy(u.reshape(-1, 1)))
            ).numpy(),
            dtype=np.float64,
        )
        theirs = np.sort(svds(map_, k=6, return_singular_vectors=False))[::-1]
        ours = coherent_modes(one, 0.0, 1.0, 5, generator=drawn())
        np.testing.assert_allclose(ours.values, theirs[1:], atol=1e-6)

    def test_a_gaussian_coupling_has_powers_of_its_correlation(self):
        """Mehler: singular values of a Gaussian pair are the powers of its correlation."""
        x = torch.linspace(-5, 5, 201, dtype=torch.float64)
        rho = 0.8
        plan = torch.exp(-(x[:, None] ** 2 - 2 * rho * x[:, None] * x + x**2) / 2 / (1 - rho**2))
        plan = plan / plan.sum()
        sparse = SparseCoupling(csr_array(plan.numpy()))
        one = Lineage((0.0, 2.0), (sparse,), (plan.sum(1), plan.sum(0)))
        modes = coherent_modes(one, 0.0, 2.0, 3, generator=drawn())
        np.testing.assert_allclose(modes.values, rho ** np.arange(1, 4), rtol=1e-3)
        np.testing.assert_allclose(modes.rates, -np.log(rho) / 2 * np.arange(1, 4), rtol=2e-3)

    def test_sets_are_blocks_and_know_when_they_are_apart(self, lineage):
        modes = coherent_modes(lineage, 0.0, 4.0, 3, generator=drawn())
        sets = coherent_sets(lineage, modes, n_sets=2, generator=drawn())
        for labels, weights in zip(sets.labels, lineage.weights, strict=True):
            side = np.arange(len(weights)) < len(weights) // 2
            same = labels.numpy()[side].mean(), labels.numpy()[~side].mean()
            assert sorted(same) == [0, 1]
        np.testing.assert_allclose(sets.shares.sum(1), 1)
        assert (sets.decided.diff(dim=0) > 0).all()
        assert (sets.decided[-1] == 1).all()

    def test_cells_without_descendants_have_no_mode(self):
        plan = SparseCoupling(csr_array([[0.4, 0.1, 0.0], [0.1, 0.4, 0.0], [0.0, 0.0, 0.0]]))
        one = Lineage((0.0, 1.0), (plan,), (uniform(3), uniform(3)))
        modes = coherent_modes(one, 0.0, 1.0, 1, generator=drawn())
        assert float(modes.values) == pytest.approx(0.6)
        assert modes.functions[0].isnan()[:, 0].tolist() == [False, False, True]
        assert modes.functions[1].isnan()[:, 0].tolist() == [False, False, True]
        sets = coherent_sets(one, modes, n_sets=2, generator=drawn())
        assert [labels.tolist()[2] for labels in sets.labels] == [-1, -1]

    def test_sets_that_never_mix_are_told_apart_for_good(self):
        plan = SparseCoupling(csr_array(np.kron(np.eye(2), np.full((5, 5), 0.02))))
        one = Lineage((0.0, 1.0), (plan,), (uniform(10), uniform(10)))
        modes = coherent_modes(one, 0.0, 1.0, 3, generator=drawn())
        assert float(modes.values[0]) == pytest.approx(1)
        assert float(modes.rates[0]) == pytest.approx(0, abs=1e-12)
        assert coherent_sets(one, modes, generator=drawn()).n_sets == 2

    def test_too_few_cells_are_refused(self, lineage):
        with pytest.raises(
            ValueError, match=r"20 modes need more cells.*found 30 at 0 and 20 at 4"
        ):
            coherent_modes(lineage, 0.0, 4.0, 20, generator=drawn())


def test_singular_vectors_of_a_small_map_are_all_found():
    a = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 4)))
    u, s, vt = torch.linalg.svd(a, full_matrices=False)
    found = singular_vectors(a.mm, a.T.mm, vt[0], 4, generator=drawn())
    torch.testing.assert_close(found.values, s)
    torch.testing.assert_close((found.left * u).sum(0).abs(), torch.ones(4).double())


class TestFeatures:
    def test_the_generator_is_that_of_autograd(self):
        """Noise that differs from variable to variable, all three kinds of features."""
        x = normal(6, 3, seed=0)
        features = Features(x.mean(0), x.std(0), is_quadratic=True, bumps=x[:4], width=0.8)
        drift, variance = normal(6, 3, seed=1), normal(6, 3, seed=2).square()
        found = features.generated(Motion(x, drift, variance))
        for k in range(len(x)):
            slopes, bends = (
                torch.autograd.functional.jacobian(way, x[k])
                for way in (
                    lambda at: features.values(at[None])[0],
                    lambda at: torch.autograd.functional.jacobian(
                        lambda z: features.values(z[None])[0], at, create_graph=True
                    ),
                )
            )
            curved = bends.diagonal(dim1=1, dim2=2)
            expected = slopes @ drift[k] + curved @ variance[k] / 2
            torch.testing.assert_close(found[k], expected)

    def test_an_ornstein_uhlenbeck_process_has_sums_of_its_rates_whatever_the_cells(self):
        matrix = torch.diag(torch.tensor([-1.0, -3.0]))
        pull = ct.models.OrnsteinUhlenbeck(matrix=matrix, shift=torch.ones(2), sigma=0.7)
        x = torch.rand(300, 2, dtype=torch.float64, generator=drawn()) * 5
        law = law_modes(pull, x, 5, generator=drawn())
        assert law.is_reversible
        assert law.sets.n_sets == 1
        np.testing.assert_allclose(law.modes.rates[:3], [1, 2, 3], rtol=1e-4)
        assert (law.modes.errors[:3] < 1e-4).all()

    def test_a_rotation_has_complex_rates(self):
        matrix = torch.tensor([[-1.0, -2.0], [2.0, -1.0]])
        turn = ct.models.OrnsteinUhlenbeck(matrix=matrix, shift=torch.zeros(2), sigma=1.0)
        law = law_modes(turn, normal(300, 2, seed=0), 5, generator=drawn())
        assert not law.is_reversible
        np.testing.assert_allclose(law.modes.rates[:2], 1, rtol=1e-6)
        np.testing.assert_allclose(law.modes.frequencies[:2], 2, rtol=1e-6)
        # the second harmonics: -2 +- 4 i and -2
        np.testing.assert_allclose(law.modes.rates[2:5], 2, rtol=1e-6)
        assert sorted(law.modes.frequencies[2:5].round(decimals=5).tolist()) == [0, 4, 4]
        assert law.sets.n_sets == 1
        with pytest.raises(
            ValueError, match="2 sets need 1 slow modes that do not rotate; found 0"
        ):
            law_modes(turn, normal(300, 2, seed=0), 4, n_sets=2, generator=drawn())

    def test_errors_are_those_of_the_bootstrap_of_cells(self):
        law, x = DoubleWell(0.8), wells(1000)
        pace = Pace.of(law, Motion.of(law, x, 0.0), generator=drawn())
        bursts = Bursts.of(law, x, pace, generator=drawn())
        states = bursts.motion.x
        features = Features(
            states.mean(0), states.std(0), is_quadratic=True, bumps=states[:30] / states.std(0)
        )
        modes = generator_modes(bursts, features, 1, is_reversible=False)
        rng, found = np.random.default_rng(0), []
        for _ in range(60):
            rows = torch.from_numpy(rng.integers(0, 1000, 1000))
            again = generator_modes(bursts.of_cells(rows), features, 1, is_reversible=False)
            found.append(float(again.rates))
        # 60 draws tell a standard deviation to 9 %
        assert float(modes.errors) == pytest.approx(np.std(found), rel=0.35)


@pytest.fixture(scope="module")
def law():
    return law_modes(DoubleWell(0.8), wells(1500), 4, generator=drawn())


class TestCrossings:
    def test_wells_are_told_apart_and_crossed_as_the_generator_says(self, law):
        assert law.sets.n_sets == 2
        side = (wells(1500)[:, 0] > 0).long()
        agreed = float((law.labels == side).double().mean())
        assert max(agreed, 1 - agreed) > 0.99
        # some 200 crossings tell the rate to 7 %, cores cost another 5 %
        true = slow_rate(0.8)
        assert true == pytest.approx(0.0711, abs=1e-4)
        assert float(law.crossings.relaxation()) == pytest.approx(true, rel=0.2)
        low, high = law.crossings.relaxation_intervals(0.99, generator=drawn())
        assert float(low) < true < float(high)
        assert float(law.modes.rates[0]) > 0.9 * true

    def test_a_set_is_terminal_for_a_time_in_which_it_is_kept(self, law):
        assert law.is_terminal(1.0).all()
        assert not law.is_terminal(100.0).any()

    def test_intervals_are_exact_for_counts(self):
        counts = torch.tensor([[0.0, 0.0], [10.0, 0.0]], dtype=torch.float64)
        found = Crossings(counts, torch.tensor([5.0, 2.0], dtype=torch.float64))
        low, high = found.intervals(0.95)
        # no event in 5: upper end -log(.025) / 5; Garwood for ten
        assert float(low[0, 1]) == 0
        assert float(high[0, 1]) == pytest.approx(-np.log(0.025) / 5)
        assert float(low[1, 0]) == pytest.approx(4.795 / 2, rel=1e-3)
        assert float(high[1, 0]) == pytest.approx(18.39 / 2, rel=1e-3)
        assert float(found.relaxation()) == pytest.approx(5.0)

    def test_a_law_that_never_crosses_ends_without_a_count(self):
        apart = DoubleWell(0.1)
        starts = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64).repeat(10, 1)

        def core_of(x):
            return (x[:, 0] > 0).long()

        options = {"pace": Pace(8.0, 8.0), "most_states": 5_000, "generator": drawn()}
        found = count_crossings(apart, starts, core_of, 2, **options)
        assert float(found.counts.sum()) == 0
        assert (found.intervals(0.95)[1][0, 1] < 1).all()


class TestSets:
    def test_the_number_is_that_before_the_largest_gap(self):
        none = torch.zeros(4, dtype=torch.float64)
        assert n_sets_of(torch.tensor([0.01, 0.02, 1.0, 1.1]).double(), none) == 3
        assert n_sets_of(torch.tensor([1.0, 2.0, 3.0, 4.0]).double(), none) == 1
        # a rate that is not told from zero is no gap of its own
        slow = torch.tensor([1e-9, 0.02, 1.0, 1.1]).double()
        assert n_sets_of(slow, torch.tensor([0.02, 0.0, 0.0, 0.0]).double()) == 3
        assert n_sets_of(none[:1], none[:1]) == 1

    def test_the_largest_is_the_first_and_mass_counts(self):
        x = torch.tensor([[0.0], [0.1], [5.0]], dtype=torch.float64)
        one = Sets.of(x, torch.tensor([1.0, 1.0, 9.0]).double(), 2, generator=drawn())
        assert one.labels(x).tolist() == [1, 1, 0]
        assert one.labels(torch.tensor([[torch.nan]]).double()).tolist() == [-1]

    def test_fewer_cells_than_sets_are_refused(self):
        x = torch.zeros(4, 2, dtype=torch.float64)
        with pytest.raises(ValueError, match="3 sets need as many different cells"):
            Sets.of(x, uniform(4), 3, generator=drawn())
