"""The benchmark of models on their own snapshots runs on small data."""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest

import celltraj as ct
from benchmarks import own_snapshots
from celltraj._errors import ConvergenceError

pytestmark = pytest.mark.filterwarnings("ignore::celltraj.DataWarning")


@pytest.fixture
def run(tmp_path, monkeypatch):
    adata = ct.datasets.lotka_volterra_simulation(n_cells=20, seed=0)
    monkeypatch.setattr(own_snapshots, "load_present", lambda names: dict.fromkeys(names, adata))
    plug_in = partial(ct.tl.fit_bridge, training=None, progress=False)
    monkeypatch.setitem(own_snapshots.METHODS, "bridge", plug_in)

    def run(*more):
        fixed = ["--data", "eb_pca5", "--methods", "bridge", "--seeds", "0"]
        own_snapshots.main([*fixed, "--out", str(tmp_path), *more])
        return tmp_path

    return run


def test_every_training_time_is_measured_and_summed_up(run):
    folder = run("--thin", "16")
    content = json.loads((folder / "own_snapshots_eb_pca5_at_most_16_cells.json").read_text())
    rows = pd.DataFrame(content["records"])
    assert list(rows["time"]) == list(np.arange(9.0))
    assert rows["W1"][0] == 0  # all cells of the first snapshot, where they were put
    assert (rows["share"] == 1).all()  # no growth
    np.testing.assert_allclose(rows["ratio"], rows["W1"] / rows["floor"])
    (row,) = content["table"]
    assert row["largest"] == max(rows["ratio"])
    assert row["cpu_s"] > 0
    assert (folder / "own_snapshots_at_most_16_cells.json").is_file()


def test_a_fit_that_fails_is_named_and_nan(run, monkeypatch, capsys):
    def fail(adata, *, seed):
        raise ConvergenceError("sigma is too small", None)

    monkeypatch.setitem(own_snapshots.METHODS, "bridge", fail)
    content = json.loads((run() / "own_snapshots_eb_pca5.json").read_text())
    assert "failed: bridge, seed 0: sigma is too small" in capsys.readouterr().out
    assert content["table"][0]["largest"] is None


def test_mass_is_counted():
    # three quarters of the mass sit on the cell at 0, as three of four cells do
    x = np.array([[[0.0], [4.0]]])
    truth = [np.array([[0.0], [0.0], [0.0], [4.0]])]
    (found,) = own_snapshots.measure(x, np.array([[3.0, 1.0]]), truth, [0.5])
    assert found["W1"] == pytest.approx(0.0, abs=1e-12)
    (equal,) = own_snapshots.measure(x, np.array([[1.0, 1.0]]), truth, [0.5])
    assert equal["W1"] == pytest.approx(1.0)
    assert equal["ratio"] == pytest.approx(2.0)


def test_the_effective_share_lies_between_one_cell_and_all():
    assert own_snapshots.effective_share(np.full(5, 0.3)) == pytest.approx(1.0)
    assert own_snapshots.effective_share(np.array([0.0, 0.0, 7.0, 0.0])) == pytest.approx(0.25)


def test_the_summary_leaves_out_where_cells_were_put():
    records = pd.DataFrame(
        {
            "method": "flow",
            "seed": [0, 0, 0, 1, 1, 1],
            "time": [0.0, 1.0, 2.0] * 2,
            "ratio": [9.0, 2.0, 1.0, 9.0, 4.0, 2.0],
            "share": [1.0, 0.9, 0.5, 1.0, 0.9, 0.7],
            "cpu_s": [3.0] * 3 + [5.0] * 3,
        }
    )
    found = own_snapshots.summarise(records).loc["flow"]
    expected = {"largest": 3.0, "error": 1.0, "at": 1.0, "ratio_end": 1.5}
    assert dict(found) == pytest.approx(expected | {"share_end": 0.6, "cpu_s": 4.0})
