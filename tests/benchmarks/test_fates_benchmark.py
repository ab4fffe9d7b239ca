"""The benchmark of fates and couplings runs on small data, and judges as it says."""

import json

import numpy as np
import pandas as pd
import pytest

import celltraj as ct
from benchmarks import fates, fates_tasks
from benchmarks._apart import Meter, apart
from celltraj.ot import SquaredEuclidean, Unbalanced


def small_larry():
    """Return two arms at three days, with a truth that is where a cell is."""
    rng = np.random.default_rng(0)
    days = np.repeat([2.0, 4.0, 6.0], 60)
    side = rng.choice([-1.0, 1.0], len(days))
    x = np.stack([days + 0.3 * rng.normal(size=len(days)), side * days], 1)
    adata = ct.datasets.branching(n_cells=50, seed=0)[: len(days)].copy()
    adata.X = x.astype(np.float32)
    adata.obs["time"] = days
    far = (days == 6) & (rng.random(len(days)) < 0.7)
    names = np.where(side > 0, "Neutrophil", "Monocyte")
    adata.obs["arm"] = pd.Categorical(np.where(far, names, "undifferentiated"))
    first = days == 2
    adata.obs["truth_neutrophil"] = np.where(first, (1 + side) / 2, np.nan)
    adata.obs["heldout"] = np.where(first, np.arange(len(days)) % 2, np.nan)
    for name in fates_tasks.PUBLISHED:
        adata.obs[name] = adata.obs["truth_neutrophil"]
    return adata


@pytest.fixture
def larry(monkeypatch):
    monkeypatch.setattr(ct.datasets, "larry_spring", small_larry)
    monkeypatch.setattr(fates, "apart", lambda function, *given: function(*given))


def test_the_table_of_larry_has_every_row(larry, tmp_path, capsys):
    given = ["--tasks", "larry", "--fitted", "40", "--seeds", "0", "--out", str(tmp_path)]
    fates.main([*given, "--methods", "couplings", "couplings_soft", "bridge"])
    content = json.loads((tmp_path / "fates_larry.json").read_text())
    rows = {(row["method"], row["cells"]): row for row in content["table"]}
    known = {"pba (published)", "nearest_arm (name)", "supervised"}
    assert known <= {name for name, _ in rows}
    assert {("couplings", n) for n in (180, 120)} | {("bridge", 120)} <= set(rows)
    assert ("bridge", 180) not in rows
    # the arms lie four apart from the first day on
    assert all(row["r"] > 0.99 for row in rows.values())
    whole = rows["couplings", 180]
    assert whole["couplings_cpu_s"] > 0
    assert whole["couplings_peak_gb"] > whole["couplings_above_gb"] >= 0
    assert "fates_larry" in capsys.readouterr().out


def test_soft_couplings_are_those_of_each_gap(larry):
    adata = fates_tasks.larry_cells()
    lineage = fates_tasks.soft_couplings(adata)
    assert lineage.times == (2.0, 4.0, 6.0)
    for one in lineage.couplings:
        assert isinstance(one.cost, SquaredEuclidean)
        assert one.epsilon == pytest.approx(0.1 * one.cost.mean())
    again = Unbalanced(0.9, 0.9)(one.cost, one.a, one.b, epsilon=one.epsilon)
    np.testing.assert_allclose(again.row_mass, one.row_mass)


def test_a_judge_looks_at_one_half_of_the_known_cells(larry):
    adata = fates_tasks.larry_cells()
    truth = adata.obs["truth_neutrophil"].to_numpy()
    wrong = np.where(adata.obs["heldout"] == 0, -truth, truth)
    found = fates_tasks.judge(adata, wrong)
    assert found["r"] == pytest.approx(1)
    assert found["r_other_half"] == pytest.approx(-1)
    assert found["n"] == 30
    assert found["told"] == 1


def test_a_cell_that_a_method_is_silent_about_counts_as_the_mean(larry):
    adata = fates_tasks.larry_cells()
    truth = adata.obs["truth_neutrophil"].to_numpy()
    half = np.flatnonzero(adata.obs["heldout"] == 1)
    predicted = truth.copy()
    predicted[half[::2]] = np.nan
    found = fates_tasks.judge(adata, predicted)
    filled = predicted[half]
    filled[::2] = filled[1::2].mean()
    assert found["told"] == 0.5
    assert found["r"] == pytest.approx(np.corrcoef(filled, truth[half])[0, 1])


def test_agreement_of_couplings_with_themselves_is_perfect():
    pair = ct.datasets.branching(n_cells=40, seed=0)
    pair = pair[pair.obs["time"].isin([1.0, 2.0]).to_numpy()].copy()
    pair.obs["cell_type"] = np.where(pair.X[:, 1] > 0, "up", "down")
    ct.tl.couplings(pair, progress=False)
    f, g, _, _, _ = pair.obsm["couplings"].T
    first = (pair.obs["time"] == 1).to_numpy()
    cost = ((pair.X[first][:, None] - pair.X[~first][None]) ** 2).sum(2) / 2
    (epsilon,) = pair.uns["celltraj"]["couplings"]["gaps"]["epsilon"]
    plan = np.exp((f[first][:, None] + g[~first] - cost) / epsilon)
    found = fates_tasks._agreement(pair, (1.0, 2.0), plan)
    assert found["r_cell"] == pytest.approx(1)
    assert found["r_type"] == pytest.approx(1)
    assert found["worst_cell"] < 1e-2  # float32, in percent


def test_export_and_size_are_measured():
    row = fates_tasks.export(200, 0.05, 0)
    assert 0 < row["entries"] < 1
    assert row["matrix_gb"] == pytest.approx(8 * 200**2 * row["entries"] / 2**30)
    assert row["export_cpu_s"] > 0
    row = fates_tasks.size(3, 150, 0)
    assert row["cells"] == 150
    assert row["fates_cpu_s"] > 0


def hold(n_gb):
    meter = Meter()
    _, first = meter(lambda: np.ones(int(n_gb * 2**27)).sum())
    _, second = meter(lambda: None)
    return first["above_gb"], second["above_gb"]


def test_a_peak_is_that_of_one_step():
    first, second = apart(hold, 0.5)
    assert first == pytest.approx(0.5, abs=0.02)
    assert second < 0.05


def test_absent_data_are_named(monkeypatch, tmp_path, capsys):
    def absent():
        raise FileNotFoundError("no such data set")

    monkeypatch.setattr(ct.datasets, "reprogramming", absent)
    fates.main(["--tasks", "wot", "--out", str(tmp_path)])
    assert "no such data set" in capsys.readouterr().out
