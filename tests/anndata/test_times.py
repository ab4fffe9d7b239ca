"""Sampling times of every form that users keep them in."""

import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celltraj._anndata import read_times


def annotated(column):
    obs = pd.DataFrame({"t": column})
    return ad.AnnData(np.zeros((len(obs), 1), dtype="float32"), obs=obs.rename(index=str))


def days(*labels):
    return pd.Series([*labels] * 3)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (days(10.5, 2.0), [10.5, 2.0]),
        (days(10, 2), [10, 2]),
        (days(0.1, 2.7).astype("float32"), [0.1, 2.7]),
        (days(10, 2).astype("Int64"), [10, 2]),
        (days(10, 2).astype("category"), [10, 2]),
        (days("day 10", "day 2"), [10, 2]),
        (days("day_10", "D2"), [10, 2]),
        (days("day -1", "-2.5 d"), [-1, -2.5]),
        (days("E8.5", "E7"), [8.5, 7]),
        (days("1e-3", "1"), [1e-3, 1]),
        (days(b"day 3", b"day 2"), [3, 2]),
        (days(1, "1"), [1, 1]),
        (days(2.0, 1.5).astype("Float64"), [2, 1.5]),
        (days("D0", "D-1").astype(pd.CategoricalDtype(["D-1", "D0"], ordered=True)), [0, -1]),
        (days("t10", "t2").astype("string"), [10, 2]),
        (days("t10", "t2").astype("category"), [10, 2]),
        (days("t10", "t2").astype(pd.CategoricalDtype(["t2", "t10"], ordered=True)), [10, 2]),
        (days("t10", "t2").astype(pd.CategoricalDtype(["t2", "t10", "t1"], ordered=True)), [10, 2]),
    ],
)
def test_times_are_the_numbers_that_a_reader_sees(column, expected):
    np.testing.assert_array_equal(read_times(annotated(column), "t"), expected * 3)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (days("early", "late"), "cannot read one time from 'early'"),
        (days("day 1 rep 2", "day 2"), "cannot read one time from 'day 1 rep 2'"),
        (days("6h", "3d"), "different units"),
        (days("6h", "3d").astype("category"), "different units"),
        (days(3, "7d"), "different units"),
        (days("E18.5", "P0").astype("string"), "different origins"),
        (days("D0", "D-1").astype(pd.CategoricalDtype(["D0", "D-1"], ordered=True)), "is ordered"),
        (days(0.0, np.inf), "infinite times"),
        (days(0.0, np.nan), r"missing for 3 cells; drop them with adata\[adata.obs\['t'\].notna"),
        (days(1, None).astype("Int64"), "missing for 3 cells"),
        (days(True, False), "boolean"),  # noqa: FBT003
        (days(True, False).astype("category"), "boolean"),  # noqa: FBT003
        (pd.Series(pd.to_timedelta([1, 2] * 3, unit="D")), "/ pd.Timedelta"),
        (pd.Series(pd.to_datetime(["2024-01-01", "2024-01-02"] * 3)), "write a column of numbers"),
        (pd.Series(np.linspace(0, 1, 20)), "20 different times for 20 cells, as a pseudotime"),
    ],
)
def test_what_is_no_time_is_refused(column, message):
    with pytest.raises(ValueError, match=message):
        read_times(annotated(column), "t")


LABELS = ("D-1", "D0", "Day 1", "d2.5", "day 10")


@settings(deadline=None, max_examples=25)
@given(st.permutations(LABELS * 2), st.sampled_from(["object", "string", "category"]))
def test_neither_the_order_of_rows_nor_the_kind_of_the_column_says_anything(labels, kind):
    expected = dict(zip(LABELS, [-1, 0, 1, 2.5, 10], strict=True))
    found = read_times(annotated(pd.Series(labels).astype(kind)), "t")
    assert found.tolist() == [expected[one] for one in labels]


def test_an_order_that_contradicts_the_numbers_shows_both():
    alphabetical = pd.CategoricalDtype(["t10", "t2"], ordered=True)
    message = re.escape("ordered ['t10', 't2'], but its numbers read [10.0, 2.0]")
    with pytest.raises(ValueError, match=message):
        read_times(annotated(days("t10", "t2").astype(alphabetical)), "t")


def test_a_missing_column_lists_what_there_is():
    with pytest.raises(KeyError, match=r"no times in adata.obs\['day'\]; columns found: \['t'\]"):
        read_times(annotated(days(1, 2)), "day")


def test_another_object_is_named():
    with pytest.raises(TypeError, match="AnnData"):
        read_times(pd.DataFrame({"t": [0, 1]}), "t")


def test_no_cells():
    with pytest.raises(ValueError, match="no cells"):
        read_times(annotated(days(1, 2))[:0], "t")
