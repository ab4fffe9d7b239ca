"""What labels of a column say together: units, origins, signs, and which of them are one time."""

import re
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celltraj._anndata.time_labels import read_labels

PLACE = "adata.obs['t']"


def read(*labels):
    return read_labels(labels, PLACE)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("D-1", "D0", "D1"), [-1, 0, 1]),
        (("D-1", "D+1"), [-1, 1]),
        (("D–2", "D0"), [-2, 0]),
        (("D−1", "D−2"), [-1, -2]),
        (("−1.5", "0"), [-1.5, 0]),
        (("day -1", "day 3"), [-1, 3]),
        (("-2 h", "-1 h"), [-2, -1]),
        (("day-3", "day-7"), [3, 7]),
        (("day - 3", "day - 7"), [3, 7]),
        (("D-0", "D-7"), [0, 7]),
        (("day.3", "day.7"), [3, 7]),
        ((".5 h", "1 h"), [0.5, 1]),
        (("3.5e1", "4e1"), [35, 40]),
        (("d03", "d10"), [3, 10]),
        (("2-cell", "8-cell"), [2, 8]),
        (("week 8 post conception", "week 12 post conception"), [8, 12]),
        (("6h", "24 hr", "48hours", "72_hrs"), [6, 24, 48, 72]),
        (("D0", "D1", "day 3", "Day10"), [0, 1, 3, 10]),
        (("E8.5", "9.5 dpc", "10.5dpf"), [8.5, 9.5, 10.5]),
        (("P0", "P7d", "PND14"), [0, 7, 14]),
        (("3m", "18m", "24m"), [3, 18, 24]),
        (("0", "6h", "24h"), [0, 6, 24]),
        (("D0", "6h", "24h"), [0, 6, 24]),
        (("t0", "6h", "24h"), [0, 6, 24]),
        (("X6h", "X24h"), [6, 24]),
        (("ZT0", "ZT12"), [0, 12]),
        (("d0_mES", "d2_EB", "d4_EB"), [0, 2, 4]),
        (("1", "1.0", 1, np.float32(0.1), Decimal("0.5")), [1, 1, 1, 0.1, 0.5]),
        ((b"day 3", b"day 7"), [3, 7]),
    ],
)
def test_labels_are_read_as_a_reader_reads_them_together(labels, expected):
    assert read(*labels) == expected


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("6h", "24h", "3d"), r"different units: \['6h', '24h'\] in hours; \['3d'\] in days"),
        (("0min", "30min", "1hr"), r"\['30min'\] in minutes; \['1hr'\] in hours"),
        (("24hpf", "3dpf"), r"in hours; .* in days"),
        (("30m", "1h"), r"in 'm', minutes or months"),
        (("3", "7d"), r"\['3'\] in no unit; \['7d'\] in days"),
        (("E18.5", "P0"), r"\['E18.5'\] from conception; \['P0'\] from birth"),
        (("GW20", "Y1"), r"from the start of gestation; \['Y1'\] from an origin that is not named"),
        (("E8.5d", "P1d"), "different origins"),
        (("3 dpi", "5 dpa"), "different origins"),
        (("day 3 post infection", "day 3 post treatment"), "different origins"),
        (("A1", "B2"), r"different words .*\['A1'\] from 'a'; \['B2'\] from 'b'"),
        (("D-3", "D-7"), "may be a minus sign or part word and number"),
        (("day-10", "D2"), r"\['day-10'\] .* may be a minus sign"),
        (("day-3", "day -7"), "may be a minus sign"),
        (("day-3", "day 7"), "may be a minus sign"),
        (("D-0", "D1"), "may be a minus sign"),
        (("D.5", "D1"), "may be a decimal point"),
        (("D3_ctrl", "D3_drug", "D7_drug"), "'D3_ctrl' and 'D3_drug' .* both read as time 3"),
        (("3 days before birth", "1 day before birth"), "counts backwards"),
        (("1,5", "2,5"), r'a single number, such as "day 1.5"'),
        (("day 3-5", "day 7"), "cannot read one time from 'day 3-5'"),
        (("early", "late"), "cannot read one time from 'early'"),
    ],
)
def test_labels_that_do_not_go_together_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        read(*labels)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["6h", "24h", "3d", "7d"], [6, 24, 72, 168]),
        (["0min", "30min", "1hr"], [0, 30, 60]),
        (["D-1", "D0", "12 h"], [-24, 0, 12]),
        (["3mo", "1yr"], [3, 12]),
        ([0, "2d", "1 week"], [0, 2, 7]),
    ],
)
def test_the_way_out_of_mixed_units_is_a_line_to_copy(labels, expected):
    with pytest.raises(ValueError, match="different units") as caught:
        read(*labels)
    table = eval(re.search(r"\.map\((\{.*\})\)", str(caught.value))[1])
    assert [table[label] for label in labels] == expected


UNITS = {
    "hour": ("{}h", "{} hr", "{} hours", "h{}", "Hour {}"),
    "day": ("D{}", "day {}", "{}d", "Day_{}", "{} days"),
    "none": ("{}", "t{}", "t {}"),
}
numbers = st.lists(st.integers(0, 400).map(lambda k: k / 4), min_size=1, max_size=6, unique=True)


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(["hour", "day"]), numbers, st.data())
def test_all_spellings_of_a_unit_are_one_unit(unit, values, data):
    forms = data.draw(st.lists(st.sampled_from(UNITS[unit]), min_size=6, max_size=6))
    labels = [form.format(f"{value:g}") for form, value in zip(forms, values, strict=False)]
    assert read(*labels) == values


@settings(deadline=None, max_examples=50)
@given(numbers.filter(any), numbers.filter(any), st.data())
def test_two_units_are_never_read_together(hours, days, data):
    labels = [data.draw(st.sampled_from(UNITS["hour"])).format(f"{one:g}") for one in hours if one]
    labels += [data.draw(st.sampled_from(UNITS["day"])).format(f"{one:g}") for one in days if one]
    with pytest.raises(ValueError, match="different units"):
        read(*data.draw(st.permutations(labels)))


forms = st.sampled_from(
    ["D{}", "D-{}", "D+{}", "day {}", "day-{}", "{}h", "E{}", "P{}", "{}", "t{}"]
)
labels = st.lists(st.builds(lambda form, k: form.format(k), forms, st.integers(0, 9)), unique=True)


def tried(*texts):
    try:
        return dict(zip(texts, read(*texts), strict=True))
    except ValueError:
        return None


@settings(deadline=None, max_examples=50)
@given(labels.filter(bool), st.data())
def test_the_order_of_labels_says_nothing(texts, data):
    assert tried(*texts) == tried(*data.draw(st.permutations(texts)))


@settings(deadline=None, max_examples=50)
@given(labels.filter(lambda texts: len(texts) > 1), st.data())
def test_fewer_labels_are_read_as_before(texts, data):
    whole = tried(*texts)
    kept = data.draw(st.lists(st.sampled_from(texts), min_size=1, unique=True))
    part = tried(*kept)
    # once nothing but hyphens after a word is left, they part it from its number
    if whole and part and not all(text.startswith("day-") for text in kept):
        assert part == {text: whole[text] for text in kept}
