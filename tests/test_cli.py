"""The shell: what it writes, and how it fails."""

import anndata as ad
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import celltraj as ct
from celltraj.cli import main

QUICK = ["--quiet", "--max-steps", "3"]
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


def test_fit_writes_model_data_scores_and_pictures(data, tmp_path, capsys):
    out = tmp_path / "deep" / "run"
    assert main(["fit", str(data), "--time-key", "day", "--out", str(out), *QUICK]) == 0
    assert files(out) == PICTURES | {
        "fitted.h5ad",
        "scores.csv",
        "model/bridge.json",
        "model/tensors.safetensors",
    }
    assert ct.load(out / "model").snapshots.times == (0.0, 1.0, 4.0)
    fitted = ad.read_h5ad(out / "fitted.h5ad")
    assert fitted.uns["celltraj"]["bridge"]["params"]["drift"]["max_steps"] == 3
    printed = capsys.readouterr()
    scores = pd.read_csv(out / "scores.csv")
    # one time was left out, so that the table holds its scores as they are
    table = {name: float(value) for name, value in map(str.split, printed.out.splitlines()[1:])}
    assert table == pytest.approx(scores.set_index("method")["value"].to_dict(), abs=1e-6)
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
    assert scores["time"].drop_duplicates().tolist() == [2.0, 1.0, 3.0]
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
    assert files(out) == {"scores.csv"}
    assert (out / "scores.csv").read_text() == "earlier"


def test_a_mistyped_time_is_refused_by_the_parser(data, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", str(data), "--hold-out", "one"])
    assert stopped.value.code == 2
    assert "invalid" in capsys.readouterr().err
