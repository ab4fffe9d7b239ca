"""The benchmarks run on small data and leave readable results."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from benchmarks import data, gaussian, held_out, ot_plugin
from benchmarks import ot as transport
from benchmarks._report import mean_and_error, report
from celltraj.models import NeuralDrift


def test_gaussian_benchmark_writes_every_quantity(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(gaussian.DRIFTS, "neural", NeuralDrift(max_steps=20))
    gaussian.main(["--dims", "2", "--cells", "100", "--seeds", "0", "--out", str(tmp_path)])
    content = json.loads((tmp_path / "gaussian.json").read_text())
    values = {row["quantity"]: row["value"] for row in content["records"]}
    drifts = {"drift_error_neural", "drift_error_plug_in"}
    assert set(values) == {"kl", "kl_many", "kl_exact"} | drifts
    assert all(value > 0 for value in values.values())
    assert all(row["error"] is None for row in content["table"])  # one seed has no error
    assert "drift_error_plug_in" in capsys.readouterr().out


def test_held_out_benchmark_writes_table_and_picture(tmp_path, monkeypatch):
    adata = ct.datasets.lotka_volterra_simulation(n_cells=20, seed=0)
    monkeypatch.setattr(held_out, "load_present", lambda names: dict.fromkeys(names, adata))
    monkeypatch.setitem(held_out.FOLDS, "eb_pca5", [(2.0,)])
    held_out.main(
        [
            "--data",
            "eb_pca5",
            "--methods",
            "bridge_plug_in",
            "--seeds",
            "0",
            "1",
            "--out",
            str(tmp_path),
        ]
    )
    content = json.loads((tmp_path / "held_out_eb_pca5.json").read_text())
    methods = {row["method"] for row in content["table"]}
    assert {"floor", "displacement", "chain_cubic", "bridge_plug_in"} <= methods
    assert (tmp_path / "held_out_eb_pca5.png").stat().st_size > 0
    assert (tmp_path / "held_out.json").is_file()


def test_absent_data_are_named_and_an_empty_benchmark_is_an_error(monkeypatch, capsys):
    def absent():
        raise FileNotFoundError("no such data set")

    monkeypatch.setitem(data.LOADERS, "eb_pca5", absent)
    with pytest.raises(SystemExit, match="CELLTRAJ_DATA_DIR"):
        data.load_present(["eb_pca5"])
    assert "no such data set" in capsys.readouterr().out


def test_every_protocol_has_a_loader():
    assert set(data.FOLDS) == set(data.LOADERS)


def test_summary_averages_times_before_seeds():
    records = pd.DataFrame(
        {
            "method": ["a"] * 4,
            "seed": [0, 0, 1, 1],
            "time": [1.0, 2.0, 1.0, 2.0],
            "value": [1.0, 3.0, 3.0, 5.0],
        }
    )
    row = held_out.summarise(records).loc["a"]
    assert row["mean"] == 3.0
    assert row["error"] == pytest.approx(np.std([2.0, 4.0], ddof=1) / np.sqrt(2))


def test_the_error_of_one_value_is_unknown(tmp_path):
    table = pd.DataFrame([mean_and_error(pd.Series([2.0]))])
    assert np.isnan(table["error"].item())
    report("one", table, table, tmp_path)
    assert json.loads((tmp_path / "one.json").read_text())["table"][0]["error"] is None


@pytest.fixture
def peers():
    pytest.importorskip("torchcfm")
    from benchmarks import peers

    return peers


def two_points(gap):
    adata = ct.datasets.gaussian_snapshots(n_cells=200, n_vars=2, seed=0)
    adata.obs["time"] *= gap
    return adata


def test_ot_cfm_is_reproducible_and_leaves_global_randomness_alone(peers):
    adata = two_points(1.0)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    x = torch.zeros(3, 2, dtype=torch.float64)
    one, two, other = (
        peers.fit_ot_cfm(adata, seed=seed, max_steps=3).drift(0.3, x) for seed in (0, 0, 1)
    )
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    assert not torch.equal(one, other)
    torch.testing.assert_close(torch.get_rng_state(), torch_state, rtol=0, atol=0)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)


def test_ot_cfm_is_the_same_motion_in_days_and_hours(peers):
    days, hours = (peers.fit_ot_cfm(two_points(u), max_steps=3) for u in (1.0, 24.0))
    x = torch.ones(3, 2, dtype=torch.float64)
    torch.testing.assert_close(days.drift(0.25, x), 24 * hours.drift(6.0, x))
    assert (days.diffusion(0.25, x) == 0).all()


def test_ot_cfm_carries_one_cloud_to_the_other(peers):
    adata = two_points(1.0)
    flow = peers.fit_ot_cfm(adata, max_steps=300)
    start, end = (np.asarray(adata.X[adata.obs["time"] == t], float) for t in (0.0, 1.0))
    path = ct.models.simulate(
        flow, torch.from_numpy(start), (0.0, 1.0), generator=torch.Generator().manual_seed(0)
    )
    # a fifth of the way may be left: a network trained for 300 steps is no exact map
    moved = ct.metrics.wasserstein(path.x[-1].numpy(), end)
    assert moved < 0.2 * ct.metrics.wasserstein(start, end)


def test_transport_benchmark_times_every_solver(tmp_path, capsys):
    sizes, out = ["--sizes", "60", "--seeds", "0"], ["--out", str(tmp_path)]
    transport.main([*sizes, "--epsilons", "0.05", "--problems", "lognormal", "--cap", "0.2", *out])
    rows = pd.DataFrame(json.loads((tmp_path / "ot.json").read_text())["records"])
    ours = rows[rows.solver == "celltraj"]
    assert set(ours.tol) == {1e-6, 1e-9}
    assert (ours.seconds > 0).all()  # reached: an unmet tolerance has no time
    assert (ours.ratio == 1).all()
    assert {"POT kernel", "POT log (torch)"} <= set(rows.solver)
    transport.main(["--growth", "--sizes", "50", "100", "--epsilons", "0.05", *out])
    growth = pd.DataFrame(json.loads((tmp_path / "ot_growth.json").read_text())["records"])
    assert list(growth.n) == [50, 100]
    assert (growth.error <= 1e-3).all()


@pytest.mark.parametrize("name", ["uniform", "random", "image_l1", "image_l2"])
def test_sweeps_are_counted_until_the_tolerance(name):
    cost, a, b = transport.problem(name, 50, 0)
    sweeps, extrapolated = transport.count_sweeps(cost, a, b, 0.2, cap=5.0)
    assert not extrapolated
    assert 0 < sweeps[1e-6] <= sweeps[1e-9]


def test_the_plug_in_answers_in_potentials():
    cost, a, b = transport.problem("uniform", 50, 0)
    f, g, info = ot_plugin.solve(cost, a, b, 0.05, tol=1e-8)
    plan = np.exp((f[:, None] + g - cost) / 0.05)
    assert np.abs(plan.sum(0) - b).sum() + np.abs(plan.sum(1) - a).sum() <= 1e-8
    assert info["converged"]
