"""Distances between parts against closed forms of normal laws, and the test against its level."""

import math

import numpy as np
import pytest
from scipy.stats import f_oneway, norm

from celltraj.models.replicates.apart import apart
from celltraj.models.replicates.spread import inflation, samples_p


def energy_of_normals(shift):
    """Return the energy distance of N(0, 1) and N(shift, 1) in one dimension."""

    def mean_distance(mu):
        sd = math.sqrt(2)
        folded = sd * math.sqrt(2 / math.pi) * math.exp(-(mu**2) / (2 * sd**2))
        return folded + mu * (1 - 2 * norm.cdf(-mu / sd))

    return math.sqrt(2 * mean_distance(shift) - 2 * mean_distance(0))


@pytest.mark.parametrize("shift", [0.5, 2.0])
def test_the_excess_is_the_energy_distance_of_the_laws(shift):
    rng = np.random.default_rng(0)
    found = [
        apart(
            [rng.normal(0, 1, (200, 1)), rng.normal(shift, 1, (200, 1))], max_cells=100, rng=rng
        ).excess
        for _ in range(12)
    ]
    error = np.std(found, ddof=1) / math.sqrt(12)
    # roots are averaged and not squares, which biases by less than a hundredth here
    assert np.mean(found) == pytest.approx(energy_of_normals(shift), abs=3 * error + 0.01)


def test_w1_between_is_the_shift_and_parts_of_one_law_are_at_the_floor():
    rng = np.random.default_rng(1)
    far = apart([rng.normal(0, 1, (400, 1)), rng.normal(9, 1, (400, 1))], max_cells=200, rng=rng)
    # the difference of the means of 200 cells has a standard error of .1
    assert far.between["W1"] == pytest.approx(9, abs=0.3)
    same = [
        apart([rng.normal(size=(100, 2)) for _ in range(4)], max_cells=50, rng=rng)
        for _ in "abcdefgh"
    ]
    ratios = [one.between["W1"] / one.within["W1"] for one in same]
    assert np.mean(ratios) == pytest.approx(1, abs=4 * np.std(ratios, ddof=1) / math.sqrt(8))


def test_sides_are_of_half_the_smallest_part_and_moves_change_nothing():
    x = np.random.default_rng(2).normal(size=(90, 2))
    parts = [x[:20], x[20:]]
    one = apart(parts, max_cells=300, rng=np.random.default_rng(0))
    moved = apart([part + 100 for part in parts], max_cells=300, rng=np.random.default_rng(0))
    assert one.n_cells == moved.n_cells == 10
    assert moved.between["W1"] == pytest.approx(one.between["W1"])
    assert apart(parts, max_cells=4, rng=np.random.default_rng(0)).n_cells == 4
    with pytest.raises(ValueError, match="two parts of two cells or more"):
        apart([x, x[:1]], max_cells=5, rng=np.random.default_rng(0))


def test_inflation_is_the_root_of_f_where_samples_are_equally_large():
    rng = np.random.default_rng(3)
    parts = [rng.normal(shift, 1, (30, 1)) for shift in (0.0, 0.4, 1.0)]
    expected = f_oneway(*(one[:, 0] for one in parts)).statistic
    assert inflation(parts) ** 2 == pytest.approx(expected)
    assert math.isnan(inflation(parts[:1]))
    assert math.isnan(inflation([np.zeros((5, 1)), np.ones((5, 1))]))


def test_p_holds_its_level_and_finds_what_means_do_not_tell():
    rng = np.random.default_rng(4)
    p = [
        samples_p([rng.normal(size=(15, 2)) for _ in range(3)], n_permutations=39, rng=rng)
        for _ in range(150)
    ]
    # 150 cases: a share of .1 has a standard error of .025
    assert abs(np.mean(np.array(p) <= 0.1) - 0.1) < 3 * 0.025
    wide = [rng.normal(0, 1, (80, 2)), rng.normal(0, 3, (80, 2))]
    assert samples_p(wide, n_permutations=99, rng=rng) == 0.01
