"""The benchmark of growth runs on small data, and its truths are what they claim to be."""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import celltraj as ct
from benchmarks import growth, growth_held_out, growth_tasks
from benchmarks.growth_held_out import Cells, Task
from celltraj.models import Training

pytestmark = pytest.mark.filterwarnings("ignore::celltraj.DataWarning")


def cells(times, x):
    obs = pd.DataFrame({"time": times}).rename(index=str)
    return AnnData(np.asarray(x, np.float32), obs=obs)


def doubling(n=20):
    """Return two clusters that stay, of which the upper doubles in number from time to time."""
    rng = np.random.default_rng(0)
    times = np.repeat([0.0, 1.0, 2.0], [2 * n, 3 * n, 5 * n])
    upper = np.concatenate([np.arange(size) >= n for size in (2 * n, 3 * n, 5 * n)])
    x = 0.1 * rng.normal(size=(len(times), 2))
    x[upper] += (0.0, 2.5)
    return cells(times, x)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(growth_tasks, "DRIFTS", {"plug_in": growth_tasks.DRIFTS["plug_in"]})
    for name in ("gene_circuit_growth", "eb_pca5", "lotka_volterra", "growing_gaussians_10d"):
        monkeypatch.setattr(ct.datasets, name, doubling)


def run(tmp_path, task, *given):
    growth.main(["--tasks", task, "--seeds", "0", "--out", str(tmp_path), *given])
    (file,) = tmp_path.glob("*.json")
    return json.loads(file.read_text())


def test_the_table_of_the_circuit_has_the_published_row(tmp_path):
    content = run(tmp_path, "circuit", "--drifts", "plug_in")
    ours, published = content["table"]
    assert published["drift"] == "published"
    assert published["N(4)"] == 968
    assert ours["N(2)"] == pytest.approx(100, rel=0.05)
    assert ours["quiescent"] + ours["growing"] == pytest.approx(ours["N(2)"], rel=0.05)
    assert ours["fit_cpu_s"] > 0


def test_null_and_gaussians_have_their_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(growth, "NULL", ("eb_pca5",))
    content = run(tmp_path, "null", "--drifts", "plug_in")
    assert content["table"][0]["data"] == "eb_pca5"
    assert content["table"][0]["wrong_percent"] < 5
    row = growth_tasks.gaussians("plug_in", 0)
    assert row["r_rate"] > 0.9
    assert row["growing"] > row["still"]


def test_the_law_is_zero_where_cells_are_quiescent():
    x = np.array([[0.05, 0.3], [0.4, 2.0], [2.0, 0.2]])
    law = growth_tasks.known_rate(x)
    assert law[0] == 0
    assert law[1] == pytest.approx(0.53 * 4 / 5)
    assert law[2] == pytest.approx(0.53 * 0.04 / 1.04)


@pytest.fixture
def task():
    adata = ct.datasets.branching(n_cells=30, seed=0)
    adata.obs["growth_prior"] = 0.1 * adata.X[:, 1]
    n = int((adata.obs["time"] == 2).sum())
    return Task(adata, 2.0, "X", np.arange(n) % 3)


def test_the_table_of_held_out_cells_has_every_row(task, monkeypatch, tmp_path):
    flow = partial(ct.tl.fit_flow, training=Training(max_steps=5))
    monkeypatch.setitem(growth_held_out.MODELS, "flow", flow)
    monkeypatch.setitem(growth.TASKS, "hematopoiesis", held_out := growth.TASKS["hematopoiesis"])
    monkeypatch.setitem(
        growth.TASKS, "hematopoiesis", partial(held_out.func, name="small", task_of=lambda: task)
    )
    content = run(tmp_path, "hematopoiesis", "--methods", "bridge_growth_plug_in", "flow")
    rows = {row["method"]: row for row in content["table"]}
    trivial = {"previous", "next", "mixture", "displacement", "displacement_wot"}
    assert set(rows) == trivial | {
        "floor", "displacement_wot_prior", "bridge_growth_plug_in", "flow",
    }  # fmt: skip
    assert rows["floor"]["over_floor"] == 1
    assert rows["previous"]["mean"] > rows["displacement"]["mean"]
    assert rows["bridge_growth_plug_in"]["W1_simulated"] > 0
    assert rows["previous"]["cpu_s"] is None


def test_displacement_is_half_way(task):
    found = dict(growth_held_out.trivial(task, 0))
    ends = [task.cells(time).mean(0) for time in (1.0, 3.0)]
    for name in ("displacement", "displacement_wot"):
        x = found[name]
        mean = x.weights @ x.x
        assert x.weights.sum() == pytest.approx(1)
        np.testing.assert_allclose(mean, np.mean(ends, 0), atol=0.2)
    mixture = found["mixture"]
    np.testing.assert_allclose(mixture.weights @ mixture.x, np.mean(ends, 0))


def test_mass_that_grows_is_in_between_half_way():
    # the upper of two clusters that stay becomes ten times as many: sqrt(10) times half way
    rng = np.random.default_rng(0)
    x = 0.05 * rng.normal(size=(200, 2)) + np.repeat([[0.0, 0.0], [0.0, 9.0]], 100, 0)
    y = 0.05 * rng.normal(size=(220, 2)) + np.repeat([[0.0, 0.0], [0.0, 9.0]], [20, 200], 0)
    held = 0.05 * rng.normal(size=(10, 2))
    adata = cells(np.repeat([0.0, 1.0, 2.0], [200, 10, 220]), np.concatenate([x, held, y]))
    found = dict(growth_held_out.trivial(Task(adata, 1.0, "X"), 0))["displacement_wot"]
    upper = found.weights[found.x[:, 1] > 4.5].sum()
    assert upper / (1 - upper) == pytest.approx(np.sqrt(10), rel=0.1)


def test_cells_are_drawn_by_their_weights():
    x = np.arange(10.0)[:, None]
    weights = np.arange(10.0) / 45
    cells = Cells(x, weights)
    drawn = np.concatenate([cells.drawn(9, seed).x for seed in range(200)])
    # systematic draws vary less than independent ones, whose standard error is .05
    assert drawn.mean() == pytest.approx(weights @ x[:, 0], abs=0.2)
    assert not (drawn == 0).any()
    assert cells.drawn(10, 0).weights is weights
