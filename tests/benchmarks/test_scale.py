"""The benchmark of sizes writes as it goes, goes on where it stopped, and tells slopes."""

import sys

import numpy as np
import pandas as pd
import pytest

from benchmarks import scale, scale_gap


@pytest.fixture
def runs(monkeypatch):
    """Run without fits and without processes of their own; return what was run apart."""
    all_calls, run = scale.calls, []

    def alone(function, *args):
        run.append(args[0])
        return function(*args)

    monkeypatch.setattr(scale, "calls", lambda adata: list(all_calls(adata))[:2])
    monkeypatch.setattr(scale, "apart", alone)
    monkeypatch.setattr(scale_gap, "apart", alone)
    return run


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return tuple(rng.normal(size=(n, 3)).astype(np.float32) + n / 100 for n in (90, 70))


def test_what_is_written_is_not_run_again(runs, tmp_path):
    scale.main(["--sizes", "60", "--out", str(tmp_path)])
    scale.main(["--sizes", "60", "90", "--out", str(tmp_path)])
    assert runs == [60, *scale_gap.HERE, 90, *scale_gap.HERE]
    found = pd.read_csv(tmp_path / "scale.csv")
    assert set(found["call"]) == {"couplings", "fates"} | {f"one gap: {n}" for n in scale_gap.HERE}
    assert (found["error"].dropna() < 0.1).all()
    assert (found["cpu_s"] > 0).all()


def test_rows_that_a_stop_left_out_are_run(runs, tmp_path):
    scale.main(["--sizes", "60", "--out", str(tmp_path)])
    file = tmp_path / "scale.csv"
    pd.read_csv(file).iloc[:-1].to_csv(file, index=False)
    del runs[:]
    scale.main(["--sizes", "60", "--out", str(tmp_path)])
    assert runs == [list(scale_gap.HERE)[-1]]


def test_the_slope_is_the_power_of_the_size():
    seconds = pd.DataFrame({"call": "a", "n": [100, 10, 1000], "cpu_s": [4.0, 0.04, 40.0]})
    unknown = dict.fromkeys(["error", "plan_cost"], np.nan)
    slopes = scale.table(seconds.assign(above_gb=0.0, **unknown))["slope"]
    np.testing.assert_allclose(slopes, [np.nan, 2, 1])


@pytest.mark.parametrize("name", list(scale_gap.HERE))
def test_all_solvers_find_the_plan_that_is_asked_for(name, pair):
    row = scale_gap.judged(*pair, scale_gap.HERE[name](*pair)())
    exact = scale_gap.judged(*pair, scale_gap.HERE["celltraj"](*pair)())
    assert row["error"] < 0.02
    np.testing.assert_allclose(row["plan_cost"], exact["plan_cost"], rtol=0.01)


def test_a_plan_is_judged_by_its_sums(pair):
    x, y = (z.astype(float) for z in pair)
    plan = np.random.default_rng(1).uniform(size=(len(x), len(y)))
    plan /= plan.sum()
    row = scale_gap.judged(*pair, (plan.sum(1), plan.sum(0), plan @ y))
    cost = np.square(x[:, None] - y).sum(-1)
    np.testing.assert_allclose(row["plan_cost"], (plan * cost).sum() / cost.mean())
    off = np.abs(plan.sum(1) - 1 / len(x)).sum() + np.abs(plan.sum(0) - 1 / len(y)).sum()
    np.testing.assert_allclose(row["error"], off)


def test_peers_that_are_not_there_are_named_and_left_out(pair, capsys):
    known = {f"one gap: {name}" for name in [*scale_gap.HERE, *list(scale_gap.SOLVERS)[1:]]}
    assert list(scale_gap.rows(*pair, sys.executable, known)) == []
    said = capsys.readouterr().out
    assert "left out: moscot on 90 cells" in said
    assert "No module named 'moscot'" in said
