"""Correlations over samples: Student's test that scipy finds too, and signs by hand."""

import numpy as np
import pytest
from scipy.sparse import csc_matrix, csr_array
from scipy.stats import pearsonr, ttest_1samp

from celltraj._stats import mean_difference as difference_module
from celltraj._stats.correlation import correlations
from celltraj._stats.sample_correlation import sample_correlations, sign_p


def cells(seed=0, n_samples=5, n=12):
    rng = np.random.default_rng(seed)
    samples = np.repeat(np.arange(n_samples), n)
    x = np.maximum(rng.normal(size=(len(samples), 6)), 0)
    y = x[:, :1] + rng.normal(size=(len(samples), 2))
    return x, y, samples


@pytest.mark.parametrize("confidence", [0.95, 0.5])
def test_scipy_finds_the_same(confidence):
    x, y, samples = cells()
    found, z = sample_correlations(x, y, samples, confidence=confidence)
    for gene, column in np.ndindex(found.value.shape):
        r = [pearsonr(x[samples == s, gene], y[samples == s, column]).statistic for s in range(5)]
        np.testing.assert_allclose(z[:, gene, column], np.arctanh(r), rtol=1e-9)
        expected = ttest_1samp(np.arctanh(r), 0)
        interval = np.tanh(expected.confidence_interval(confidence))
        ours = [one[gene, column] for one in (found.lower, found.upper, found.p, found.value)]
        theirs = [*interval, expected.pvalue, np.tanh(np.mean(np.arctanh(r)))]
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@pytest.mark.parametrize("kind", [csc_matrix, csr_array])
def test_sparse_is_dense(kind):
    x, y, samples = cells()
    strata = np.tile([0, 1, 1], 20)
    dense, z = sample_correlations(x, y, samples, strata=strata)
    sparse, other = sample_correlations(kind(x), y, samples, strata=strata)
    np.testing.assert_allclose(other, z, rtol=1e-9)
    np.testing.assert_allclose(sparse.p, dense.p, rtol=1e-9)


def test_neither_samples_nor_strata_count_by_their_means():
    x, y, samples = cells()
    strata = np.tile([0, 1, 1], 20)
    expected, _ = sample_correlations(x, y, samples, strata=strata)
    shift = (10 * samples + 3 * strata)[:, None]
    found, _ = sample_correlations(x + shift, y - 2 * shift, samples, strata=strata)
    np.testing.assert_allclose(found.p, expected.p, rtol=1e-8)


def test_a_gene_that_is_the_number_in_every_sample():
    x, _, samples = cells()
    found, _ = sample_correlations(x, x[:, :1], samples)
    ours = [one[0, 0] for one in (found.value, found.lower, found.upper, found.p)]
    np.testing.assert_allclose(ours, [1, 1, 1, 0], atol=1e-6)


def test_a_gene_that_is_constant_in_samples():
    x, y, samples = cells()
    x[samples < 3, 1] = 0.1
    x[samples < 4, 2] = 0.1
    x[:, 3] = 0.1
    found, z = sample_correlations(x, y, samples)
    assert np.isfinite(z).sum(0)[1:4, 0].tolist() == [2, 1, 0]
    assert np.isfinite(found.value[:, 0]).tolist() == [True, True, True, False, True, True]
    for one in (found.p, found.lower, sign_p(z, n_permutations=9, rng=np.random.default_rng(0))):
        assert np.isfinite(one[:, 0]).tolist() == [True, True, False, False, True, True]


def test_signs_by_hand(monkeypatch):
    # 1 2 -4: of eight signs, sums are 7 (2), 5 (2), 3 (2) and 1 (2)
    z = np.array([1.0, 2, -4])[:, None, None] * np.array([1.0, 2, 3])[:, None]
    z[:, 1] = np.abs(z[:, 1])
    z[0, 2] = np.nan  # 6 -12: sums of 18 (2) and 6 (2) of four
    for block in (1 << 22, 1):  # all genes at once, or one after the other
        monkeypatch.setattr(difference_module, "_BLOCK", block)
        p = sign_p(z, n_permutations=9, rng=np.random.default_rng(0))
        assert p.ravel().tolist() == [1.0, 0.25, 1.0]


class TestStrata:
    def test_two_strata_are_two_centred_pieces(self):
        x, y, _ = cells()
        strata = np.tile([0, 1, 1], 20)
        found = correlations(x, y, strata=strata).value
        for s in (0, 1):
            x[strata == s] -= x[strata == s].mean(0)
            y[strata == s] -= y[strata == s].mean(0)
        np.testing.assert_allclose(found[2, 1], pearsonr(x[:, 2], y[:, 1]).statistic, rtol=1e-9)

    def test_strata_of_one_spread_are_a_partial_correlation(self):
        # a stratum twice, far apart: as many degrees of freedom as a regression on the strata has
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(15, 1)), rng.normal(size=(15, 1))
        strata = np.repeat([0, 1], 15)
        both = correlations(np.vstack([x, x + 9]), np.vstack([y, y - 7]), strata=strata)
        r = pearsonr(x[:, 0], y[:, 0]).statistic
        assert both.value.item() == pytest.approx(r)
        freedom = 30 - 2 - 1
        half = np.sqrt(1 / (freedom - 1))
        low = np.arctanh(both.lower.item())
        assert np.arctanh(r) - low == pytest.approx(1.959964 * half, rel=1e-6)

    def test_a_stratum_of_one_cell_or_without_spread_does_not_count(self):
        x, y, _ = cells()
        expected = correlations(x, y)
        more_x, more_y = np.vstack([x, [[99.0] * 6]]), np.vstack([y, [[-50.0] * 2]])
        strata = np.append(np.zeros(len(x)), 1)
        found = correlations(more_x, more_y, strata=strata)
        np.testing.assert_allclose(found.value, expected.value, rtol=1e-9)
        np.testing.assert_allclose(found.p, expected.p, rtol=1e-9)
        flat_x = np.vstack([x, np.full((40, 6), 99.0)])
        flat_y = np.vstack([y, np.full((40, 2), 5.0)])
        found = correlations(flat_x, flat_y, strata=np.repeat([0, 1], [len(x), 40]))
        np.testing.assert_allclose(found.p, expected.p, rtol=1e-9)
