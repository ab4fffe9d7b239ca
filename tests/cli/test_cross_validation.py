"""The shell for held-out responses: scores, their summary, and what is learned in each fold."""

import json

import matplotlib as mpl
import pandas as pd
import pytest

import celltraj as ct
from celltraj.cli.main import main

COLUMNS = ["--population", "population", "--condition", "condition", "--control", "before"]


@pytest.fixture(autouse=True)
def _without_a_screen():
    import matplotlib.pyplot as plt

    mpl.use("Agg")
    yield
    plt.close("all")


@pytest.fixture
def cohort(tmp_path):
    adata = ct.datasets.interacting_populations(n_populations=3, n_cells=20, seed=0)
    adata.obs["age"] = adata.obs["population"].cat.codes.astype(float)
    adata.write_h5ad(tmp_path / "cohort.h5ad")
    return tmp_path / "cohort.h5ad"


def failed(call, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(list(map(str, call)))
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.splitlines()[-1]


def test_every_population_is_held_out_and_summed_up(cohort, tmp_path, capsys):
    out = tmp_path / "scores"
    call = ["cross-validate-response", str(cohort), *COLUMNS, "--quiet", "--max-steps", "3"]
    assert main([*call, "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == [str(out / "scores.csv"), str(out / "scores.png")]
    assert all((out / name).is_file() for name in ("scores.csv", "scores.png"))
    assert (found["hold_out"], len(found["held_out"])) == ("population", 3)
    table = pd.read_csv(out / "scores.csv")
    expected = ct.get.score_summary(table)
    assert len(found["scores"]) == len(expected)
    assert found["scores"][0]["mean"] == pytest.approx(expected["mean"].iloc[0])
    assert {"floor", "shift", "response"} <= {row["method"] for row in found["scores"]}
    assert not any(value != value for row in found["scores"] for value in row.values())


def seen_by(call, monkeypatch, capsys):
    """Return what a call passes to the function, and to its fits."""
    seen = {}

    def cross_validate(adata, *, fit, **given):
        seen.update(given, fit=fit.keywords)
        raise ValueError("seen")

    monkeypatch.setattr(ct.tl, "cross_validate_response", cross_validate)
    assert failed(call, capsys) == "celltraj: seen"
    return seen


def test_options_reach_the_function(cohort, tmp_path, capsys, monkeypatch):
    call = ["cross-validate-response", cohort, *COLUMNS, "--hold-out", "dose", "--dose", "age"]
    call += ["--covariate", "age", "--cell-type", "population", "--max-steps", "7", "--seed", "3"]
    given = seen_by([*call, "--use-rep", "X", "--out", tmp_path / "s"], monkeypatch, capsys)
    assert (given["hold_out"], given["dose_key"], given["seed"]) == ("dose", ["age"], 3)
    assert (given["cell_type_key"], given["use_rep"]) == ("population", "X")
    assert "prepare" not in given
    assert given["fit"]["training"].max_steps == 7
    assert given["fit"]["options"].covariate_keys == ("age",)
    assert not (tmp_path / "s").exists()


def test_components_are_learned_in_each_fold(cohort, tmp_path, capsys, monkeypatch):
    call = ["cross-validate-response", cohort, *COLUMNS, "--n-comps", "2"]
    given = seen_by([*call, "--out", tmp_path / "s"], monkeypatch, capsys)
    assert given["use_rep"] == "X_pca"
    assert given["prepare"].func is ct.pp.pca_model
    assert given["prepare"].keywords == {"n_comps": 2}
    both = [*call, "--use-rep", "X", "--out", tmp_path / "s"]
    assert "leave one of them out" in failed(both, capsys)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dose", "dose"], "no obs column 'dose'; pass --dose with one of"),
        (["--control", "DMSO"], "control=['DMSO'] is not among"),
        (["--hold-out", "cell_type"], "cell_type"),
    ],
)
def test_a_failure_is_one_line_and_leaves_nothing(cohort, tmp_path, capsys, options, message):
    call = ["cross-validate-response", cohort, *COLUMNS, *options, "--quiet"]
    assert message in failed([*call, "--out", tmp_path / "s"], capsys)
    assert not (tmp_path / "s").exists()
