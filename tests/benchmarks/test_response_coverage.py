"""Coverage of intervals of responses, on populations of a few cells."""

import pandas as pd

from benchmarks import response_coverage


def test_the_share_of_readouts_within_is_counted_by_task():
    records = pd.DataFrame(
        {
            "task": "simulated",
            "seed": 0,
            "population": ["a", "a", "b", "b"],
            "readout": "shift",
            "variable": ["x", "y", "x", "y"],
            "low": 0.0,
            "high": 1.0,
            "observed": [0.5, 0.5, 0.5, 1.5],
            "n_populations": 4,
            "method": "split",
        }
    )
    row = response_coverage.summary(records).loc["simulated"]
    assert (row["coverage"], row["worst"], row["n"]) == (0.75, 0.5, 4)


def test_answers_are_read_as_intervals_read_them(monkeypatch):
    sizes = {"_LEARN": 3, "_CALIBRATE": 4, "_NEW": 2}
    for name, size in sizes.items():
        monkeypatch.setattr(response_coverage, name, size)
    found = response_coverage.simulated(0, 5, n_cells=20)
    assert found["population"].nunique() == 2
    assert (found["n_populations"] == 4).all()
    assert found["observed"].notna().all()
    assert set(found["readout"]) == {"shift", "above_gate"}
