"""The shell for the page about a run: of which folders one is written, and of which not."""

import json
import os
import socket
from pathlib import Path

import anndata as ad
import pytest

import celltraj as ct
from celltraj.cli.files import earlier_results
from celltraj.cli.main import main
from celltraj.cli.swap import writing


@pytest.fixture
def run(tmp_path):
    """Return the folder of a fit that has ended."""
    adata = ct.datasets.branching(n_cells=10, seed=0)
    bridge = ct.tl.fit_bridge(adata, growth=None, training=None, progress=False)
    bridge.save(tmp_path / "run" / "model")
    adata.write_h5ad(tmp_path / "run" / "fitted.h5ad")
    (tmp_path / "run" / "scores.csv").write_text("method,metric,value\nbridge,W1,1.5\n")
    return tmp_path / "run"


@pytest.fixture
def calls(monkeypatch):
    """Put a page of one word in the place of the real one, and return what it was asked for."""
    calls = []

    def report(
        adata, path, *, key=None, scores=None, basis=None, title=None, progress=True, **more
    ):
        calls.append({"adata": adata, "key": key, "scores": scores, "basis": basis})
        calls[-1] |= {"title": title, "progress": progress, **more}
        path.write_text("page")
        return path

    monkeypatch.setattr(ct.pl, "report", report, raising=False)
    return calls


def failed(call, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(list(map(str, call)))
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err


def names(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_page_stands_beside_the_results(run, calls, capsys):
    before = names(run)
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr().out == f"{run / 'report.html'}\n"
    assert names(run) == before | {"report.html"}
    (call,) = calls
    assert call["scores"]["value"].tolist() == [1.5]
    assert call["adata"].n_obs == ad.read_h5ad(run / "fitted.h5ad").n_obs
    assert "trajectories" not in call
    assert (call["key"], call["basis"], call["title"]) == (None, None, None)
    assert call["progress"] is True
    # a training that replaces the results leaves no page about those of before
    assert "report.html" in earlier_results(run)


def test_options_and_a_summary(run, calls, tmp_path, capsys):
    (run / "scores.csv").unlink()
    out = tmp_path / "pages" / "a.html"
    options = ["--key", "bridge", "--basis", "X", "--title", "A run", "--quiet", "--json"]
    assert main(["report", str(run), *options, "--out", str(out)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["files"], found["n_bytes"]) == ([str(out)], 4)
    assert (found["results"], found["has_scores"]) == (["bridge"], False)
    assert out.read_text() == "page"
    (call,) = calls
    assert (call["key"], call["basis"], call["title"]) == ("bridge", "X", "A run")
    assert (call["scores"], call["progress"]) == (None, False)


def test_other_cells_and_trajectories(run, calls, tmp_path, capsys):
    fitted = ad.read_h5ad(run / "fitted.h5ad")
    fitted[:7].copy().write_h5ad(tmp_path / "fates.h5ad")
    fitted[:5].copy().write_h5ad(tmp_path / "paths.h5ad")
    options = ["--cells", tmp_path / "fates.h5ad", "--trajectories", tmp_path / "paths.h5ad"]
    assert main(list(map(str, ["report", run, *options]))) == 0
    (call,) = calls
    assert (call["adata"].n_obs, call["trajectories"].n_obs) == (7, 5)
    assert call["scores"] is not None
    capsys.readouterr()
    os.link(tmp_path / "paths.h5ad", tmp_path / "a.html")
    message = failed(["report", run, *options, "--out", tmp_path / "a.html"], capsys)
    assert "would be replaced" in message
    assert "no file" in failed(["report", run, "--cells", tmp_path / "none.h5ad"], capsys)


def nothing_yet(run):
    (run / "fitted.h5ad").unlink()


def checkpoint(run):
    nothing_yet(run)
    (run / "checkpoint").mkdir()
    (run / "checkpoint" / "training.safetensors").write_text("")


def checkpoint_beside_older_results(run):
    (run / "checkpoint").mkdir()
    (run / "checkpoint" / "training.safetensors").write_text("")


def killed(run):
    scratch = run / ".part-1-01234567"
    (scratch / "new").mkdir(parents=True)
    record = {"pid": 2**22 + 1, "host": socket.gethostname(), "scratch": [scratch.name]}
    (run / ".celltraj.lock").write_text(json.dumps(record))


def gone(run):
    run.rename(run.parent / "moved")


def no_table(run):
    (run / "scores.csv").write_text("")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (checkpoint, "was interrupted; finish it by the same command with --resume, or remove"),
        (checkpoint_beside_older_results, "was interrupted; finish it by the same command with"),
        (killed, "was interrupted; give the same command again, which finishes it"),
        (nothing_yet, "holds no fitted.h5ad, which a fit writes once it is complete"),
        (gone, "; give the --out of celltraj fit"),
        (no_table, "as a table of scores"),
    ],
)
def test_the_folder_of_an_interrupted_run_is_refused_in_a_sentence(
    run, calls, capsys, spoil, message
):
    spoil(run)
    before = names(run.parent)
    error = failed(["report", run], capsys)
    assert message in error
    assert str(run) in error
    assert names(run.parent) == before
    assert calls == []


def test_the_folder_that_a_process_writes_to_is_refused(run, calls, capsys):
    with writing(run):
        assert f"process {os.getpid()} is writing to {run}; wait" in failed(["report", run], capsys)
    assert main(["report", str(run)]) == 0


def test_a_swap_cut_short_is_finished_before_the_page(run, calls, capsys):
    scratch = run / ".part-1-01234567"
    (scratch / "new").mkdir(parents=True)
    (run / "fitted.h5ad").rename(scratch / "new" / "fitted.h5ad")
    (scratch / "moves.json").write_text('{"new": ["fitted.h5ad"], "gone": [], "made": []}')
    record = {"pid": 2**22 + 1, "host": socket.gethostname(), "scratch": [scratch.name]}
    (run / ".celltraj.lock").write_text(json.dumps(record))
    assert main(["report", str(run)]) == 0
    assert not scratch.exists()


@pytest.mark.parametrize("name", ["fitted.h5ad", "scores.csv"])
def test_nothing_is_written_over_what_is_read(run, calls, tmp_path, capsys, name):
    os.link(run / name, tmp_path / "a.html")
    error = failed(["report", run, "--out", tmp_path / "a.html"], capsys)
    assert "would be replaced; pass another --out" in error
    assert calls == []


def test_a_page_that_fails_leaves_the_one_before(run, calls, capsys, monkeypatch):
    (run / "report.html").write_text("before")

    def report(adata, path, **given):
        Path(path).write_text("half")
        raise ValueError("no basis")

    monkeypatch.setattr(ct.pl, "report", report, raising=False)
    assert failed(["report", run], capsys) == "celltraj: no basis\n"
    assert (run / "report.html").read_text() == "before"
    assert not list(run.glob(".*"))
