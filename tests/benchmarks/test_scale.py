"""The benchmark of sizes writes as it goes, goes on where it stopped, and tells slopes."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import scale


@pytest.fixture
def runs(monkeypatch):
    """Run without fits and without a process of its own; return the sizes that were run."""
    all_calls, sizes = scale.calls, []

    def alone(function, n):
        sizes.append(n)
        return function(n)

    monkeypatch.setattr(scale, "calls", lambda adata: list(all_calls(adata))[:2])
    monkeypatch.setattr(scale, "apart", alone)
    return sizes


def test_sizes_that_are_written_are_not_run_again(runs, tmp_path):
    scale.main(["--sizes", "60", "--out", str(tmp_path)])
    scale.main(["--sizes", "60", "90", "--out", str(tmp_path)])
    assert runs == [60, 90]
    found = pd.read_csv(tmp_path / "scale.csv")
    assert set(found["call"]) == {"couplings", "fates", "POT sinkhorn_log, one gap"}
    assert (found["error"].dropna() < 0.1).all()
    assert (found["cpu_s"] > 0).all()


def test_the_slope_is_the_power_of_the_size():
    seconds = pd.DataFrame({"call": "a", "n": [100, 10, 1000], "cpu_s": [4.0, 0.04, 40.0]})
    slopes = scale.table(seconds.assign(above_gb=0.0, error=np.nan))["slope"]
    np.testing.assert_allclose(slopes, [np.nan, 2, 1])
