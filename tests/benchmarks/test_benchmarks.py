"""The benchmarks run on small data and leave readable results."""

import importlib
import json
import os

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from benchmarks import data, gaussian, held_out, ot_plugin
from benchmarks import ot as transport
from benchmarks._report import mean_and_error, report
from benchmarks._timed import Timed
from benchmarks.peers_moscot import Displacement, fit_moscot
from celltraj._anndata import read_snapshots
from celltraj.models import Training

# torch itself, when OTP-FM first asks it for a forward derivative
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is:DeprecationWarning")


def test_gaussian_benchmark_writes_every_quantity(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(gaussian.DRIFTS, "neural", Training(max_steps=20))
    short = {**gaussian.FLOWS["brownian"], "training": Training(max_steps=20)}
    monkeypatch.setitem(gaussian.FLOWS, "brownian", short)
    gaussian.main(["--dims", "2", "--cells", "100", "--seeds", "0", "--out", str(tmp_path)])
    content = json.loads((tmp_path / "gaussian.json").read_text())
    values = {row["quantity"]: row["value"] for row in content["records"]}
    drifts = {"drift_error_neural", "drift_error_plug_in", "drift_error_flow_brownian"}
    assert set(values) == {"kl", "kl_many", "kl_exact"} | drifts
    assert all(value > 0 for value in values.values())
    assert all(row["error"] is None for row in content["table"])  # one seed has no error
    assert "drift_error_plug_in" in capsys.readouterr().out


@pytest.fixture
def run_held_out(tmp_path, monkeypatch):
    adata = ct.datasets.lotka_volterra_simulation(n_cells=20, seed=0)
    monkeypatch.setattr(held_out, "load_present", lambda names: dict.fromkeys(names, adata))
    monkeypatch.setitem(held_out.FOLDS, "eb_pca5", [(2.0,)])
    arguments = ["--data", "eb_pca5", "--methods", "bridge_plug_in", "--out", str(tmp_path)]

    def run(*more):
        held_out.main([*arguments, *more])
        return tmp_path

    return run


def test_held_out_benchmark_writes_table_and_picture(run_held_out):
    folder = run_held_out("--seeds", "0", "1")
    content = json.loads((folder / "held_out_eb_pca5.json").read_text())
    methods = {row["method"] for row in content["table"]}
    assert {"floor", "displacement", "chain_cubic", "bridge_plug_in"} <= methods
    assert (folder / "held_out_eb_pca5.png").stat().st_size > 0
    assert (folder / "held_out.json").is_file()


def test_held_out_benchmark_records_what_a_fit_costs(run_held_out):
    content = json.loads((run_held_out("--seeds", "0") / "held_out_eb_pca5.json").read_text())
    for part in ("records", "table"):
        seconds = {row["method"]: row["cpu_s"] for row in content[part]}
        assert seconds["bridge_plug_in"] > 0
        assert seconds["displacement"] is None  # trivial rows are not fitted


def test_a_fit_without_the_option_of_a_bar_is_scored(monkeypatch):
    def strict(adata, *, time_key, use_rep, seed):
        keys = {"time_key": time_key, "use_rep": use_rep, "seed": seed}
        return ct.tl.fit_bridge(adata, training=None, progress=False, **keys)

    monkeypatch.setitem(held_out.METHODS, "strict", strict)
    adata = ct.datasets.branching(n_cells=20, seed=0)
    scores = held_out.score(adata, [(2.0,)], ["strict"], [0])
    assert "strict" in set(scores["method"])


def test_thinning_is_in_the_title_and_replaces_no_whole_result(run_held_out, capsys):
    folder = run_held_out("--seeds", "0", "--thin", "12")
    assert "held_out_eb_pca5_at_most_12_cells" in capsys.readouterr().out
    assert (folder / "held_out_relative_at_most_12_cells.json").is_file()
    assert not (folder / "held_out_eb_pca5.json").exists()


def test_thinning_keeps_some_cells_of_each_time_in_their_order():
    adata = ct.datasets.branching(n_cells=30, seed=0)
    few = data.thin(adata, 10)
    assert (few.obs["time"].value_counts() == 10).all()
    assert list(few.obs_names) == [name for name in adata.obs_names if name in set(few.obs_names)]
    assert list(data.thin(adata, 10).obs_names) == list(few.obs_names)
    assert data.thin(adata, 1000).n_obs == adata.n_obs


def test_the_best_peer_is_neither_ours_nor_the_floor():
    means = pd.DataFrame(
        {"first": [1.0, 2.0, 3.0, 1.5], "second": [0.0, 4.0, 2.0, 1.0]},
        index=["floor", "displacement", "ot_cfm", "flow_spline"],
    )
    shares = held_out.relative(means)
    assert "floor" not in shares.index
    # the best peer is the displacement of the first data set and OT-CFM on the second
    assert dict(shares.loc["flow_spline"]) == {"first": 0.5, "second": 0.5, "mean": 0.5}
    assert dict(shares.loc["ot_cfm"]) == {"first": 2.0, "second": 1.0, "mean": 1.5}
    assert list(shares.index) == ["flow_spline", "displacement", "ot_cfm"]


def test_a_best_peer_below_the_floor_is_no_unit():
    means = pd.DataFrame(
        {"usable": [1.0, 2.0, 3.0], "many_dimensions": [1.0, 0.8, 0.9]},
        index=["floor", "displacement", "flow_spline"],
    )
    shares = held_out.relative(means)
    assert shares["many_dimensions"].isna().all()
    assert dict(shares["mean"]) == {"displacement": 1.0, "flow_spline": 2.0}


def test_a_timed_fit_keeps_every_cost():
    def work(adata, **options):
        return sum(k * k for k in range(100_000))

    timed = Timed(work)
    assert timed(None) == timed(None, seed=1)
    assert len(timed.seconds) == 2
    assert min(timed.seconds) > 0


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
            "held_out": [1.0, 2.0, 1.0, 2.0],
            "metric": "W1",
            "value": [1.0, 3.0, 3.0, 5.0],
            "cpu_s": [2.0, 2.0, 4.0, 4.0],
        }
    )
    row = held_out.summarise(records).loc["a"]
    assert row["cpu_s"] == 3.0
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


