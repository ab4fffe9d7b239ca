"""Calibrated shares: exact widths, coverage of new units, and what a constant does."""

import math

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from celltraj._stats.calibration import Told, calibrated, judged, reliability
from celltraj._stats.conformal import grouped_reach, split_interval


def clones(n, rng, *, most=8, noise=0.5):
    """Return predictions that are too sure, of clones whose fate depends on their state."""
    cells = rng.integers(1, most + 1, n)
    z = rng.normal(0, 1.5, n)
    y = rng.binomial(5, 1 / (1 + np.exp(-1.5 * z))) / 5
    unit = np.repeat(np.arange(n), cells)
    m = 1 / (1 + np.exp(-(4 * (z[unit] + rng.normal(0, noise, len(unit))) + 1)))
    return Told(m[:, None], y[unit][:, None], unit)


def fitted(told, seed=0, confidence=0.9):
    generator = np.random.default_rng(seed)
    return calibrated(told, confidence=confidence, noun="clones", generator=generator)


def test_with_one_cell_a_unit_the_reach_is_that_of_split_conformal():
    missed = np.random.default_rng(0).exponential(size=37)
    for confidence in (0.5, 0.8, 0.9, 0.95):
        _, high = split_interval(np.zeros(1), missed[:, None], confidence=confidence)
        assert grouped_reach(missed, np.arange(37), confidence=confidence) == high[0]


def test_a_unit_counts_once_however_many_cells_it_has():
    missed = np.arange(1.0, 10)
    many = np.concatenate([missed, np.full(500, 3.0)])
    units = np.concatenate([np.arange(9), np.full(500, 2)])
    assert grouped_reach(many, units, confidence=0.8) == 8.0
    assert grouped_reach(missed, np.arange(9), confidence=0.95) == math.inf


def test_the_map_is_isotonic_regression_in_which_units_count_alike():
    told = clones(200, np.random.default_rng(1))
    found, _, constant = fitted(told)
    units = np.random.default_rng(0).permutation(200)
    teaching = told.of(units[40:120])
    other = IsotonicRegression(out_of_bounds="clip").fit(
        teaching.predicted[:, 0], teaching.truth[:, 0], sample_weight=teaching.weights
    )
    grid = np.linspace(0, 1, 50)
    np.testing.assert_allclose(found.mean(grid[:, None])[:, 0], other.predict(grid), atol=1e-9)
    by_unit = [told.truth[told.unit == k, 0].mean() for k in units[40:120]]
    assert constant[0] == pytest.approx(np.mean(by_unit))


def test_intervals_hold_new_units_as_often_as_they_say():
    held, gain = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found, _, constant = fitted(clones(300, rng), seed)
        verdict = judged(clones(1000, rng), found, constant)
        held.append(verdict.coverage[0])
        gain.append([verdict.error_before[0], verdict.error_constant[0], verdict.error[0]])
    # fates in fifths of a clone leave ties, which only widen; .9 within two standard errors
    error = np.std(held, ddof=1) / math.sqrt(20)
    assert 0.9 - 2 * error <= np.mean(held) <= 0.96
    before, constant, after = np.mean(gain, 0)
    assert after < 0.7 * before
    assert after < 0.5 * constant


def test_a_truth_without_ties_is_held_in_ninety_of_a_hundred():
    held = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        new = []
        for n in (300, 1000):
            cells = rng.integers(1, 6, n)
            unit = np.repeat(np.arange(n), cells)
            z = rng.uniform(0.3, 0.7, n)
            m = z[unit] ** 3
            y = np.clip(z + rng.normal(0, 0.08, n), 0, 1)[unit]
            new.append(Told(m[:, None], y[:, None], unit))
        found, _, constant = fitted(new[0], seed)
        held.append(judged(new[1], found, constant).coverage[0])
    # a share of 120 units: sd of a coverage is sqrt(.9 .1 / 120) = .027, of a mean of 20 .006
    assert np.mean(held) == pytest.approx(0.91, abs=0.02)


def test_no_unit_is_on_two_sides():
    told = clones(100, np.random.default_rng(2))
    _, aside, _ = fitted(told)
    assert len(np.unique(aside.unit)) == 20
    changed = Told(
        told.predicted,
        np.where(np.isin(told.unit, aside.unit)[:, None], 0.5, told.truth),
        told.unit,
    )
    one, two = fitted(told)[0], fitted(changed)[0]
    grid = np.linspace(0, 1, 30)[:, None]
    np.testing.assert_array_equal(one.interval(grid), two.interval(grid))


def test_two_shares_stay_one_in_sum():
    told = clones(100, np.random.default_rng(3))
    both = Told(*(np.column_stack([x, 1 - x]) for x in (told.predicted, told.truth)), told.unit)
    found, _, _ = fitted(both)
    np.testing.assert_allclose(found.mean(both.predicted).sum(1), 1)
    lone, _, _ = fitted(told)
    np.testing.assert_allclose(found.mean(both.predicted)[:, 0], lone.mean(told.predicted)[:, 0])


def test_a_constant_that_does_as_well_is_told():
    rng, n_told = np.random.default_rng(4), 0
    for seed in range(40):
        told = clones(100, rng)
        chance = Told(rng.uniform(size=told.predicted.shape), told.truth, told.unit)
        found, aside, constant = fitted(chance, seed)
        n_told += int(judged(aside, found, constant).beats_constant[0])
    assert n_told <= 5  # 1 in 20 by chance, at most
    found, aside, constant = fitted(clones(300, rng))
    assert judged(aside, found, constant).beats_constant[0]


def test_the_curve_of_what_is_right_lies_on_the_diagonal():
    rng = np.random.default_rng(5)
    m = rng.uniform(size=4000)
    told = Told(m[:, None], rng.binomial(1, m)[:, None].astype(float), np.arange(4000))
    found, aside, _ = fitted(told)
    curve = reliability(aside, found, 0, confidence=0.95)
    assert curve["n_units"].sum() == 800
    # a mean of 160 shares: standard error at most .5 / sqrt(160) = .04
    np.testing.assert_allclose(curve["before"], curve["observed"], atol=3.5 * 0.04)
    np.testing.assert_allclose(curve["after"], curve["observed"], atol=3.5 * 0.04)


def test_too_few_units_are_refused_with_the_least_honest_error_rate():
    told = clones(20, np.random.default_rng(6))
    with pytest.raises(ValueError, match=r"8 clones for the width.*20,.* 11.1%.* 9 clones"):
        fitted(told)
    with pytest.raises(ValueError, match="3 clones are too few"):
        fitted(told.of(np.arange(3)))
    fitted(told, confidence=0.88)
