"""Tests by flipped signs: the Wald statistic, its size, and that units and scales do not matter."""

import numpy as np
import pytest
import torch
from scipy.stats import chi2, wilcoxon

from celltraj._stats.sign_flips import sign_flip_p, wald, z_scores


def draws(n, q, seed):
    return torch.randn(n, q, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_the_statistic_is_that_of_the_moments_and_no_scale_matters():
    g = draws(50, 3, 0)
    total = g.sum(0)
    expected = float(total @ torch.linalg.solve(g.T @ g, total))
    assert wald(g)[0] == pytest.approx(expected)
    turned = g @ draws(3, 3, 1)
    assert wald(turned)[0] == pytest.approx(expected)
    # a moment that repeats another, or is zero for all, adds nothing
    more = torch.cat([g, g[:, :1] * 2, torch.zeros(50, 1)], 1)
    statistic, white = wald(more)
    assert statistic == pytest.approx(expected)
    assert white.shape[1] == 3
    assert np.isnan(z_scores(more)[-1])


def test_p_is_that_of_chi_square_for_many_units():
    g = draws(2000, 4, 2) + 0.04
    statistic, white = wald(g)
    p = sign_flip_p(white, generator=torch.Generator().manual_seed(0))
    expected = chi2.sf(statistic, 4)
    assert p == pytest.approx(expected, abs=3 * np.sqrt(expected * (1 - expected) / 1999) + 0.003)


def test_all_signs_of_few_units_are_exact():
    g = torch.tensor([[1.0], [1.2], [0.9], [1.1]], dtype=torch.float64)
    p = sign_flip_p(wald(g)[1], generator=torch.Generator().manual_seed(0))
    # only all plus and all minus reach as far: 2 of 16, as the signed ranks of scipy say
    assert p == pytest.approx(wilcoxon(g[:, 0].numpy()).pvalue, abs=0.025)
