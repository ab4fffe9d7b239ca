"""The shell for treatment responses: what it writes and prints, and how it fails."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import anndata as ad
import matplotlib as mpl
import numpy as np
import pytest

import celltraj as ct
from celltraj.cli.main import main

RESULTS = {"fitted.h5ad", "history.png", "populations.png", "summary.json"}
CHECKPOINT = "checkpoint/training.safetensors"
COLUMNS = ["--population", "donor", "--condition", "treatment", "--control", "CTRL"]
QUICK = ["--quiet", "--max-steps", "3"]

SUPPORT = {"population", "n_cells", "outside_share", "embedding_ratio"} | {
    "spread_ratio",
    "centre_distance",
    "base",
}


@pytest.fixture(autouse=True)
def _without_a_screen():
    import matplotlib.pyplot as plt

    mpl.use("Agg")
    yield
    plt.close("all")


def make_cohort():
    """Return three donors before and after, with an age and a site."""
    adata = ct.datasets.interacting_populations(n_populations=3, n_cells=20, seed=0)
    donors = adata.obs.pop("population").cat.codes.to_numpy()
    adata.obs["donor"] = [f"donor {k}" for k in donors]
    labels = {"before": "CTRL", "after": "STIM"}
    adata.obs["treatment"] = adata.obs.pop("condition").map(labels).astype(str)
    adata.obs["age"], adata.obs["site"] = 30.0 + donors, np.array(["A", "B"])[donors % 2]
    return adata


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    file = tmp_path_factory.mktemp("cohort") / "cohort.h5ad"
    make_cohort().write_h5ad(file)
    return file


@pytest.fixture(scope="module")
def run(cohort):
    """Return the folder of a fit with two covariates."""
    out = cohort.parent / "deep" / "run"
    call = ["fit-response", str(cohort), *COLUMNS, "--covariate", "age", "site", *QUICK]
    assert main([*call, "--out", str(out)]) == 0
    return out


@pytest.fixture
def patient(tmp_path):
    """Return the path of the untreated cells of a new patient, without a column of treatments."""
    adata = make_cohort()
    new = adata[(adata.obs["donor"] == "donor 2") & (adata.obs["treatment"] == "CTRL")].copy()
    new.obs = new.obs[["age", "site"]]
    new.write_h5ad(tmp_path / "patient.h5ad")
    return tmp_path / "patient.h5ad"


@pytest.fixture(scope="module")
def prediction(run):
    adata = make_cohort()
    new = adata[(adata.obs["donor"] == "donor 2") & (adata.obs["treatment"] == "CTRL")].copy()
    return ct.tl.predict_response(new, ct.load(run / "model"), condition="STIM", progress=False)


@pytest.fixture
def predicted(prediction):
    """Return a prediction for donor 2, to change."""
    return prediction.copy()


def files(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def results(out):
    """Return the names that stand in the folder of a fit, with what its model is saved as."""
    return RESULTS | {f"model/{name}" for name in files(out / "model")}


def failed(call, capsys):
    """Return the line that a call failed with."""
    with pytest.raises(SystemExit) as stopped:
        main(list(map(str, call)))
    printed = capsys.readouterr()
    assert stopped.value.code == 2
    assert printed.out == ""
    *logs, message = printed.err.splitlines()
    assert message.startswith("celltraj: ")
    assert all(line.startswith("celltraj: ") for line in logs)
    return message


class TestFit:
    def test_model_data_pictures_and_summary(self, run, cohort):
        assert files(run) == results(run)
        model = ct.load(run / "model")
        assert model.conditions == ("STIM",)
        assert [one.name for one in model.coder.covariates] == ["age", "site"]
        params = ad.read_h5ad(run / "fitted.h5ad").uns["celltraj"]["response"]["params"]
        assert params["training"]["max_steps"] == 3
        summary = json.loads((run / "summary.json").read_text())
        assert set(summary["files"]) == {str(run / name) for name in results(run)}
        assert summary["populations"] == [f"donor {k}" for k in range(3)]
        assert summary["conditions"] == ["STIM"]
        assert (summary["n_cells"], summary["steps"], summary["use_rep"]) == (120, 3, "X")
        assert (summary["warnings"], summary["version"]) == ([], ct.__version__)

    def test_the_shell_fits_what_the_function_fits(self, cohort, tmp_path, capsys):
        call = ["fit-response", str(cohort), *COLUMNS, *QUICK, "--seed", "3", "--json"]
        main([*call, "--out", str(tmp_path / "run")])
        printed = capsys.readouterr().out
        assert json.loads(printed) == json.loads((tmp_path / "run/summary.json").read_text())
        model = ct.tl.fit_response(
            ad.read_h5ad(cohort),
            population_key="donor",
            condition_key="treatment",
            control="CTRL",
            training=ct.models.Training(max_steps=3),
            seed=3,
            progress=False,
        )
        assert ct.load(tmp_path / "run/model").losses == model.losses

    def test_an_ensemble_that_knows_who_was_killed(self, tmp_path, capsys):
        adata = make_cohort()
        adata.obs["viability"] = adata.obs["treatment"].map({"CTRL": 1.0, "STIM": 0.5})
        adata.write_h5ad(tmp_path / "cells.h5ad")
        call = ["fit-response", str(tmp_path / "cells.h5ad"), *COLUMNS, *QUICK, "--ensemble", "2"]
        main([*call, "--survival", "viability", "--out", str(tmp_path / "run"), "--json"])
        summary = json.loads(capsys.readouterr().out)
        assert (summary["networks"], summary["base"]) == (2, 0.5)
        assert summary["base_reason"] == "by default: 3 populations decide nothing"
        call = ["predict", str(tmp_path / "run/model"), str(tmp_path / "cells.h5ad"), "--quiet"]
        main([*call, "--condition", "STIM", "--out", str(tmp_path / "new.h5ad"), "--json"])
        killed = json.loads(capsys.readouterr().out)["killed"]
        told = ct.get.killed(ad.read_h5ad(tmp_path / "new.h5ad"))
        assert [row["killed"] for row in killed] == pytest.approx(told["killed"].tolist())

    def test_drugs_given_together_with_doses_and_two_controls(self, tmp_path, capsys):
        adata = ct.datasets.drug_screen(n_lines=2, n_drugs=3, n_cells=25, n_vars=2, seed=0)
        adata.obs["drug_1"] = adata.obs["drug_1"].astype(str)
        line = (adata.obs["population"] == "line 0") & (adata.obs["drug_1"] == "control")
        adata.obs.loc[line, "drug_1"] = "DMSO"
        adata.write_h5ad(tmp_path / "screen.h5ad")
        call = ["fit-response", str(tmp_path / "screen.h5ad"), "--population", "population"]
        call += ["--condition", "drug_1", "drug_2", "--dose", "dose_1", "dose_2", *QUICK]
        main([*call, "--control", "control", "DMSO", "--out", str(tmp_path / "run")])
        capsys.readouterr()
        call = ["predict", str(tmp_path / "run/model"), str(tmp_path / "screen.h5ad"), "--quiet"]
        call += ["--condition", "drug 1", "drug 0", "--dose", "1", "10", "--guidance", "2"]
        main([*call, "--noise", "0.1", "--out", str(tmp_path / "p.h5ad"), "--json"])
        summary = json.loads(capsys.readouterr().out)
        assert summary["condition"] == "drug 0 10 + drug 1 1"
        assert [row["n_cells"] for row in summary["support"]] == [25, 25]
        params = ad.read_h5ad(tmp_path / "p.h5ad").uns["celltraj"]["response"]["params"]
        assert (params["guidance"], params["noise"]) == (2.0, 0.1)
        start = ["predict", str(tmp_path / "run/model"), str(tmp_path / "screen.h5ad"), "--quiet"]
        call = [*start, "--condition", "drug 0", "--dose", "0.1", "--dose", "1"]
        main([*call, "--out", str(tmp_path / "curve.h5ad"), "--json"])
        curve = json.loads(capsys.readouterr().out)
        assert (curve["conditions"], curve["n_cells"]) == (["drug 0 0.1", "drug 0 1"], 100)
        call = [*start, "--condition", "drug 0", "--condition", "drug 1", "--dose", "1"]
        main([*call, "--out", str(tmp_path / "curve.h5ad"), "--json"])
        assert json.loads(capsys.readouterr().out)["conditions"] == ["drug 0 1", "drug 1 1"]
        call = [*call, "--dose", "1", "--dose", "2", "--out", tmp_path / "curve.h5ad"]
        assert "found 3 of 2 conditions" in failed(call, capsys)

    def test_a_bridge_that_stood_there_is_gone(self, cohort, tmp_path, capsys):
        adata = ct.datasets.branching(n_cells=10, seed=0)
        bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
        bridge.save(tmp_path / "model")
        (tmp_path / "model" / "notes.txt").write_text("mine")
        main(["fit-response", str(cohort), *COLUMNS, *QUICK, "--out", str(tmp_path)])
        assert isinstance(ct.load(tmp_path / "model"), ct.models.MetaFlowMatching)
        assert (tmp_path / "model" / "notes.txt").read_text() == "mine"
        ct.load(tmp_path / "model").save(tmp_path / "alone")
        assert files(tmp_path / "model") == files(tmp_path / "alone") | {"notes.txt"}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--population", "patient"], "no obs column 'patient'; pass --population with one of"),
            (["--condition", "treatment", "drug_2"], "pass --condition with one of ['split',"),
            (["--cell-type", "type"], "pass --cell-type with one of"),
            (["--dose", "dose"], "pass --dose with one of"),
            (["--covariate", "sex"], "pass --covariate with one of"),
            (["--control", "DMSO"], "control=['DMSO'] is not among ['CTRL', 'STIM']"),
            (["--use-rep", "X_pca"], "no obsm['X_pca']"),
            (["--max-steps", "0"], "--max-steps: must be at least 1"),
            (["--seed", "-1"], "--seed: must be at least 0"),
            (["--checkpoint-every", "0"], "--checkpoint-every: must be at least 1"),
        ],
    )
    def test_a_failure_is_one_line_and_leaves_nothing(
        self, cohort, tmp_path, capsys, options, message
    ):
        out = tmp_path / "new" / "run"
        call = ["fit-response", cohort, *COLUMNS, *QUICK, *options, "--out", out]
        assert message in failed(call, capsys)
        assert not out.parent.exists()

    def test_a_truncated_file_is_one_line(self, cohort, tmp_path, capsys):
        file = tmp_path / "short.h5ad"
        file.write_bytes(cohort.read_bytes()[:5000])
        call = ["fit-response", file, *COLUMNS, *QUICK, "--out", tmp_path / "run"]
        assert "it is truncated or of another format" in failed(call, capsys)
        assert not (tmp_path / "run").exists()


def in_a_process(*call):
    # a shell has what it runs in the background ignore interrupts, which processes inherit
    command = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from celltraj.cli.main import main; raise SystemExit(main())"
    )
    return subprocess.Popen(
        [sys.executable, "-c", command, *map(str, call)],
        env=os.environ | {"MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_an_interrupted_fit_resumes_to_the_same_model(cohort, tmp_path, capsys):
    call = ["fit-response", str(cohort), *COLUMNS, "--quiet", "--max-steps", "101"]
    call += ["--checkpoint-every", "50", "--out"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    main([*call, str(whole)])
    process = in_a_process(*call, parts)
    end = time.monotonic() + 120
    while not (parts / CHECKPOINT).exists() and time.monotonic() < end:
        time.sleep(0.002)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert out == ""
    assert err.splitlines()[-1] == (
        "celltraj: interrupted; fit goes on from its checkpoint with --resume"
    )
    assert files(parts) == {CHECKPOINT}
    main([*call, str(parts), "--resume"])
    assert files(parts) == files(whole) == results(whole)
    for name in results(whole) - RESULTS:
        assert (parts / name).read_bytes() == (whole / name).read_bytes()


class TestPredict:
    def test_a_new_process_predicts_the_same(self, run, patient, tmp_path):
        """The shell as such: exit status, a JSON object on stdout, logs on stderr."""
        out = tmp_path / "new" / "deep" / "predicted.h5ad"
        ad.read_h5ad(patient)[:8].copy().write_h5ad(patient)
        process = in_a_process(
            "predict", run / "model", patient, "--condition", "STIM", "--seed", "5", "--json",
            "--out", out,
        )  # fmt: skip
        stdout, stderr = process.communicate(timeout=300)
        assert process.returncode == 0
        summary = json.loads(stdout)
        assert summary["files"] == [str(out)]
        assert (summary["n_cells"], summary["populations"]) == (8, ["new"])
        assert (summary["condition"], summary["version"]) == ("STIM", ct.__version__)
        assert summary["seconds"] > 0
        (row,) = summary["support"]
        assert set(row) == SUPPORT
        assert "celltraj: wrote 8 cells under STIM" in stderr
        (warning,) = summary["warnings"]
        assert "fewer than 10 untreated cells" in warning
        assert f"celltraj: {warning}" in stderr.splitlines()
        assert "predicting" in stderr  # the bar
        assert files(out.parent) == {"predicted.h5ad"}
        found = ad.read_h5ad(out)
        with pytest.warns(ct.DataWarning, match="fewer than 10"):
            expected = ct.tl.predict_response(
                ad.read_h5ad(patient),
                ct.load(run / "model"),
                condition="STIM",
                seed=5,
                progress=False,
            )
        np.testing.assert_allclose(found.X, expected.X, atol=1e-6)
        assert list(found.obs_names) == list(expected.obs_names)

    def test_without_json_the_support_is_printed(self, run, cohort, tmp_path, capsys):
        out = tmp_path / "p.h5ad"
        call = ["predict", str(run / "model"), str(cohort), "--condition", "STIM", "--quiet"]
        assert main([*call, "--out", str(out)]) == 0
        header, *rows = capsys.readouterr().out.splitlines()
        assert set(header.split()) == SUPPORT
        assert [row.split()[2] for row in rows] == ["20"] * 3
        # treated cells are left out, and every donor has its covariates
        assert ad.read_h5ad(out).n_obs == 60

    def test_covariates_are_those_of_obs_unless_given(self, predicted, run, patient, tmp_path):
        model, adata = ct.load(run / "model"), ad.read_h5ad(patient)
        out = tmp_path / "p.h5ad"
        call = ["predict", str(run / "model"), str(patient), "--condition", "STIM", "--quiet"]
        main([*call, "--covariate", "age=80", "site=A", "--out", str(out)])
        expected = ct.tl.predict_response(
            adata, model, condition="STIM", covariates={"age": 80.0, "site": "A"}, progress=False
        )
        np.testing.assert_allclose(ad.read_h5ad(out).X, expected.X, atol=1e-6)
        assert np.abs(predicted.X - expected.X).max() > 1e-4

    def test_every_warning_is_a_line_and_in_the_summary(
        self, run, patient, tmp_path, capsys, caplog
    ):
        adata = ad.read_h5ad(patient)
        adata.X = adata.X + 100
        adata.write_h5ad(patient)
        call = ["predict", str(run / "model"), str(patient), "--condition", "STIM", "--quiet"]
        assert main([*call, "--out", str(tmp_path / "p.h5ad"), "--json"]) == 0
        summary = json.loads(capsys.readouterr().out)
        far, *_, unlike = summary["warnings"]
        assert "far outside those of the training" in far
        assert "population 'new' is" in unlike
        assert any("is unlike those of the training" in one for one in summary["warnings"])
        assert caplog.messages[: len(summary["warnings"])] == summary["warnings"]
        assert summary["support"][0]["outside_share"] == 1.0

    def test_what_json_cannot_say_is_null(
        self, predicted, run, patient, tmp_path, capsys, monkeypatch
    ):
        predicted.uns["celltraj"]["response"]["support"]["embedding_ratio"] = np.nan
        monkeypatch.setattr(ct.tl, "predict_response", lambda *args, **kwargs: predicted)
        call = ["predict", str(run / "model"), str(patient), "--condition", "STIM"]
        main([*call, "--json", "--out", str(tmp_path / "p.h5ad")])
        assert json.loads(capsys.readouterr().out)["support"][0]["embedding_ratio"] is None

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--condition", "IL6"], "unknown drug 'IL6'; known are ['STIM']"),
            (["--dose", "1"], "the model has no doses"),
            (["--covariate", "sex=F"], "has no covariates ['sex']; it has ['age', 'site']"),
            (["--covariate", "age=old"], "the training had numbers there"),
            (["--covariate", "site=C"], "covariate 'site' is 'C'; the model knows ('A', 'B')"),
            (["--noise", "-1"], "--noise: must be at least 0; found -1"),
            (["--seed", "-1"], "--seed: must be at least 0"),
        ],
    )
    def test_a_failure_keeps_what_stood_there(
        self, run, patient, tmp_path, capsys, options, message
    ):
        out = tmp_path / "predicted.h5ad"
        out.write_text("earlier")
        call = ["predict", run / "model", patient, "--condition", "STIM", *options]
        assert message in failed([*call, "--json", "--quiet", "--out", out], capsys)
        assert out.read_text() == "earlier"
        assert files(tmp_path) == {"patient.h5ad", "predicted.h5ad"}

    def test_a_file_is_only_replaced_by_a_whole_one(
        self, predicted, run, patient, tmp_path, capsys, monkeypatch
    ):
        out = tmp_path / "new" / "predicted.h5ad"
        call = ["predict", run / "model", patient, "--condition", "STIM", "--quiet", "--out", out]
        monkeypatch.setattr(ct.tl, "predict_response", lambda *args, **kwargs: predicted)

        def half(adata, path):
            Path(path).write_text("half")
            # as h5py raises it
            raise RuntimeError("Can't decrement (errno = 28, error message = 'No space left')")

        def fail():
            with monkeypatch.context() as patch:
                patch.setattr(ad.AnnData, "write_h5ad", half)
                assert failed(call, capsys) == (
                    f"celltraj: cannot write to {out} (No space left on device); free some space "
                    "there, or pass another --out"
                )

        fail()
        assert not out.parent.exists()
        main(list(map(str, call)))
        capsys.readouterr()
        first = out.read_bytes()
        fail()
        assert out.read_bytes() == first
        predicted.uns["celltraj"]["response"]["seed"] = 7
        main(list(map(str, call)))
        assert ad.read_h5ad(out).uns["celltraj"]["response"]["seed"] == 7
        assert files(out.parent) == {"predicted.h5ad"}

    def test_an_interrupt_is_one_line(self, run, patient, tmp_path, capsys, monkeypatch):
        def interrupt(*args, **kwargs):
            raise KeyboardInterrupt

        monkeypatch.setattr(ct.tl, "predict_response", interrupt)
        call = ["predict", run / "model", patient, "--condition", "STIM", "--json"]
        with pytest.raises(SystemExit) as stopped:
            main(list(map(str, [*call, "--out", tmp_path / "p.h5ad"])))
        assert stopped.value.code == 130
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err == "celltraj: interrupted\n"
        assert files(tmp_path) == {"patient.h5ad"}

    def test_the_file_to_write_is_checked_first(self, run, patient, tmp_path, capsys):
        call = ["predict", run / "model", patient, "--condition", "STIM", "--out"]
        assert "is a folder; pass the path of a file" in failed([*call, tmp_path], capsys)
        message = failed([*call, tmp_path / ".." / tmp_path.name / "patient.h5ad"], capsys)
        assert f"is read as {patient} and would be replaced; pass another --out" in message

    @pytest.mark.parametrize(
        ("option", "value", "message"),
        [
            ("--covariate", "age", "'age' is not name=value"),
            ("--dose", "nan", "nan is not a finite number"),
            ("--guidance", "inf", "inf is not a finite number"),
            ("--noise", "much", "invalid"),
        ],
    )
    def test_what_is_mistyped_is_refused_by_the_parser(self, capsys, option, value, message):
        with pytest.raises(SystemExit) as stopped:
            main(["predict", "model", "new.h5ad", "--condition", "STIM", option, value])
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err


class TestUnusableInput:
    """A model or a file that cannot be read is one line that says so."""

    @pytest.fixture
    def copy(self, run, tmp_path):
        """Return a copy of the model that may be spoilt."""
        model = tmp_path / "model"
        ct.load(run / "model").save(model)
        return model

    def predict(self, model, data, tmp_path, capsys):
        call = ["predict", model, data, "--condition", "STIM", "--out", tmp_path / "new/p.h5ad"]
        message = failed(call, capsys)
        assert not (tmp_path / "new").exists()
        return message

    def test_no_model(self, run, patient, tmp_path, capsys):
        for path in (tmp_path, tmp_path / "nowhere", patient):
            message = self.predict(path, patient, tmp_path, capsys)
            assert str(path) in message
        message = self.predict(run, patient, tmp_path, capsys)
        assert message.endswith(f"the model of a fit is in {run / 'model'}")

    @pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
    def test_part_of_a_model(self, copy, patient, tmp_path, capsys, share):
        for file in list(copy.iterdir()):
            content = file.read_bytes()
            file.write_bytes(content[: int(share * len(content))])
            message = self.predict(copy, patient, tmp_path, capsys)
            assert f"cannot read the model in {copy}" in message
            assert "it is incomplete or of another version" in message
            file.write_bytes(content)

    def test_files_that_hold_something_else(self, copy, patient, tmp_path, capsys):
        for file in list(copy.iterdir()):
            content = file.read_bytes()
            file.write_text('{"format": 1}')
            assert str(copy) in self.predict(copy, patient, tmp_path, capsys)
            file.unlink()
            assert str(copy) in self.predict(copy, patient, tmp_path, capsys)
            file.write_bytes(content)

    def test_another_model(self, patient, tmp_path, capsys):
        adata = ct.datasets.branching(n_cells=10, seed=0)
        bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
        bridge.save(tmp_path / "bridge")
        message = self.predict(tmp_path / "bridge", patient, tmp_path, capsys)
        assert "(Bridge); fit one with celltraj fit-response" in message

    def test_files(self, run, patient, tmp_path, capsys):
        model = run / "model"
        content = patient.read_bytes()
        patient.write_bytes(content[: len(content) // 2])
        message = self.predict(model, patient, tmp_path, capsys)
        assert "it is truncated or of another format" in message
        patient.unlink()
        assert f"no file {patient}" in self.predict(model, patient, tmp_path, capsys)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda a: a.obs.pop("age"), "there is no such obs column; pass --covariate age=..."),
            (
                lambda a: setattr(a, "var_names", ["x", "z"]),
                "1 of the 2 variables of the training are missing: ['y']",
            ),
            (lambda a: a.obs.insert(0, "treatment", "STIM"), "no untreated cells"),
            (lambda a: a.X.fill(np.nan), "NaN or infinite values"),
        ],
    )
    def test_columns_and_cells(self, run, patient, tmp_path, capsys, change, message):
        adata = ad.read_h5ad(patient)
        change(adata)
        adata.write_h5ad(patient)
        assert message in self.predict(run / "model", patient, tmp_path, capsys)


class TestFilesAsTheyCome:
    def test_a_file_that_lacks_a_gene_is_refused_only_by_strict(self, cohort, tmp_path, capsys):
        adata = ct.datasets.interacting_populations(n_populations=3, n_cells=20, seed=0)
        rng = np.random.default_rng(0)
        wide = ad.AnnData(adata.X @ rng.normal(size=(2, 12)), obs=adata.obs)
        wide.write_h5ad(tmp_path / "wide.h5ad")
        columns = ["--population", "population", "--condition", "condition", "--control", "before"]
        run = str(tmp_path / "run")
        assert (
            main(["fit-response", str(tmp_path / "wide.h5ad"), *columns, *QUICK, "--out", run]) == 0
        )
        new = ad.AnnData(wide.X[:, 1:], obs=wide.obs)
        new.var_names = [*wide.var_names[2:], "a stranger"]
        new.write_h5ad(tmp_path / "new.h5ad")
        capsys.readouterr()
        for name, more in (("predict", ["--condition", "after"]), ("embed", [])):
            out = tmp_path / f"{name}.h5ad"
            call = [name, f"{run}/model", str(tmp_path / "new.h5ad"), *more, "--quiet", "--json"]
            call += ["--out", str(out)]
            message = failed([*call, "--strict"], capsys)
            assert "2 of the 12 variables of the training are missing: ['0', '1']" in message
            assert not out.exists()
            assert "At most 10%" in failed(call, capsys)

    def test_drugs_are_described_by_a_table(self, cohort, tmp_path, capsys):
        table, run = tmp_path / "drugs.csv", tmp_path / "run"
        table.write_text("drug,weight\nSTIM,1\n")
        call = ["fit-response", str(cohort), *COLUMNS, *QUICK, "--features", str(table)]
        assert (
            main([*call, "--encoder", "none", "--coupling", "unbalanced", "--out", str(run)]) == 0
        )
        model = ct.load(run / "model")
        assert model.encoder is None
        assert model.has_survival
        table.write_text("drug,weight\nIL6,2\n")
        capsys.readouterr()
        call = ["predict", str(run / "model"), str(cohort), "--condition", "IL6", "--quiet"]
        call += ["--out", str(tmp_path / "p.h5ad")]
        assert "known are" in failed(call, capsys)
        assert main([*call, "--features", str(table)]) == 0
        capsys.readouterr()
        assert "no file" in failed([*call, "--features", tmp_path / "none.csv"], capsys)
        table.write_text("drug,weight\nIL6,much\n")
        assert "--features needs a csv table" in failed([*call, "--features", table], capsys)


def test_genes_to_components_and_back(tmp_path, capsys):
    adata = ct.datasets.branching(n_cells=20, seed=0)
    file, placed, genes = (tmp_path / name for name in ("a.h5ad", "b.h5ad", "c.h5ad"))
    adata.write_h5ad(file)
    call = ["pca", str(file), "--n-comps", "2", "--out", str(placed), "--json"]
    assert main(call) == 0
    assert json.loads(capsys.readouterr().out)["n_comps"] == 2
    assert main(["decode", str(placed), "--out", str(genes), "--json"]) == 0
    np.testing.assert_allclose(ad.read_h5ad(genes).X, adata.X, atol=1e-5)
    # in the components of others the same cells lie where they did
    again = tmp_path / "again.h5ad"
    assert main(["pca", str(file), "--loadings", str(placed), "--out", str(again)]) == 0
    found = ad.read_h5ad(again).obsm["X_pca"]
    np.testing.assert_allclose(found, ad.read_h5ad(placed).obsm["X_pca"], atol=1e-5)
    capsys.readouterr()
    call = ["pca", file, "--fit-on", "chosen", "--out", tmp_path / "d.h5ad"]
    assert "--fit-on" in failed(call, capsys)
