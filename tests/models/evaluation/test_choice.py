"""The first of several candidates is kept unless another one is surely ahead."""

import math

import numpy as np
import pytest

from celltraj.models.evaluation.choice import choose, lead

FLOOR = np.zeros(4)
FIRST = np.array([1.0, 1.0, 1.0, 1.0])


def chosen(other, *, energy=None, floor=FLOOR):
    w1 = {"first": FIRST[: len(other)], "other": np.asarray(other, float)}
    same = dict.fromkeys(w1, np.zeros(len(other)))
    return choose(w1, same | (energy or {}), floor[: len(other)])


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ([0.9, 0.9, 0.9, 0.91], "other"),
        ([0.97, 0.97, 0.97, 0.96], "first"),  # surely nearer, but not by a twentieth
        ([0.2, 1.5, 1.5, 0.4], "first"),  # nearer by a tenth, and at half of the times further
        ([0.0], "first"),  # one held-out time says nothing of the others
        ([1.1, 1.1, 1.1, 1.1], "first"),
    ],
)
def test_another_is_chosen_where_it_is_surely_ahead(other, name):
    assert chosen(other).name == name


def test_the_twentieth_is_one_of_what_is_above_the_floor():
    assert chosen([0.97, 0.97, 0.97, 0.96], floor=FLOOR + 0.9).name == "other"


def test_a_candidate_that_is_too_narrow_is_not_chosen():
    worse = {"other": np.full(4, 0.1)}
    assert chosen([0.5, 0.5, 0.5, 0.6], energy=worse).name == "first"


def test_the_margin_is_over_the_best_of_the_others():
    found = chosen([0.8, 0.9, 0.8, 0.9])
    assert found.rival == "first"
    assert found.margin == pytest.approx(0.15 / (np.std([0.2, 0.1, 0.2, 0.1], ddof=1) / 2))
    kept = chosen([0.95, 1.01, 0.95, 1.01])  # a little nearer
    assert (kept.name, kept.rival) == ("first", "other")
    assert kept.margin < 0
    assert math.isnan(chosen([0.5]).margin)


def test_one_candidate_is_chosen_without_a_margin():
    found = choose({"only": FIRST}, {"only": FIRST}, FLOOR)
    assert (found.name, found.rival) == ("only", "")
    assert math.isnan(found.margin)


def test_equal_gains_are_as_sure_as_can_be():
    assert lead(np.ones(3)) == math.inf
    assert lead(-np.ones(3)) == -math.inf
    assert lead(np.zeros(3)) == 0


def test_the_unit_does_not_matter():
    gains = np.random.default_rng(0).normal(size=5)
    assert lead(7 * gains) == pytest.approx(lead(gains))
