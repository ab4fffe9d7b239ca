"""What a survey holds out and from what, and what is said of findings that are known."""

import numpy as np
import pytest
import torch

from celltraj.models import SplineInterpolant
from celltraj.models.evaluation import Advice, Finding, Preview, Survey, exact_plans
from celltraj.ot import solve
from celltraj.snapshots import Snapshots

SPLINE = Preview(lambda snapshots: SplineInterpolant(), solve, growth=None, sigma=0.1)
CALLS = {"flow": "flow()", "splines": "splines()", "straight lines": "lines()"}
CALLS |= {"displacement": "interpolate()"}


def steady(n_times, *, n=60, d=2):
    x = torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    times = tuple(map(float, range(n_times)))
    return Snapshots(times, tuple(x + k for k in range(n_times)))


@pytest.mark.parametrize(
    ("n_times", "held"),
    [(2, ()), (3, (1.0,)), (9, tuple(range(1, 8))), (10, (1, 3, 4, 6, 8)), (12, (1, 3, 6, 8, 10))],
)
def test_all_inner_times_are_held_out_of_a_long_course_five(n_times, held):
    found = Survey(steady(n_times, n=3), {}, 1, 0).times
    assert len(found) == len(held)
    np.testing.assert_allclose(found, held, atol=1)
    assert found == tuple(sorted(set(found)))


@pytest.mark.parametrize(
    ("time", "beside"),
    [
        (1.0, (0.0, 2.0, 3.0, 4.0, 5.0, 6.0)),
        (6.0, (3.0, 4.0, 5.0, 7.0, 8.0, 9.0)),
        (10.0, (5.0, 6.0, 7.0, 8.0, 9.0, 11.0)),
    ],
)
def test_a_time_is_predicted_from_those_beside_it(time, beside, monkeypatch):
    seen = []

    def exact(train):
        seen.append(train.times)
        return exact_plans(train)

    monkeypatch.setattr("celltraj.models.evaluation.survey.exact_plans", exact)
    list(Survey(steady(12, n=5), {"spline": SPLINE}, 1, 0).judge(time))
    assert seen == [beside]


def test_draws_are_drawn_anew_and_follow_the_seed():
    def value(seed, draw):
        survey = Survey(steady(4), {"spline": SPLINE}, 2, seed)
        found = [one for one in survey.judge(1.0) if one.method == "spline"]
        return [one.value for one in found if one.draw == draw]

    assert value(0, 0) != value(0, 1)
    assert value(0, 1) == value(1, 0)


def told(w1, *, energy=None, n=60, d=2):
    """Return advice on distances at four held-out times, by method."""
    rows = {"floor": [1.0] * 4, "previous": [9.0] * 4, "displacement": [4.0] * 4}
    rows |= {"flow": [3.0] * 4, "splines": [4.0] * 4, "straight lines": [4.0] * 4} | w1
    energies = dict.fromkeys(rows, [0.5] * 4) | (energy or {})
    findings = [
        Finding(name, float(k + 1), 0, metric, value)
        for metric, values in (("W1", rows), ("energy", energies))
        for name, numbers in values.items()
        for k, value in enumerate(numbers)
    ]
    ratio = [Finding(name, 1.0, 0, "variance_ratio", 1.0) for name in rows if name != "floor"]
    return Advice([*findings, *ratio], steady(6, n=n, d=d), CALLS)


def test_the_default_is_kept_in_doubt():
    advice = told({"splines": [2.0, 4.5, 3.0, 2.0]})
    assert advice.choice.name == "flow"
    assert advice.sentence() == (
        "flow(): over 4 held-out times no other candidate is surely nearer (the best other, "
        "'splines', is nearer at 2 of 4, in the mean nearer by 0.125, 6% of what 'flow' has above "
        "the floor, 0.2 standard errors). It is nearer than the best row without a model, "
        "'displacement' (nearer at 4 of 4, in the mean by 1, inf standard errors)."
    )


def test_what_is_surely_nearer_is_preferred():
    advice = told({"splines": [2.0, 2.2, 2.0, 2.1]})
    table = advice.table().set_index("method")
    assert table["recommended"].idxmax() == "splines"
    assert advice.sentence().startswith(
        "splines(): 'splines' is nearer than the default 'flow' at 4 of 4 held-out times, in the "
    )
    assert table.loc["splines", "excess"] == pytest.approx(1.075 / 3)
    assert table.loc["splines", "won"] == 4
    assert np.isnan(table.loc["flow", "margin"])
    narrow = told({"splines": [2.0, 2.2, 2.0, 2.1]}, energy={"splines": [0.9] * 4})
    assert narrow.choice.name == "flow"


def test_straight_lines_are_named_where_nothing_beats_them():
    better = told({"displacement": [2.0, 2.1, 2.0, 2.2]})
    assert better.sentence().startswith("interpolate(): 'displacement' is nearer than the default")
    as_good = told({"straight lines": [3.0, 3.1, 2.8, 3.0]})
    assert as_good.sentence().endswith(
        "No nearer than 'straight lines', which is simpler: lines()."
    )
    unsure = told({"straight lines": [2.0, 4.5, 3.0, 3.0]})
    assert "Not surely nearer than 'straight lines', which is simpler" in unsure.sentence()


def test_cells_at_the_floor_rank_nothing():
    advice = told({"displacement": [1.1] * 4, "splines": [1.0] * 4})
    assert advice.choice.name == "flow"
    assert "within 15% of the floor: these cells rank nothing" in advice.sentence()


def test_few_cells_and_many_dimensions_are_told():
    sentence = told({}, n=49, d=11, energy={"splines": [0.1] * 4}).sentence()
    assert "by the energy distance the nearest candidate is 'splines'." in sentence
    assert "Few cells (49 at time 0, 49 at time 1" in sentence
    assert "Few cells" not in told({}, n=50).sentence()
