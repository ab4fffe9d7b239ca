"""What all commands take, and what is refused before any work."""

import argparse
import json

import matplotlib as mpl
import pandas as pd
import pytest

import celltraj as ct
from celltraj.cli import summary
from celltraj.cli.arguments import parser_of_commands
from celltraj.cli.main import main

(_CHOICES,) = (
    action.choices
    for action in parser_of_commands()._actions
    if isinstance(action, argparse._SubParsersAction)
)
COMMANDS = sorted(_CHOICES)


@pytest.fixture(autouse=True)
def _without_a_screen():
    import matplotlib.pyplot as plt

    mpl.use("Agg")
    yield
    plt.close("all")


def refused(call, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(call)
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("celltraj: ")
    assert printed.err.count("\n") == 1
    return printed.err


@pytest.fixture
def data(tmp_path):
    adata = ct.datasets.branching(n_cells=10, seed=0)
    adata[adata.obs["time"] < 3].copy().write_h5ad(tmp_path / "data.h5ad")
    return tmp_path / "data.h5ad"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_the_same_basic_options(command):
    options = {option for action in _CHOICES[command]._actions for option in action.option_strings}
    basic = {"--help", "--version", "--quiet", "--json", "--memory-limit", "--out"}
    assert basic <= options


def test_a_limit_of_memory_ends_a_command_before_the_work(data, tmp_path, capsys):
    call = ["couplings", str(data), "--quiet", "--out", str(tmp_path / "coupled.h5ad")]
    with pytest.raises(SystemExit) as stopped:
        main([*call, "--memory-limit", "0.00001"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "celltraj: this needs about" in said
    assert "and the limit is 1e-05 GB; pass fewer cells" in said
    assert not (tmp_path / "coupled.h5ad").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_its_version(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"celltraj {ct.__version__}\n"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (["couplings", "a", "--out", "a.csv"], "--out: the name must end in .h5ad; found 'a.csv'"),
        (["fates", "a", "--groupby", "b", "--out", "a"], "must end in .h5ad or .csv; found 'a'"),
        (["fates", "a"], "the following arguments are required: --groupby"),
        (["fates", "a", "--groupby", "b", "--at", " "], "--at: ' ' names no time"),
        (["transitions", "a", "--groupby", "b", "--source", "inf"], "inf is not a finite number"),
        (["drivers", "a", "--genes", "x", "--gene-column", "y"], "not allowed with argument"),
        (["drivers", "a", "--n-permutations", "0"], "must be at least 1"),
        (["couplings", "a", "--growth", "some"], "--growth: invalid choice: 'some'"),
        (["couplings", "a", "--tau", "1"], "--tau: expected 2 arguments"),
        (["fit", "a", "--growth", "some"], "--growth: invalid choice: 'some'"),
        (["simulate", "m", "a", "--start", "0"], "arguments are required: --stop"),
        (["simulate", "m", "a", "--start", "0", "--stop", "1", "--n-times", "1"], "at least 2"),
        (["simulate", "m", "a", "--start", "0", "--stop", "1", "--noise", "-1"], "at least 0"),
        (["cross-validate-response", "a", "--hold-out", "cell"], "--hold-out: invalid choice"),
        (["report"], "the following arguments are required: folder"),
        (["report", "a", "--out", "a.pdf"], "--out: the name must end in .html; found 'a.pdf'"),
    ],
)
def test_what_is_mistyped_is_refused_by_the_parser(call, message, capsys):
    error = refused(call, capsys)
    assert message in error
    assert error.endswith(f"; celltraj {call[0]} --help explains the options\n")


@pytest.mark.parametrize("model", ["bridge", "flow"])
@pytest.mark.parametrize(
    ("options", "growth"),
    [([], "auto"), (["--growth", "auto"], "auto"), (["--growth", "none"], None)],
)
def test_a_fit_and_its_scores_have_the_growth_that_was_asked_for(
    data, tmp_path, capsys, monkeypatch, model, options, growth
):
    def fit(adata, **given):
        seen.append(given["growth"])
        raise ValueError("seen")

    def cross_validate(adata, *, fit, **given):
        fit[model](adata)

    seen = []
    monkeypatch.setattr(ct.tl, f"fit_{model}", fit)
    monkeypatch.setattr(ct.tl, "cross_validate", cross_validate)
    for call in (["fit", str(data)], ["evaluate", str(data), "--hold-out", "1"]):
        refused([*call, "--model", model, *options, "--out", str(tmp_path / "run")], capsys)
    assert seen == [growth, growth]


def test_a_fit_says_in_json_what_it_wrote_and_found(data, tmp_path, capsys):
    out = tmp_path / "run"
    call = ["fit", str(data), "--quiet", "--max-steps", "3", "--growth", "none", "--json"]
    assert main([*call, "--seed", "2", "--out", str(out)]) == 0
    found = json.loads(capsys.readouterr().out)
    written = [str(path) for path in sorted(out.rglob("*")) if path.is_file()]
    assert sorted(found["files"]) == written
    assert found["times"] == [0.0, 1.0, 2.0]
    assert (found["steps"], found["use_rep"], found["seed"]) == (3, "X", 2)
    assert found["growth_found"] is None
    assert [row["t0"] for row in found["convergence"]] == [0.0, 1.0]
    table = pd.read_csv(out / "scores.csv")
    best = table[table["metric"] == "W1"].set_index("method")["value"]
    assert {row["method"]: row["W1"] for row in found["scores"]} == pytest.approx(best.to_dict())
    assert any("fewer than 50 cells" in one for one in found["warnings"])
    assert found["version"] == ct.__version__


def test_an_evaluation_says_in_json_what_it_wrote_and_found(data, tmp_path, capsys):
    out = tmp_path / "run"
    call = ["evaluate", str(data), "--hold-out", "1", "--quiet", "--max-steps", "3", "--json"]
    assert main([*call, "--out", str(out)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == [str(out / "scores.csv"), str(out / "scores.png")]
    assert {"floor", "previous", "bridge"} <= {row["method"] for row in found["scores"]}
    assert found["n_cells"] > 0


def test_rows_for_json_keep_small_numbers_and_have_no_nan():
    table = pd.DataFrame({"gene": ["a", "b"], "p": [1e-30, float("nan")], "n": [3, 4]})
    rows = json.loads(summary.as_json({"rows": summary.rows(table)}))["rows"]
    assert rows == [{"gene": "a", "p": 1e-30, "n": 3}, {"gene": "b", "p": None, "n": 4}]
