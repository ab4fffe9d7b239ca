"""Correlations, their intervals and p values against scipy, by permutation against the null."""

import numpy as np
import pytest
from scipy.sparse import csc_array, csc_matrix, csr_array, csr_matrix
from scipy.stats import false_discovery_control, kstest, pearsonr

from celltraj._stats import correlation as correlation_module
from celltraj._stats import moments as moments_module
from celltraj._stats.correlation import correlations, false_discovery, permutation_p

SPARSE = [csr_matrix, csc_matrix, csr_array, csc_array]


def expression(n=60, g=7, seed=0):
    """Return non-negative expression with many zeros, and two numbers of every cell."""
    rng = np.random.default_rng(seed)
    x = np.maximum(rng.normal(size=(n, g)) + np.linspace(-0.5, 3, g), 0)
    return x, np.column_stack([x[:, 0] + rng.normal(size=n), rng.uniform(size=n)])


def fields(found):
    return found.value, found.lower, found.upper, found.p


@pytest.fixture(params=[1 << 22, 130])
def _blocks(request, monkeypatch):
    """Run with all genes in one block, and with two in each."""
    monkeypatch.setattr(correlation_module, "_BLOCK", request.param)
    monkeypatch.setattr(moments_module, "_BLOCK", request.param)


@pytest.mark.usefixtures("_blocks")
class TestCorrelations:
    @pytest.mark.parametrize("confidence", [0.95, 0.5])
    def test_scipy_finds_the_same(self, confidence):
        x, y = expression()
        found = correlations(x, y, confidence=confidence)
        for gene, column in np.ndindex(found.value.shape):
            expected = pearsonr(x[:, gene], y[:, column])
            interval = expected.confidence_interval(confidence)
            ours = found.value[gene, column], found.lower[gene, column], found.upper[gene, column]
            np.testing.assert_allclose(ours, (expected.statistic, *interval), rtol=1e-9)

    @pytest.mark.parametrize("kind", SPARSE)
    def test_sparse_is_dense(self, kind):
        x, y = expression()
        w = np.random.default_rng(1).uniform(size=len(x))
        for weights in (None, w):
            dense = correlations(x, y, weights=weights)
            sparse = correlations(kind(x), y, weights=weights)
            for a, b in zip(fields(sparse), fields(dense), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-9)

    def test_a_weight_of_two_is_the_cell_twice(self):
        x, y = expression()
        w = np.where(np.arange(len(x)) < 20, 2, 1)
        twice = np.repeat(np.arange(len(x)), w)
        found = correlations(x, y, weights=w).value
        np.testing.assert_allclose(found, correlations(x[twice], y[twice]).value, rtol=1e-9)

    def test_neither_unit_nor_offset_matters(self):
        x, y = expression()
        found = correlations(1e4 + 1e-2 * x, 5 - 3 * y)
        np.testing.assert_allclose(found.value, -correlations(x, y).value, atol=1e-8)

    @pytest.mark.parametrize("kind", [np.asarray, *SPARSE])
    def test_constant_genes_and_numbers_have_no_correlation(self, kind):
        x, y = expression()
        x[:, 2], x[:, 3] = 0.1, 0.0
        for dtype in (np.float64, np.float32):
            for weights in (None, np.random.default_rng(1).uniform(size=len(x))):
                found = correlations(kind(x.astype(dtype)), y, weights=weights)
                for one in fields(found):
                    assert np.isnan(one[[2, 3]]).all()
                    assert np.isfinite(one[[0, 1, 4, 5, 6]]).all()
        y[:, 1] = 1 / 3
        assert np.isnan(correlations(kind(x), y).value[:, 1]).all()

    def test_a_gene_that_is_the_number(self):
        x, _ = expression()
        found = correlations(x, x[:, [0]])
        assert [one[0, 0] for one in fields(found)] == pytest.approx([1, 1, 1, 0], abs=1e-12)


def test_few_cells_have_no_interval():
    x, y = expression(n=3)
    found = correlations(x + 1.0, y)
    assert np.isfinite(found.value).any()
    assert np.isnan(found.lower).all()
    assert np.isnan(found.p).all()


def test_p_is_that_of_a_normal_z():
    # for many cells Student's t, which scipy takes, is the same: relative error about z^4 / n
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4000, 5)), rng.normal(size=(4000, 1))
    expected = [pearsonr(x[:, gene], y[:, 0]).pvalue for gene in range(5)]
    np.testing.assert_allclose(correlations(x, y).p[:, 0], expected, rtol=0.01)


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(3)
    rho, n, repeats = 0.6, 30, 1000
    pairs = [rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=n) for _ in range(repeats)]
    found = [correlations(pair[:, :1], pair[:, 1:], confidence=0.9) for pair in pairs]
    share = np.mean([(one.lower[0, 0] < rho) & (rho < one.upper[0, 0]) for one in found])
    # three standard errors, and one hundredth for the approximation by a normal distribution
    assert abs(share - 0.9) < 3 * np.sqrt(0.09 / repeats) + 0.01


