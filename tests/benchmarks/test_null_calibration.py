"""p values are uniform where there is nothing to find, and the benchmark of it runs."""

import json

import numpy as np
import pytest

from benchmarks import null_calibration
from benchmarks.null_calibration import (
    condition_p,
    correlation_p,
    driver_p,
    knockout_p,
    main,
    summary,
)

SAMPLES_DIFFER = "samples differ, time trend"


def is_calibrated(found, n_errors=4.0):
    """Whether rates are as uniform p values would have them, within standard errors."""
    allowed = [
        n_errors * np.sqrt(found[f"level_{name}"] * (1 - found[f"level_{name}"]) / found["n_p"])
        for name in ("05", "01")
    ]
    off = [abs(found[f"rate_{name}"] - found[f"level_{name}"]) for name in ("05", "01")]
    # Dvoretzky, Kiefer and Wolfowitz: 1 in 10,000
    bound = np.sqrt(np.log(2e4) / 2 / found["n_p"])
    return bool(off[0] <= allowed[0] and off[1] <= allowed[1] and found["distance"] <= bound)


@pytest.mark.parametrize("n", [6, 30])
def test_correlations_over_independent_cells(n):
    assert is_calibrated(summary(correlation_p(n, 200, 0)))


@pytest.mark.parametrize("design", ["cells alone", "time trend", "spread grows with time"])
def test_drivers_over_cells_that_are_independent_within_their_time(design):
    assert is_calibrated(summary(driver_p(design, "cells", 30, 0)))


@pytest.mark.parametrize("design", ["cells alone", SAMPLES_DIFFER, "slopes of samples"])
def test_drivers_over_samples(design):
    assert is_calibrated(summary(driver_p(design, "samples", 30, 0)))


def test_drivers_by_signs_of_samples():
    p = driver_p(SAMPLES_DIFFER, "samples, signs", 30, 0)
    assert is_calibrated(summary(p, null_calibration.STEPS["samples, signs"]))


def test_drivers_by_exchanged_cells():
    p = driver_p("time trend", "cells, exchanged", 20, 0)
    assert is_calibrated(summary(p, null_calibration.STEPS["cells, exchanged"]))


@pytest.mark.parametrize(
    ("design", "units"), [(SAMPLES_DIFFER, "cells"), ("time trend", "cells of all times")]
)
def test_units_that_are_none_are_seen_not_to_be(design, units):
    # what the docstrings warn of, and what shows that the tests above can fail
    found = summary(driver_p(design, units, 10, 0))
    assert found["rate_05"] > 0.3
    assert not is_calibrated(found)


def test_unequal_samples_make_p_values_too_large_at_most():
    found = summary(driver_p("unequal samples", "samples", 20, 0))
    assert found["rate_05"] < 0.05 + 3 * found["error_05"]


@pytest.mark.parametrize("design", ["samples differ, three of each", "samples differ, pairs"])
def test_conditions(design):
    given = null_calibration.COHORTS[design]
    assert is_calibrated(summary(condition_p(design, 30, 0), given["step"]))


def test_knock_outs():
    for p in knockout_p("samples differ", 2, 0, n_genes=24).values():
        assert is_calibrated(summary(p, 1 / (1 + null_calibration.N_NULL)))


def test_summary_of_uniform_and_other_values():
    rng = np.random.default_rng(0)
    assert is_calibrated(summary(list(rng.uniform(size=(50, 20)))))
    assert not is_calibrated(summary(list(rng.uniform(size=(50, 20)) ** 1.5)))
    steps = rng.integers(1, 21, size=(50, 20)) / 20
    found = summary(list(steps), 1 / 20)
    assert (found["level_05"], found["level_01"]) == (pytest.approx(0.05), 0)
    assert is_calibrated(found)


def test_the_benchmark_writes_a_row_for_each_p_value_and_design(tmp_path, capsys):
    main(["--tasks", "correlations", "--repeats", "5", "--out", str(tmp_path)])
    content = json.loads((tmp_path / "null_calibration.json").read_text())
    assert [row["design"] for row in content["table"]] == list(null_calibration.N)
    assert {"rate_05", "error_05", "rate_01", "distance"} <= set(content["table"][0])
    assert "null_calibration" in capsys.readouterr().out
