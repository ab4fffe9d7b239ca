"""What a bootstrap draws: whole samples, within what they vary in."""

import math

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from celltraj._stats.interval import percentile_interval, student_interval
from celltraj._stats.units import Units

TIMES = np.repeat([0.0, 1.0], 12)


def test_samples_of_one_time_are_drawn_within_it_and_whole():
    names = [f"m{time:g}.{k % 4}" for k, time in enumerate(TIMES)]
    units = Units.of(TIMES, names)
    assert [len(one) for one in units.strata] == [4, 4]
    rng = np.random.default_rng(0)
    for _ in range(20):
        drawn = units.draw(rng)
        assert np.bincount(TIMES[drawn.rows].astype(int)).tolist() == [12, 12]
        own = np.array(names)[drawn.rows]
        for name in set(own):
            assert (own == name).sum() % 3 == 0
            assert set(drawn.copies[own == name]) == set(range((own == name).sum() // 3))


def test_samples_that_are_followed_keep_their_times():
    names = np.array([f"d{k % 4}" for k in range(24)])
    units = Units.of(TIMES, names)
    drawn = units.draw(np.random.default_rng(1))
    first, second = (names[drawn.rows[TIMES[drawn.rows] == time]] for time in (0, 1))
    assert sorted(first) == sorted(second)


def test_unequal_patterns_are_drawn_among_themselves_or_all_together():
    both = ["a", "b", "c"] * 8
    assert len(Units.of(TIMES, both).strata) == 1
    mixed = ["a", "b", "c", "d", "e", "f"] * 2 + ["a", "b", "c", "g", "h", "i"] * 2
    assert sorted(map(len, Units.of(TIMES, mixed).strata)) == [3, 3, 3]
    odd = ["a", "b", "c", "d"] * 3 + ["a", "b", "c"] * 4
    units = Units.of(TIMES, odd)
    assert list(map(len, units.strata)) == [4]
    rng = np.random.default_rng(0)
    assert all(len(np.unique(TIMES[units.draw(rng).rows])) == 2 for _ in range(50))


def test_few_samples_are_refused_with_their_number():
    with pytest.raises(ValueError, match=r"at least 3 samples.*found at times {'1': 2}"):
        Units.of(TIMES, ["a", "b", "c"] * 4 + ["d", "e"] * 6)


def test_students_interval_of_a_mean_is_students():
    x = np.random.default_rng(0).normal(size=5)
    rng = np.random.default_rng(1)
    draws = np.array([x[rng.integers(5, size=5)].mean() for _ in range(20_000)])[:, None]
    error, low, high = student_interval(x.mean(keepdims=True), draws, 5, 0.95)
    expected = ttest_1samp(x, 0).confidence_interval(0.95)
    # a standard deviation of 20,000 draws is known to half a per cent
    assert error[0] == pytest.approx(x.std(ddof=1) / math.sqrt(5), rel=0.02)
    assert (low[0], high[0]) == pytest.approx(tuple(expected), abs=0.02 * (high[0] - low[0]))
    assert (high[0] - low[0]) / 2 == pytest.approx(error[0] * t.ppf(0.975, 4))


def test_missing_numbers_do_not_count():
    draws = np.array([[0.0, np.nan], [2.0, np.nan], [np.nan, 1.0]])
    error, low, high = student_interval(np.ones(2), draws, 10**6, 0.95)
    assert error[0] == pytest.approx(math.sqrt(2), rel=1e-5)
    assert np.isnan(error[1])
    low, high = percentile_interval(draws, 0.5)
    assert np.isfinite([low, high]).all()
