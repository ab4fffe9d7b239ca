"""The shell: what it writes, and how it fails."""

import os
import subprocess
import sys
import time

import anndata as ad
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open

import celltraj as ct
from celltraj.cli import time_course
from celltraj.cli.main import main

QUICK = ["--quiet", "--max-steps", "3"]
CHECKPOINT = "checkpoint/training.safetensors"
PICTURES = {"snapshots.png", "trajectories.png", "marginals.png", "history.png", "scores.png"}


@pytest.fixture(autouse=True)
def _without_a_screen():
    import matplotlib.pyplot as plt

    mpl.use("Agg")
    yield
    plt.close("all")


@pytest.fixture
def data(tmp_path):
    """Return the path of a file with three unequally spaced times in ``obs["day"]``."""
    adata = ct.datasets.branching(n_cells=15, seed=0)
    adata = adata[adata.obs["time"].isin([0, 1, 4])].copy()
    adata.obs["day"] = [f"day {t:g}" for t in adata.obs.pop("time")]
    adata.write_h5ad(tmp_path / "data.h5ad")
    return tmp_path / "data.h5ad"


def files(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def model_files(out):
    """Return what a model is saved as, which is not of interest here."""
    return {f"model/{name}" for name in files(out / "model")}


def test_fit_writes_model_data_scores_and_pictures(data, tmp_path, capsys):
    out = tmp_path / "deep" / "run"
    assert main(["fit", str(data), "--time-key", "day", "--out", str(out), *QUICK]) == 0
    assert files(out) == PICTURES | {
        "fitted.h5ad",
        "trajectories.h5ad",
        "scores.csv",
        *model_files(out),
    }
    assert ct.load(out / "model").snapshots.times == (0.0, 1.0, 4.0)
    fitted = ad.read_h5ad(out / "fitted.h5ad")
    assert fitted.uns["celltraj"]["bridge"]["params"]["training"]["max_steps"] == 3
    printed = capsys.readouterr()
    scores = pd.read_csv(out / "scores.csv")
    # one time was left out, so that the table holds its scores as they are
    metrics, *rows = map(str.split, printed.out.splitlines())
    assert metrics == ["W1", "energy"]
    for k, metric in enumerate(metrics, start=1):
        table = {row[0]: float(row[k]) for row in rows}
        chosen = scores[scores["metric"] == metric].set_index("method")["value"]
        assert table == pytest.approx(chosen.to_dict(), abs=1e-6)
    assert "%|" not in printed.err


def test_a_second_run_replaces_the_first(data, tmp_path):
    call = ["fit", str(data), "--time-key", "day", "--out", str(tmp_path / "run"), *QUICK]
    main(call)
    main([*call, "--seed", "7"])
    fitted = ad.read_h5ad(tmp_path / "run" / "fitted.h5ad")
    assert fitted.uns["celltraj"]["bridge"]["seed"] == 7


def test_evaluate_leaves_out_together_what_a_comma_joins(tmp_path, capsys):
    file = tmp_path / "data.h5ad"
    ct.datasets.branching(n_cells=15, seed=0).write_h5ad(file)
    out = tmp_path / "run"
    main(["evaluate", str(file), "--hold-out", "2", "1.0,3.0", "--out", str(out), *QUICK])
    scores = pd.read_csv(out / "scores.csv")
    assert scores["held_out"].drop_duplicates().tolist() == [2.0, 1.0, 3.0]
    assert files(out) == {"scores.csv", "scores.png"}
    assert "bridge" in capsys.readouterr().out


def truncate(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def other_hdf5(path):
    import h5py

    with h5py.File(path, "w") as file:
        file["counts"] = np.zeros(3)


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (truncate, [], "it is truncated or of another format, write it again"),
        (lambda p: p.write_text("a,b"), [], "it is truncated or of another format"),
        (other_hdf5, [], "it is truncated or of another format"),
        (lambda p: p.unlink(), [], "no file"),
        (lambda p: None, [], "has no obs column 'time'; pass --time-key with one of ['arm',"),
        (lambda p: None, ["--time-key", "day", "--use-rep", "X_umap"], "no obsm['X_umap']"),
        (lambda p: None, ["--time-key", "arm"], "cannot read one time from"),
    ],
)
@pytest.mark.parametrize("command", [["fit"], ["evaluate", "--hold-out", "1"]])
def test_a_failure_is_one_line_and_leaves_nothing(
    data, tmp_path, capsys, command, spoil, options, message
):
    spoil(data)
    out = tmp_path / "run"
    # the file stands before --hold-out, which takes all that follows it
    call = [command[0], str(data), *command[1:], "--out", str(out), *options, *QUICK]
    with pytest.raises(SystemExit) as stopped:
        main(call)
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("celltraj: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err
    assert not out.exists()


def test_a_folder_that_cannot_be_made_is_one_line(data, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    call = ["fit", str(data), "--time-key", "day", "--out", str(tmp_path / "file" / "run"), *QUICK]
    with pytest.raises(SystemExit) as stopped:
        main(call)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_failure_keeps_what_an_earlier_run_left(data, tmp_path, monkeypatch):
    out = tmp_path / "run"
    out.mkdir()
    (out / "scores.csv").write_text("earlier")

    def fail(*args, **kwargs):
        raise ValueError("no scores today")

    monkeypatch.setattr(ct.tl, "cross_validate", fail)
    with pytest.raises(SystemExit):
        main(["fit", str(data), "--time-key", "day", "--out", str(out), *QUICK])
    # the training itself was complete, and can be taken up once the scores are mended
    assert files(out) == {"scores.csv", CHECKPOINT}
    assert (out / "scores.csv").read_text() == "earlier"


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("fit", ["--seed", "-1"], "--seed: must be at least 0 and at most 9223372036854775807; f"),
        ("fit", ["--seed", "9223372036854775808"], "--seed: must be at least 0"),
        ("fit", ["--seed", "1.5"], "--seed: invalid whole number '1.5'"),
        ("fit", ["--max-steps", "0"], "--max-steps: must be at least 1"),
        ("fit", ["--checkpoint-every", "0"], "--checkpoint-every: must be at least 1"),
        ("fit", ["--model", "line"], "--model: invalid choice: 'line'"),
        ("evaluate", ["--hold-out", "1", "--seed", "-1"], "--seed: must be at least 0"),
        ("evaluate", ["--hold-out", "1", "--max-steps", "-3"], "--max-steps: must be at least 1"),
        ("evaluate", ["--hold-out", "nan"], "nan is not a finite number"),
        ("evaluate", ["--hold-out", "1,,2"], "'1,,2' names no time on one side of a comma"),
        ("evaluate", [], "the following arguments are required: --hold-out"),
    ],
)
def test_what_is_out_of_range_is_refused_by_the_parser(tmp_path, capsys, command, options, message):
    with pytest.raises(SystemExit) as stopped:
        # the file does not exist: it is not looked at
        main([command, str(tmp_path / "none.h5ad"), "--out", str(tmp_path / "run"), *options])
    assert stopped.value.code == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.startswith("celltraj: ")
    assert printed.endswith(f"; celltraj {command} --help explains the options\n")
    assert printed.count("\n") == 1
    assert files(tmp_path) == set()


