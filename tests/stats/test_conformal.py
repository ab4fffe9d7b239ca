"""Intervals over populations: how often they hold what is drawn from a known law."""

import math

import numpy as np
import pytest

from celltraj._stats.conformal import check_confidence, jackknife_plus, split_interval

N_DRAWS = 4000


def rate(hits):
    """Return how often, and three standard errors of it."""
    return hits.mean(), 3 * math.sqrt(0.25 / hits.size)


@pytest.mark.parametrize(("n", "confidence"), [(4, 0.8), (8, 0.8), (19, 0.9), (40, 0.8)])
def test_split_intervals_hold_the_share_that_ranks_say(n, confidence):
    # of exchangeable populations every rank of the new one is as likely
    missed = np.abs(np.random.default_rng(n).standard_t(3, size=(n + 1, N_DRAWS)))
    low, high = split_interval(np.zeros(N_DRAWS), missed[:n], confidence=confidence)
    np.testing.assert_allclose(low, -high)
    found, error = rate(missed[n] <= high)
    assert found == pytest.approx(math.ceil(confidence * (n + 1) - 1e-9) / (n + 1), abs=error)


@pytest.mark.parametrize(("n", "confidence"), [(8, 0.8), (24, 0.9)])
def test_jackknife_intervals_of_means_hold_what_they_say(n, confidence):
    x = np.random.default_rng(n).exponential(size=(n + 1, N_DRAWS))
    mean_without = (x[:n].sum(0) - x[:n]) / (n - 1)
    missed = np.abs(x[:n] - mean_without)
    low, high = jackknife_plus(mean_without, missed, confidence=confidence)
    found, error = rate((low <= x[n]) & (x[n] <= high))
    assert found >= confidence - error
    assert found <= confidence + 1 / (n + 1) + error


def test_jackknife_of_models_that_agree_is_split():
    rng = np.random.default_rng(0)
    missed, mean = np.abs(rng.normal(size=(12, 5))), rng.normal(size=5)
    one = jackknife_plus(np.tile(mean, (12, 1)), missed, confidence=0.8)
    np.testing.assert_allclose(one, split_interval(mean, missed, confidence=0.8))


def test_the_least_honest_error_rate_is_told():
    with pytest.raises(ValueError, match=r"8 populations give no 90% interval.*= 11.1%.*0.88"):
        check_confidence(8, 0.9)
    with pytest.raises(ValueError, match="or 9 populations"):
        split_interval(np.zeros(1), np.zeros((8, 1)), confidence=0.9)
    check_confidence(9, 0.9)
    check_confidence(8, 0.88)
    check_confidence(4, 0.8)
    with pytest.raises(ValueError, match="no population to calibrate by"):
        jackknife_plus(np.zeros((0, 1)), np.zeros((0, 1)), confidence=0.5)
