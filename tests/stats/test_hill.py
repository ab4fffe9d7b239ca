"""Curves over doses, of which every number is known."""

import numpy as np
import pytest
from scipy.integrate import quad

from celltraj._stats.hill import HillCurve, fit_hill

DOSES = np.geomspace(0.01, 100, 9)


@pytest.mark.parametrize("slope", [0.6, 1.0, 2.5])
@pytest.mark.parametrize(("bottom", "top"), [(0.0, 1.0), (0.1, 0.9), (0.0, -3.0), (2.0, 0.5)])
def test_a_curve_without_noise_is_found(slope, bottom, top):
    found = fit_hill(DOSES, HillCurve(bottom, top, 2.0, slope).at(DOSES), bottom=bottom)
    assert found.half_dose == pytest.approx(2.0, rel=1e-3)
    assert found.slope == pytest.approx(slope, rel=1e-3)
    assert found.top == pytest.approx(top, abs=1e-3)
    assert found.bottom == bottom


def test_the_unit_of_doses_and_of_the_effect_carries_through():
    rng = np.random.default_rng(0)
    values = HillCurve(0.0, 1.0, 2.0, 1.2).at(DOSES) + rng.normal(0, 0.03, len(DOSES))
    one = fit_hill(DOSES, values, bottom=0.0)
    other = fit_hill(1000 * DOSES, 5 * values + 1, bottom=1.0)
    assert other.half_dose == pytest.approx(1000 * one.half_dose, rel=1e-4)
    assert other.slope == pytest.approx(one.slope, rel=1e-4)
    assert other.top == pytest.approx(5 * one.top + 1, rel=1e-4)
    # of 9 doses with a noise of 3 % the half-maximal dose is known to some tenths
    assert one.half_dose == pytest.approx(2.0, rel=0.25)


@pytest.mark.parametrize("slope", [0.5, 1.0, 4.0])
def test_the_area_is_the_integral_over_the_logarithm(slope):
    curve = HillCurve(0.2, 1.5, 3.0, slope)
    low, high = 0.1, 50.0
    whole = quad(lambda log: curve.at(np.exp(log)) - 0.2, np.log(low), np.log(high))[0]
    assert curve.area(low, high) == pytest.approx(whole / np.log(high / low), rel=1e-8)


def test_a_dose_of_zero_is_the_control():
    curve = HillCurve(0.3, 1.0, 2.0, 1.5)
    assert curve.at([0.0]).tolist() == [0.3]
    assert curve.at([2.0]) == pytest.approx(0.65)
    with pytest.raises(ValueError, match="is the control"):
        fit_hill(np.array([0.0, 1, 2]), np.zeros(3), bottom=0.0)
    with pytest.raises(ValueError, match="three positive doses"):
        fit_hill(np.array([1.0, 1, 2]), np.zeros(3), bottom=0.0)


def test_no_effect_has_no_curve():
    assert fit_hill(DOSES, np.full(len(DOSES), 0.1), bottom=0.1) is None
