"""The shell for trajectories: those of the function, and what a model cannot do in one line."""

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import celltraj as ct
from celltraj.cli.main import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with data and the model of a run."""
    folder = tmp_path_factory.mktemp("simulation")
    adata = ct.datasets.branching(n_cells=20, seed=0)
    adata = adata[adata.obs["time"] < 3].copy()
    adata.obs["day"] = [f"D{t:g}" for t in adata.obs["time"]]
    adata.write_h5ad(folder / "data.h5ad")
    bridge = ct.tl.fit_bridge(adata, growth=None, training=None, progress=False)
    bridge.save(folder / "run" / "model")
    return folder


def failed(call, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(list(map(str, call)))
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.splitlines()[-1]


def test_the_trajectories_of_the_function(folder, tmp_path, capsys):
    out = tmp_path / "paths.h5ad"
    call = ["simulate", folder / "run/model", folder / "data.h5ad", "--start", "0", "--stop", "2"]
    call += ["--n-cells", "6", "--n-times", "3", "--seed", "4", "--quiet", "--json", "--out", out]
    assert main(list(map(str, call))) == 0
    found = json.loads(capsys.readouterr().out)
    expected = ct.tl.simulate(
        ad.read_h5ad(folder / "data.h5ad"),
        ct.load(folder / "run/model"),
        start=0.0,
        stop=2.0,
        n_cells=6,
        n_times=3,
        seed=4,
        progress=False,
    )
    written = ad.read_h5ad(out)
    np.testing.assert_array_equal(written.X, expected.X)
    assert (found["files"], found["n_trajectories"], found["seed"]) == ([str(out)], 6, 4)
    assert [row["time"] for row in found["times"]] == [0.0, 1.0, 2.0]
    assert found["n_evaluations"] == expected.uns["celltraj"]["simulate"]["n_evaluations"]


def test_several_times_backwards_from_a_label_and_without_noise(folder, tmp_path, capsys):
    out = tmp_path / "paths.h5ad"
    call = ["simulate", folder / "run/model", folder / "data.h5ad", "--time-key", "day"]
    call += ["--start", "D2", "--stop", "1.5", "D1", "0", "--noise", "0", "--out", out, "--quiet"]
    assert main(list(map(str, call))) == 0
    written = ad.read_h5ad(out)
    assert written.obs["time"].drop_duplicates().tolist() == [2.0, 1.5, 1.0, 0.0]
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["time", "trajectories", "extrapolated"]
    assert len(rows) == 4


def test_mass_is_told_where_a_model_has_growth(folder, tmp_path, capsys, monkeypatch):
    path = ad.AnnData(
        np.zeros((4, 1)),
        obs=pd.DataFrame(
            {
                "trajectory": [0, 1, 0, 1],
                "time": [0.0, 0.0, 1.0, 1.0],
                "extrapolated": False,
                "mass": [1.0, 1.0, 2.0, 4.0],
            },
            index=list("abcd"),
        ),
    )
    record = {"params": {"n_cells": 2, "use_rep": "X"}, "n_evaluations": 3}
    path.uns["celltraj"] = {"simulate": record}
    monkeypatch.setattr(ct.tl, "simulate", lambda *args, **given: path)
    call = ["simulate", folder / "run/model", folder / "data.h5ad", "--start", "0", "--stop", "1"]
    main([*map(str, call), "--json", "--out", str(tmp_path / "p.h5ad")])
    assert [row["mass"] for row in json.loads(capsys.readouterr().out)["times"]] == [1.0, 3.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--start", "0", "--stop", "2", "--noise", "1"],
            "noise is chosen after the fit for a flow",
        ),
        (["--start", "7", "--stop", "8"], "no cells at start=7"),
        (["--start", "0", "--stop", "0"], "choose another stop"),
        (["--start", "0", "--stop", "1", "--time-key", "hour"], "pass --time-key with one of"),
        (["--start", "0", "--stop", "1", "--use-rep", "X_pca"], "no obsm['X_pca']"),
    ],
)
def test_a_failure_is_one_line_and_leaves_nothing(folder, tmp_path, capsys, options, message):
    call = ["simulate", folder / "run/model", folder / "data.h5ad", *options]
    assert message in failed([*call, "--out", tmp_path / "new" / "p.h5ad"], capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_model_says_where_it_is(folder, tmp_path, capsys):
    call = ["simulate", folder / "run", folder / "data.h5ad", "--start", "0", "--stop", "1"]
    message = failed([*call, "--out", tmp_path / "p.h5ad"], capsys)
    assert f"the model of a fit is in {folder / 'run' / 'model'}" in message


@pytest.mark.parametrize("command", ["simulate", "couplings"])
def test_a_response_is_no_law_of_motion(folder, tmp_path, capsys, command):
    adata = ct.datasets.interacting_populations(n_populations=3, n_cells=20, seed=0)
    model = ct.tl.fit_response(
        adata,
        population_key="population",
        condition_key="condition",
        control="before",
        training=ct.models.Training(max_steps=2),
        progress=False,
    )
    model.save(tmp_path / "model")
    data = folder / "data.h5ad"
    calls = {
        "simulate": [tmp_path / "model", data, "--start", "0", "--stop", "1"],
        "couplings": [data, "--model", tmp_path / "model"],
    }
    message = failed([command, *calls[command], "--out", tmp_path / "p.h5ad"], capsys)
    assert "holds a response, which has no times to go through" in message