def test_a_demo_with_an_impossible_seed_is_refused_by_the_parser(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "--seed", "-1", "--out", str(tmp_path / "run")])
    assert stopped.value.code == 2
    assert "--seed: must be at least 0" in capsys.readouterr().err


def test_times_are_held_out_by_number_or_label(data, tmp_path, monkeypatch, capsys):
    seen = []

    def cross_validate(adata, *, hold_out, **options):
        seen.extend(hold_out)
        raise ValueError("seen")

    monkeypatch.setattr(ct.tl, "cross_validate", cross_validate)
    call = ["evaluate", str(data), "--time-key", "day", "--out", str(tmp_path / "run"), *QUICK]
    with pytest.raises(SystemExit):
        main([*call, "--hold-out", "1", "day 1", "D1,2.5", "1e0, P0"])
    assert seen == [(1.0,), ("day 1",), ("D1", 2.5), (1.0, "P0")]
    assert capsys.readouterr().err == "celltraj: seen\n"


def test_a_flow_is_fitted_drawn_and_scored(data, tmp_path, capsys):
    out = tmp_path / "run"
    call = ["fit", str(data), "--time-key", "day", "--model", "flow", "--out", str(out), *QUICK]
    assert main(call) == 0
    assert files(out) == PICTURES | {
        "fitted.h5ad",
        "trajectories.h5ad",
        "scores.csv",
        *model_files(out),
    }
    assert isinstance(ct.load(out / "model"), ct.models.FlowMatching)
    assert "flow" in set(pd.read_csv(out / "scores.csv")["method"])


