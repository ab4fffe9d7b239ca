"""The shell for what becomes of cells: the results of the functions, in files of their own."""

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import celltraj as ct
from celltraj.cli.main import main


def make_data():
    adata = ct.datasets.branching(n_cells=30, seed=0)
    adata = adata[adata.obs["time"] < 3].copy()
    adata.obs["day"] = [f"D{t:g}" for t in adata.obs.pop("time")]
    adata.obs["mouse"] = np.resize(["a", "b", "c"], adata.n_obs)
    adata.var["tf"] = [True, False]
    return adata


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with data, plain couplings of them, and fates along those."""
    folder = tmp_path_factory.mktemp("lineage")
    make_data().write_h5ad(folder / "data.h5ad")
    call = ["couplings", str(folder / "data.h5ad"), "--time-key", "day", "--quiet"]
    assert main([*call, "--growth", "none", "--out", str(folder / "coupled.h5ad")]) == 0
    call = ["fates", str(folder / "coupled.h5ad"), "--groupby", "arm", "--quiet"]
    assert main([*call, "--out", str(folder / "fates.h5ad")]) == 0
    return folder


@pytest.fixture(scope="module")
def coupled(folder):
    return ad.read_h5ad(folder / "coupled.h5ad")


def shown(call, capsys):
    """Return the object that a call prints with ``--json``, alone on stdout."""
    capsys.readouterr()
    assert main([*map(str, call), "--quiet", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def failed(call, capsys):
    """Return the line that a call failed with."""
    with pytest.raises(SystemExit) as stopped:
        main([*map(str, call), "--quiet"])
    printed = capsys.readouterr()
    assert stopped.value.code == 2
    assert printed.out == ""
    *_, message = printed.err.splitlines()
    assert message.startswith("celltraj: ")
    return message


class TestCouplings:
    def test_plain_transport(self, folder, coupled):
        adata = make_data()
        ct.tl.couplings(adata, time_key="day", growth=None, progress=False)
        np.testing.assert_array_equal(coupled.obsm["couplings"], adata.obsm["couplings"])

    def test_options_of_transport(self, folder, tmp_path, capsys):
        out = tmp_path / "new" / "soft.h5ad"
        call = ["couplings", folder / "data.h5ad", "--time-key", "day", "--tau", ".9", ".95"]
        call += ["--epsilon", ".1", "--key-added", "soft", "--use-rep", "X", "--out", out]
        found = shown(call, capsys)
        assert found["files"] == [str(out)]
        assert (found["key"], found["use_rep"], found["seed"]) == ("soft", "X", 0)
        assert [(row["t0"], row["epsilon"]) for row in found["gaps"]] == [(0, 0.1), (1, 0.1)]
        params = ad.read_h5ad(out).uns["celltraj"]["soft"]["params"]
        assert (params["tau_a"], params["tau_b"]) == (0.9, 0.95)

    def test_a_fitted_model(self, folder, tmp_path, capsys):
        adata = make_data()
        model = ct.tl.fit_bridge(adata, time_key="day", growth=None, training=None, progress=False)
        model.save(tmp_path / "model")
        out = tmp_path / "coupled.h5ad"
        call = ["couplings", folder / "data.h5ad", "--model", tmp_path / "model", "--out", out]
        found = shown([*call, "--time-key", "day"], capsys)
        ct.tl.couplings(adata, model, progress=False)
        expected = ct.get.convergence(adata)
        assert [row["epsilon"] for row in found["gaps"]] == expected["epsilon"].tolist()
        written = ad.read_h5ad(out).obsm["couplings"]
        np.testing.assert_allclose(written, adata.obsm["couplings"], atol=1e-8)
        call += ["--growth", "none"]
        assert "a model has growth of its own" in failed(call, capsys)

    def test_growth_is_auto_unless_told(self, folder, tmp_path, capsys, monkeypatch):
        def couplings(adata, model, *, growth, **given):
            seen.append(growth)
            raise ValueError("seen")

        seen = []
        monkeypatch.setattr(ct.tl, "couplings", couplings)
        call = ["couplings", folder / "data.h5ad", "--out", tmp_path / "c.h5ad"]
        for options in ([], ["--growth", "auto"], ["--growth", "none"]):
            failed([*call, *options], capsys)
        assert seen == ["auto", "auto", None]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--time-key", "hour"], "no obs column 'hour'; pass --time-key with one of ['arm',"),
            (["--time-key", "day", "--growth-key", "g"], "pass --growth-key with one of"),
            (["--time-key", "day", "--use-rep", "X_umap"], "no obsm['X_umap']"),
            (["--time-key", "day", "--tau", "2", "1"], "tau"),
            (["--model", "nowhere"], "nowhere holds none of model.safetensors"),
        ],
    )
    def test_a_failure_is_one_line_and_leaves_nothing(
        self, folder, tmp_path, capsys, options, message
    ):
        out = tmp_path / "new" / "c.h5ad"
        call = ["couplings", folder / "data.h5ad", *options, "--out", out]
        assert message in failed(call, capsys)
        assert not out.parent.exists()


class TestFates:
    def test_cells_have_the_fates_of_the_function(self, folder, coupled):
        expected = ct.tl.fates(coupled, groupby="arm", copy=True, progress=False)
        found = ad.read_h5ad(folder / "fates.h5ad")
        pd.testing.assert_frame_equal(ct.get.fates(found), ct.get.fates(expected))

    def test_a_table_has_a_row_for_each_cell_and_fate(self, folder, coupled, tmp_path, capsys):
        out = tmp_path / "fates.csv"
        call = ["fates", folder / "coupled.h5ad", "--groupby", "arm", "--at", "D2", "--out", out]
        found = shown(call, capsys)
        assert (found["files"], found["at"]) == ([str(out)], 2.0)
        assert "seed" not in found
        table = pd.read_csv(out)
        assert list(table) == ["cell", "time", "fate", "share"]
        wide = table.pivot_table(index="cell", columns="fate", values="share")
        expected = ct.get.fates(ct.tl.fates(coupled, groupby="arm", copy=True, progress=False))
        np.testing.assert_allclose(wide.loc[expected.index, expected.columns], expected, atol=1e-6)
        first = next(row for row in found["means"] if (row["time"], row["fate"]) == (0, "upper"))
        cells = coupled.obs["day"] == "D0"
        assert first["share"] == pytest.approx(expected.loc[cells, "upper"].mean(), abs=1e-6)

    def test_a_table_of_means_is_printed(self, folder, tmp_path, capsys):
        call = ["fates", folder / "coupled.h5ad", "--groupby", "arm", "--out", tmp_path / "f.csv"]
        capsys.readouterr()
        main([*map(str, call), "--quiet"])
        header, *rows = capsys.readouterr().out.splitlines()
        assert set(header.split()) == {"time", "upper", "lower"}
        assert [row.split()[0] for row in rows] == ["0.0", "1.0", "2.0"]

    def test_several_couplings_give_an_interval(self, folder, tmp_path, capsys):
        both = tmp_path / "both.h5ad"
        call = ["couplings", folder / "coupled.h5ad", "--time-key", "day", "--epsilon", "1"]
        shown([*call, "--key-added", "wide", "--out", both], capsys)
        call = ["fates", both, "--groupby", "arm", "--key", "couplings", "wide"]
        shown([*call, "--out", tmp_path / "f.csv"], capsys)
        table = pd.read_csv(tmp_path / "f.csv")
        assert list(table) == ["cell", "time", "fate", "share", "lower", "upper"]
        table = table.dropna()
        assert (table["lower"] <= table["share"]).all()
        assert (table["share"] <= table["upper"]).all()
        assert (table["lower"] < table["upper"]).any()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--groupby", "type"], "no obs column 'type'; pass --groupby with one of"),
            (["--groupby", "arm", "--key", "other"], "'other'"),
            (["--groupby", "arm", "--at", "D7"], "D7"),
            (["--groupby", "arm", "--confidence", "2"], "confidence must be in (0, 1)"),
        ],
    )
    def test_a_failure_is_one_line(self, folder, tmp_path, capsys, options, message):
        call = ["fates", folder / "coupled.h5ad", *options, "--out", tmp_path / "f.h5ad"]
        assert message in failed(call, capsys)
        assert list(tmp_path.iterdir()) == []


class TestTransitions:
    def test_the_table_and_the_cells(self, folder, coupled, tmp_path, capsys):
        call = ["transitions", folder / "coupled.h5ad", "--groupby", "arm", "--out"]
        found = shown([*call, tmp_path / "t.csv"], capsys)
        shown([*call, tmp_path / "t.h5ad", "--source", "D0", "--target", "2"], capsys)
        ct.tl.transitions(coupled, groupby="arm", progress=False)
        expected = coupled.uns["celltraj"].pop("transitions")["table"].reset_index(drop=True)
        pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "t.csv"), expected)
        assert found["transitions"] == expected.to_dict("records")
        held = ct.get.transitions(ad.read_h5ad(tmp_path / "t.h5ad"))
        assert held.shape == (1, 2)
        assert held.to_numpy().sum() == pytest.approx(1)

    def test_one_time_alone_is_one_line(self, folder, tmp_path, capsys):
        call = ["transitions", folder / "coupled.h5ad", "--groupby", "arm", "--source", "0"]
        assert "pass both, or neither" in failed([*call, "--out", tmp_path / "t.csv"], capsys)


class TestDrivers:
    def test_the_table_and_the_cells(self, folder, tmp_path, capsys):
        call = ["drivers", folder / "fates.h5ad", "--out"]
        found = shown([*call, tmp_path / "d.csv"], capsys)
        shown([*call, tmp_path / "d.h5ad", "--key-added", "mine"], capsys)
        expected = ad.read_h5ad(folder / "fates.h5ad")
        ct.tl.drivers(expected, progress=False)
        table = ct.get.drivers(expected)
        pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "d.csv"), table)
        pd.testing.assert_frame_equal(
            ct.get.drivers(ad.read_h5ad(tmp_path / "d.h5ad"), key="mine"), table
        )
        assert (found["n_genes"], found["units"]) == (2, "cells")
        assert found["highest"] == table.to_dict("records")

    def test_options_reach_the_function(self, folder, tmp_path, capsys, monkeypatch):
        real, seen = ct.tl.drivers, []

        def drivers(adata, **given):
            seen.append(given)
            return real(adata, **given)

        monkeypatch.setattr(ct.tl, "drivers", drivers)
        call = ["drivers", folder / "fates.h5ad", "--out", tmp_path / "d.csv"]
        found = shown(
            [*call, "--sample-key", "mouse", "--gene-column", "tf", "--time", "D0", "1"], capsys
        )
        assert (found["n_genes"], found["units"]) == (1, "samples")
        shown([*call, "--genes", "y", "--time", "pooled", "--n-permutations", "19"], capsys)
        first, second = seen
        assert (first["sample_key"], first["genes"], first["time"]) == ("mouse", "tf", ["D0", 1.0])
        assert (second["genes"], second["time"]) == (["y"], "pooled")
        assert second["n_permutations"] == 19
        assert pd.read_csv(tmp_path / "d.csv")["p"].min() >= 1 / 20

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--sample-key", "dog"], "no obs column 'dog'; pass --sample-key with one of"),
            (["--genes", "gata1"], "1 of 1 genes are missing"),
            (["--key", "none"], "no fates in adata.obsm['none']"),
        ],
    )
    def test_a_failure_is_one_line(self, folder, tmp_path, capsys, options, message):
        call = ["drivers", folder / "fates.h5ad", *options, "--out", tmp_path / "d.csv"]
        assert message in failed(call, capsys)


def test_a_file_that_changed_since_is_refused(folder, coupled, tmp_path, capsys):
    adata = coupled.copy()
    adata.X = adata.X + 1
    adata.write_h5ad(tmp_path / "changed.h5ad")
    call = ["fates", tmp_path / "changed.h5ad", "--groupby", "arm", "--out", tmp_path / "f.h5ad"]
    assert "is stale" in failed(call, capsys)