PEERS = {
    "i_cfm": ("torchcfm", "peers", "fit_i_cfm"),
    "ot_cfm": ("torchcfm", "peers", "fit_ot_cfm"),
    "sf2m": ("torchcfm", "peers", "fit_sf2m"),
    "otp_fm": ("otpfm", "peers_otpfm", "fit_otp_fm"),
    "wfr_fm": ("torchdiffeq", "peers_wfrfm", "fit_wfr_fm"),
}


@pytest.fixture(params=PEERS)
def fit_peer(request):
    package, module, name = PEERS[request.param]
    pytest.importorskip(package)
    if request.param == "wfr_fm" and not os.environ.get("WFRFM_HOME"):
        pytest.skip("WFRFM_HOME unset")
    return getattr(importlib.import_module(f"benchmarks.{module}"), name)


def test_a_peer_is_reproducible_and_leaves_global_randomness_alone(fit_peer):
    adata = two_points(1.0)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    x = torch.zeros(3, 2, dtype=torch.float64)
    one, two, other = (fit_peer(adata, seed=seed, max_steps=3).drift(0.3, x) for seed in (0, 0, 1))
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    assert not torch.equal(one, other)
    torch.testing.assert_close(torch.get_rng_state(), torch_state, rtol=0, atol=0)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)


def test_a_peer_is_the_same_motion_in_days_and_hours(fit_peer):
    days, hours = (fit_peer(two_points(u), max_steps=3) for u in (1.0, 24.0))
    x = torch.ones(3, 2, dtype=torch.float64)
    torch.testing.assert_close(days.drift(0.25, x), 24 * hours.drift(6.0, x))
    assert (days.diffusion(0.25, x) == 0).all()


def way_left(process, adata):
    start, end = (np.asarray(adata.X[adata.obs["time"] == t], float) for t in (0.0, 1.0))
    path = ct.models.simulate(
        process, torch.from_numpy(start), (0.0, 1.0), generator=torch.Generator().manual_seed(0)
    )
    mass = None if path.log_mass is None else path.log_mass[-1].softmax(0).numpy()
    moved = ct.metrics.wasserstein(path.x[-1].numpy(), end, weights=mass)
    return moved / ct.metrics.wasserstein(start, end)


def test_a_peer_carries_one_cloud_to_the_other(fit_peer):
    adata = two_points(1.0)
    # its running average of weights still remembers the start after 300 steps
    steps = 1000 if fit_peer.__name__ == "fit_wfr_fm" else 300
    # a fifth of the way may be left: a network trained for so few steps is no exact map
    assert way_left(fit_peer(adata, max_steps=steps), adata) < 0.2


def test_the_sde_of_sf2m_carries_one_cloud_to_the_other(peers):
    adata = two_points(1.0)
    process = peers.fit_sf2m(adata, ode=False, max_steps=300)
    assert way_left(process, adata) < 0.2
    day, hours = process, peers.fit_sf2m(two_points(24.0), ode=False, max_steps=1)
    x = torch.zeros(1, 2, dtype=torch.float64)
    assert float(day.diffusion(0.5, x)[0, 0]) == pytest.approx(peers.SIGMA)
    # as much noise over the gap, whatever the unit
    assert float(hours.diffusion(9.0, x)[0, 0]) == pytest.approx(peers.SIGMA / 24**0.5)


def test_otp_fm_bends_towards_the_snapshot_between():
    pytest.importorskip("otpfm")
    from benchmarks.peers_otpfm import fit_otp_fm

    rng = np.random.default_rng(0)
    times = np.repeat([0.0, 3.0, 4.0], 100)
    cells = rng.normal(scale=0.1, size=(300, 2))
    cells[:, 0] += times
    cells[100:200, 1] += 2.0  # up and down again
    adata = ad.AnnData(cells, obs=pd.DataFrame({"time": times}, index=map(str, range(300))))
    process = fit_otp_fm(adata, max_steps=400)
    path = ct.models.simulate(
        process,
        torch.from_numpy(cells[:100]),
        (0.0, 3.0, 4.0),
        generator=torch.Generator().manual_seed(0),
    )
    _, middle, end = path.x[..., 1].mean(1).tolist()
    assert middle > 1.0
    assert abs(end) < 0.5


def test_a_displacement_carries_each_cell_to_its_partner():
    adata = two_points(4.0)
    snapshots, _ = read_snapshots(adata, time_key="time", use_rep=None)
    process = Displacement(snapshots, (snapshots.x[1],))
    path = ct.models.simulate(
        process, snapshots.x[0], (0.0, 1.0), generator=torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(path.x[-1], 0.75 * snapshots.x[0] + 0.25 * snapshots.x[1])
    with pytest.raises(ValueError, match="in their order"):
        process.drift(0.0, snapshots.x[0][:5])


def test_moscot_pairs_the_cells_of_neighbouring_snapshots():
    pytest.importorskip("moscot")
    adata = ct.datasets.lotka_volterra_simulation(n_cells=20, seed=0)
    process = fit_moscot(adata)
    for partners, after in zip(process.partners, process.snapshots.x[1:], strict=True):
        assert (torch.cdist(partners, after).amin(1) < 1e-12).all()


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
