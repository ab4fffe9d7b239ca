"""The schema of held-out scores, and how a table of them is read."""

import pandas as pd
import pytest

from celltraj.models.evaluation import COLUMNS, RESPONSE_COLUMNS, Score, ScoreTable, summarised


def times(values, metric="W1"):
    """Return scores from a dict of one value per held-out time for every method."""
    rows = [
        Score(method, float(k), metric, value)
        for method, numbers in values.items()
        for k, value in enumerate(numbers)
    ]
    return ScoreTable.of(rows, seed=0)


def test_columns_stand_in_one_order():
    plain = ScoreTable.of([Score("mine", 1.0, "W1", 0.5)], seed=3).frame
    assert tuple(plain) == COLUMNS == ("method", "held_out", "metric", "value", "seed")
    assert plain.iloc[0].tolist() == ["mine", 1.0, "W1", 0.5, 3]
    more = ScoreTable.of(
        [Score("mine", "a", "W1", 0.5, ("a", "drug"))], seed=3, extra=RESPONSE_COLUMNS
    )
    assert tuple(more.frame) == (*COLUMNS, "population", "condition")
    assert tuple(ScoreTable.of([], seed=0).frame) == COLUMNS


def test_a_table_knows_what_it_is_of():
    one = times({"mine": [1.0]})
    assert not one.is_response
    assert one.design.unit == "held_out"
    assert one.design.nothing == "previous"
    other = ScoreTable(one.frame.assign(population="a", condition="b"))
    assert other.is_response
    assert other.design.unit == "population"
    assert other.design.nothing == "no_change"


def test_what_lacks_a_column_is_refused():
    frame = times({"mine": [1.0]}).frame
    with pytest.raises(ValueError, match=r"lack the columns \['metric', 'seed'\]; make them with"):
        ScoreTable(frame.drop(columns=["metric", "seed"]))
    with pytest.raises(ValueError, match=r"\['condition'\]; make .*cross_validate_response$"):
        ScoreTable(frame.assign(population="a"))
    for old in ("time", "left_out"):
        with pytest.raises(ValueError, match=f"rename '{old}' of an older table to 'held_out'"):
            ScoreTable(frame.rename(columns={"held_out": old}))


def test_empty_values_are_left_out():
    one = times({"mine": [1.0, float("nan")], "other": [2.0, 3.0]})
    assert len(one.known().frame) == 3
    assert one.of_metric("W1").frame["method"].tolist() == ["mine", "other", "other"]
    with pytest.raises(ValueError, match=r"no metric 'W2'; found \['W1'\]"):
        one.of_metric("W2")
    with pytest.raises(ValueError, match="no rows with a value"):
        ScoreTable(one.frame.assign(value=float("nan"))).known()


VALUES = {
    "floor": [0.5, 0.5, 0.5],
    "previous": [4.0, 4.0, 4.0],
    "displacement": [2.0, 3.0, 1.0],
    "mine": [1.0, 1.0, 1.5],
}


def test_times_are_summed_up_against_the_best_trivial_row():
    found = summarised(times(VALUES)).set_index("method")
    assert set(found["trivial"]) == {"displacement"}
    assert (found["floor"] == 0.5).all()
    assert found["excess"].to_dict() == {
        "floor": -1.5,
        "previous": 2.0,
        "displacement": 0.0,
        "mine": pytest.approx(3.5 / 3 - 2),
    }
    assert found["won"].to_dict() == {"floor": 3, "previous": 0, "displacement": 0, "mine": 2}
    assert set(found["n_held_out"]) == {3}
    # 1 at the floor, 0 where cells stay
    assert found["skill"].to_dict() == {
        "floor": 1.0,
        "previous": 0.0,
        "displacement": pytest.approx(2 / 3.5),
        "mine": pytest.approx((4 - 3.5 / 3) / 3.5),
    }
    assert found.loc["displacement", ["excess_low", "excess_high"]].tolist() == [0.0, 0.0]
    low, high = found.loc["mine", ["excess_low", "excess_high"]]
    assert -2.0 <= low <= found.loc["mine", "excess"] <= high <= 0.5


def test_the_excess_is_one_over_the_times_of_both():
    frame = times(VALUES).frame
    frame = frame[~((frame["method"] == "mine") & (frame["held_out"] == 1.0))]
    found = summarised(ScoreTable(frame)).set_index("method").loc["mine"]
    assert found["excess"] == pytest.approx((1.0 - 2.0 + 1.5 - 1.0) / 2)
    assert (found["won"], found["n_held_out"]) == (1, 2)


def test_more_is_better_of_a_cosine():
    frame = times({"shift": [0.5, 0.6], "pooled": [0.1, 0.2], "mine": [0.7, 0.4]}).frame
    frame = frame.assign(metric="shift_cosine", population=["a", "b"] * 3, condition="drug")
    found = summarised(ScoreTable(frame)).set_index("method")
    assert set(found["trivial"]) == {"shift"}
    assert found["won"].to_dict() == {"shift": 0, "pooled": 0, "mine": 1}


def test_a_prediction_that_knows_the_truth_is_not_trivial():
    frame = times({"no_change": [4.0], "oracle_shift": [0.1], "mine": [2.0]}).frame
    found = summarised(ScoreTable(frame.assign(population="a", condition="drug")))
    assert set(found["trivial"]) == {"no_change"}


def test_rows_in_another_order_say_the_same():
    frame = times(VALUES).frame
    columns = ["mean", "floor", "excess", "won", "skill"]
    one = summarised(ScoreTable(frame)).set_index("method")[columns].sort_index()
    mixed = frame.sample(frac=1, random_state=0)
    other = summarised(ScoreTable(mixed)).set_index("method")[columns].sort_index()
    pd.testing.assert_frame_equal(one, other)


def test_without_trivial_rows_there_is_no_excess():
    found = summarised(times({"mine": [1.0, 2.0]})).iloc[0]
    assert found["trivial"] == ""
    assert found[["excess", "won"]].isna().all()
    assert found["n_held_out"] == 2
