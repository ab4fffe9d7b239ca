"""Rates of birth and death against their closed form."""

import numpy as np
import pytest

from celltraj.models import BirthDeath


def test_rates_at_known_scores():
    rates = BirthDeath()
    # half way at the centre, and (1 + tanh 1) / 2 of the way half a width above it
    up = 0.3 + 1.4 * (1 + np.tanh(1.0)) / 2
    np.testing.assert_allclose(rates.birth(np.array([0.25, 0.5])), [1.0, up], rtol=1e-12)
    np.testing.assert_allclose(rates.death(np.array([0.1, 0.2])), [1.0, up], rtol=1e-12)
    # the slope at the centre is the rise over the width
    step = 1e-6
    slope = np.diff(rates.birth(np.array([0.25 - step, 0.25 + step])))[0] / (2 * step)
    assert abs(slope - 1.4 / 0.5) < 1e-6


def test_rates_stay_between_their_bounds_and_rise():
    scores = np.linspace(-5, 5, 201)
    rates = BirthDeath(birth_min=0.1, birth_max=2.0, death_min=0.0, death_max=0.5)
    for found, low, high in (
        (rates.birth(scores), 0.1, 2.0),
        (rates.death(scores), 0.0, 0.5),
    ):
        assert (np.diff(found) >= 0).all()
        np.testing.assert_allclose(found[[0, -1]], [low, high], atol=1e-12)
    # nothing overflows far outside
    assert rates.net(np.array([1e6]), np.array([-1e6])) == 2.0


def test_swapping_the_scores_changes_the_sign_where_both_laws_are_alike():
    rates = BirthDeath(death_center=0.25, death_width=0.5)
    s, a = np.random.default_rng(0).normal(size=(2, 20))
    np.testing.assert_allclose(rates.net(s, a), -rates.net(a, s), rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"birth_min": -0.1}, "birth_min and birth_max must be rates per day"),
        ({"death_min": 2.0}, "death_min and death_max must be rates per day"),
        ({"birth_max": np.inf}, "birth_max must be finite; found inf"),
        ({"birth_max": np.nan}, "birth_max must be finite; found nan"),
        ({"death_center": np.nan}, "death_center must be finite"),
        ({"birth_width": 0.0}, "birth_width must be positive; found 0.0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        BirthDeath(**options)