class TestPermutation:
    @pytest.mark.parametrize("strata", [False, True])
    def test_p_is_uniform_where_nothing_is_bound(self, strata):
        rng = np.random.default_rng(5)
        n, g = 60, 600
        time = np.repeat([0, 1, 2], 20)
        drift = 3.0 * time if strata else 0.0  # of all genes and the number alike
        y = (rng.normal(size=n) + drift)[:, None]
        x = rng.normal(size=(n, g)) + (drift[:, None] if strata else 0.0)
        options = {"n_permutations": 399, "rng": rng, "strata": time if strata else None}
        p = permutation_p(x, y, **options)[:, 0]
        # jitter fills the steps of 1 / 400; the genes share y, and are independent given it
        fine = p - rng.uniform(size=g) / 400
        assert kstest(fine, "uniform").pvalue > 1e-3
        if strata:
            # without strata all of them would be found
            blind = permutation_p(x[:, :20], y, n_permutations=99, rng=rng)
            assert blind.max() == 0.01

    def test_all_orders_of_few_cells(self):
        # of the 24 orders of four cells, 1 2 3 4 and 4 3 2 1 bind as closely as observed
        x = np.arange(4.0)[:, None]
        p = permutation_p(x, x, n_permutations=20_000, rng=np.random.default_rng(0))
        assert p[0, 0] == pytest.approx(2 / 24, abs=3 * np.sqrt(2 / 24 / 20_000))

    @pytest.mark.parametrize("kind", SPARSE)
    def test_sparse_is_dense(self, kind, monkeypatch):
        monkeypatch.setattr(correlation_module, "_BLOCK", 400)
        x, y = expression()
        w = np.random.default_rng(1).uniform(size=len(x))
        found = [
            permutation_p(
                one,
                y,
                n_permutations=50,
                rng=np.random.default_rng(2),
                weights=w,
                strata=x[:, 0] > 0,
            )
            for one in (x, kind(x))
        ]
        np.testing.assert_array_equal(*found)

    def test_agrees_with_fisher_for_many_cells(self):
        x, y = expression(n=400, g=30, seed=4)
        exact = permutation_p(x, y, n_permutations=2000, rng=np.random.default_rng(0))
        fisher = correlations(x, y).p
        error = np.sqrt(fisher * (1 - fisher) / 2000)
        assert (np.abs(exact - fisher) < 4 * error + 0.01).all()

    def test_constant_genes(self):
        x, y = expression()
        x[:, 1] = 0.3
        p = permutation_p(x, y, n_permutations=9, rng=np.random.default_rng(0))
        assert np.isnan(p[1]).all()
        assert np.isfinite(np.delete(p, 1, 0)).all()

    def test_random_numbers_are_those_of_the_generator(self):
        x, y = expression()
        before = np.random.get_state()[1].copy()
        a, b, c = (
            permutation_p(x, y, n_permutations=99, rng=np.random.default_rng(seed))
            for seed in (0, 0, 1)
        )
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()
        np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_q_leaves_out_what_was_not_tested():
    p = np.random.default_rng(0).uniform(size=(50, 2)) ** 2
    expected = [false_discovery_control(p[:, 0]), false_discovery_control(p[::2, 1])]
    p[1::2, 1] = np.nan
    q = false_discovery(p)
    np.testing.assert_array_equal(q[:, 0], expected[0])
    np.testing.assert_array_equal(q[::2, 1], expected[1])
    assert np.isnan(q[1::2, 1]).all()
    assert np.isnan(false_discovery(np.full((3, 1), np.nan))).all()


def test_what_cannot_be_used_is_refused():
    x, y = expression()
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="x has 60 cells; y must have as many rows"):
        correlations(x, y[:-1])
    with pytest.raises(ValueError, match="NaN or infinite"):
        correlations(x, np.full((60, 1), np.nan))
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1; found 95"):
        correlations(x, y, confidence=95)
    with pytest.raises(ValueError, match="n_permutations must be at least 1"):
        permutation_p(x, y, n_permutations=0, rng=rng)
    with pytest.raises(ValueError, match="one label for each of 60 cells; found 2"):
        permutation_p(x, y, n_permutations=9, rng=rng, strata=np.arange(2))