def test_a_training_that_diverges_is_one_line(data, tmp_path, capsys, monkeypatch):
    def diverge(*args, **kwargs):
        raise ct.TrainingError("the loss became nan at step 2. Lower learning_rate", None)

    monkeypatch.setattr(ct.tl, "fit_bridge", diverge)
    with pytest.raises(SystemExit) as stopped:
        main(["fit", str(data), "--time-key", "day", "--out", str(tmp_path / "run"), *QUICK])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == (
        "celltraj: the loss became nan at step 2. Lower learning_rate\n"
    )


def test_an_interrupt_is_one_line(data, tmp_path, capsys, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(ct.tl, "fit_bridge", interrupt)
    with pytest.raises(SystemExit) as stopped:
        main(["fit", str(data), "--time-key", "day", "--out", str(tmp_path / "run"), *QUICK])
    assert stopped.value.code == 130
    assert capsys.readouterr().err.count("\n") == 1


def killed_at_the_first_checkpoint(call, file):
    """Run the shell in a process of its own until ``file`` exists, and return the steps it took."""
    command = "from celltraj.cli.main import main; raise SystemExit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", command, *call],
        env=os.environ | {"MPLBACKEND": "agg"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 600  # of a busy machine
    while not file.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
    process.kill()
    process.wait()
    with safe_open(file, framework="pt") as checkpoint:
        return len(checkpoint.get_tensor("losses"))


@pytest.mark.parametrize("model", ["bridge", "flow"])
def test_a_killed_fit_resumes_to_the_same_model(tmp_path, model, monkeypatch):
    # pictures and scores are made of the model, and have tests of their own
    monkeypatch.setattr(time_course, "_draw", lambda *args: None)
    monkeypatch.setattr(time_course, "_score", lambda *args: None)
    data = tmp_path / "data.h5ad"
    adata = ct.datasets.branching(n_cells=60, seed=0)
    adata[adata.obs["time"] < 4].copy().write_h5ad(data)
    call = ["fit", str(data), "--model", model, "--quiet", "--max-steps", "300"]
    call += ["--checkpoint-every", "50", "--out"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main([*call, str(whole)]) == 0
    assert killed_at_the_first_checkpoint([*call, str(parts)], parts / CHECKPOINT) < 300
    (left,) = parts.glob(".part-*")
    assert main([*call, str(parts), "--resume"]) == 0
    assert files(parts) == files(whole)
    assert not left.exists()
    for name in model_files(whole):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()


def test_resuming_with_other_options_or_variables_says_which(data, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    call = ["fit", str(data), "--time-key", "day", "--out", str(out), *QUICK]
    monkeypatch.setattr(ct.tl, "cross_validate", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(call)
    other = ad.read_h5ad(data)
    other.var_names = ["gata1", *other.var_names[1:]]
    other.write_h5ad(data)
    with pytest.raises(SystemExit):
        main([*call[:-1], "4", "--resume"])
    message = capsys.readouterr().err
    assert "variables ['x'] are missing, ['gata1'] are new" in message
    assert "training.max_steps was 3, is 4" in message
    assert message.count("\n") == 1


@pytest.mark.parametrize(("given", "taken"), [(None, "1"), ("3", "3")])
def test_one_thread_is_taken_unless_the_user_says_how_many(monkeypatch, given, taken):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # is set back at the end, whatever main does
    if given is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    with pytest.raises(SystemExit):
        main(["--version"])
    assert os.environ["OMP_NUM_THREADS"] == taken
