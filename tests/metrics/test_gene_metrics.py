"""Scores of predicted expression, against closed forms and other implementations."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, pearsonr

from celltraj.metrics import (
    GeneChanges,
    de_direction_match,
    de_overlap,
    differential_expression,
    discrimination_score,
    pearson_delta,
    pseudobulk_mae,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def expression(rng, n, rates):
    return np.log1p(rng.poisson(rates, size=(n, len(rates)))).astype(float)


def test_changes_are_those_of_each_gene_alone(rng):
    x, y = expression(rng, 30, [0.5, 2, 5, 1]), expression(rng, 40, [0.5, 1, 9, 1])
    x[:, 3] = y[:, 3] = 0
    y[:, 0] = 0
    found = differential_expression(x, y)
    for k in range(3):
        assert found.p_value[k] == pytest.approx(mannwhitneyu(x[:, k], y[:, k]).pvalue)
    assert found.p_value[3] == 1
    geometric = [np.exp(np.mean(cells[:, 2])) - 1 for cells in (x, y)]
    assert found.log2_fold_change[2] == pytest.approx(np.log2(geometric[0] / geometric[1]))
    assert found.log2_fold_change[[0, 3]].tolist() == [np.inf, 0]


def test_rates_of_false_discoveries_are_those_of_the_step_up_procedure(rng):
    x = expression(rng, 30, np.linspace(1, 3, 1200))
    found = differential_expression(x, expression(rng, 30, np.ones(1200)))  # in three blocks
    order = np.argsort(found.p_value)
    ranked = found.p_value[order] * 1200 / np.arange(1, 1201)
    expected = np.minimum.accumulate(ranked[::-1])[::-1]
    np.testing.assert_allclose(found.fdr[order], np.minimum(expected, 1))
    assert found.significant[-400:].mean() > 0.9


def test_values_below_zero_are_refused(rng):
    with pytest.raises(ValueError, match="must not be below zero"):
        differential_expression(rng.normal(size=(5, 2)), np.ones((5, 2)))


def test_correlation_of_changes_is_pearsons(rng):
    x, y, z = (rng.normal(size=(n, 20)) for n in (5, 6, 7))
    expected = pearsonr(x.mean(0) - z.mean(0), y.mean(0) - z.mean(0)).statistic
    assert pearson_delta(x, y, z) == pytest.approx(expected)
    assert pseudobulk_mae(x, y) == pytest.approx(np.abs(x.mean(0) - y.mean(0)).mean())
    assert np.isnan(pearson_delta(z, y, z))


def test_changes_are_told_apart_by_how_many_are_nearer():
    observed = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 10.0]])
    # the first is nearest to the second, then to its own
    found = discrimination_score(np.array([[3.0, 0.0], [4.0, 0.0], [0.0, 9.0]]), observed)
    np.testing.assert_allclose(found, [2 / 3, 1, 1])
    # two observed changes that are the same cannot be told apart
    same = discrimination_score(observed[:2], np.zeros((2, 2)))
    np.testing.assert_allclose(same, [0.75, 0.75])
    with pytest.raises(ValueError, match="the same treatments"):
        discrimination_score(observed[:1], observed[:1])


def test_what_tells_nothing_apart_scores_as_by_chance(rng):
    n = 400
    found = discrimination_score(np.zeros((n, 3)), rng.normal(size=(n, 3))).mean()
    assert found == pytest.approx((n + 1) / (2 * n))


def test_overlap_and_direction_by_hand():
    zero, called = np.zeros(5), np.array([0.01, 0.01, 0.01, 0.5, 0.5])
    observed = GeneChanges(np.array([5.0, -4, 3, 9, 0]), zero, called)
    predicted = GeneChanges(np.array([0.1, -4, -3, 2, 9]), zero, zero)
    # predicted order: gene 4, 1, 2, 3, 0; observed: 0, 1, 2
    assert de_overlap(predicted, observed) == pytest.approx(2 / 3)
    assert de_overlap(predicted, observed, n_genes=1) == 0
    assert de_overlap(predicted, observed, n_genes=100) == pytest.approx(2 / 3)
    assert de_direction_match(predicted, observed) == pytest.approx(2 / 3)
    none = GeneChanges(zero, zero, zero + 1)
    assert np.isnan(de_overlap(predicted, none))
    assert np.isnan(de_direction_match(predicted, none))
    assert de_overlap(none, observed) == 0
    with pytest.raises(ValueError, match="changes of 5 genes"):
        de_overlap(predicted, GeneChanges(zero[:2], zero[:2], zero[:2]))
    with pytest.raises(ValueError, match="at least 1"):
        de_overlap(predicted, observed, n_genes=0)
