"""What the commands write: never over what is read, one at a time, as a whole or not at all."""

import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import celltraj as ct
from celltraj.cli import lock as cli_lock
from celltraj.cli.files import check_writable, earlier_results
from celltraj.cli.lock import locked
from celltraj.cli.main import main
from celltraj.cli.swap import disk_errors, staged, writing

COLUMNS = ["--population", "arm", "--condition", "arm", "--control", "trunk"]
SPAN = ["--start", "0", "--stop", "1"]
_WORK = ("fit_bridge", "fit_flow", "fit_response", "cross_validate", "cross_validate_response")
_WORK += ("predict_response", "couplings", "fates", "transitions", "drivers", "simulate")


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Return the path of a file that no command may come to work on."""

    def work(*args, **kwargs):
        raise AssertionError("the work has begun")

    for name in _WORK:
        monkeypatch.setattr(ct.tl, name, work)
    path = tmp_path / "data.h5ad"
    ct.datasets.branching(n_cells=10, seed=0).write_h5ad(path)
    return path


def refused(call, capsys):
    """Return the line with which a call is refused."""
    with pytest.raises(SystemExit) as stopped:
        main(list(map(str, call)))
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("celltraj: ")
    assert printed.err.count("\n") == 1
    return printed.err


def texts(folder):
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def same(data, place):
    data.rename(place)
    return place


def spelt_otherwise(data, place):
    data.rename(place)
    return place.parent / ".." / place.parent.name / place.name


def link_to_it(data, place):
    data.rename(place)
    data.symlink_to(place)
    return data


def link_there(data, place):
    place.symlink_to(data)
    return data


def hard_link(data, place):
    os.link(data, place)
    return data


@pytest.mark.parametrize("arrange", [same, spelt_otherwise, link_to_it, link_there, hard_link])
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("fitted.h5ad", ["fit", "DATA", "--out", "OUT"]),
        ("scores.csv", ["fit", "DATA", "--model", "flow", "--out", "OUT"]),
        ("fitted.h5ad", ["fit-response", "DATA", *COLUMNS, "--out", "OUT"]),
        ("scores.csv", ["evaluate", "DATA", "--hold-out", "1", "--out", "OUT"]),
        ("p.h5ad", ["predict", "OUT/model", "DATA", "--condition", "a", "--out", "OUT/p.h5ad"]),
        ("model/x", ["predict", "OUT/model", "DATA", "--condition", "a", "--out", "OUT/model/x"]),
        ("model/x", ["predict", "OUT/model", "OTHER", "--condition", "a", "--out", "OUT/model/x"]),
        ("c.h5ad", ["couplings", "DATA", "--out", "OUT/c.h5ad"]),
        (
            "model/x.h5ad",
            ["couplings", "OTHER", "--model", "OUT/model", "--out", "OUT/model/x.h5ad"],
        ),
        ("f.h5ad", ["fates", "DATA", "--groupby", "arm", "--out", "OUT/f.h5ad"]),
        ("t.csv", ["transitions", "DATA", "--groupby", "arm", "--out", "OUT/t.csv"]),
        ("d.h5ad", ["drivers", "DATA", "--out", "OUT/d.h5ad"]),
        ("s.h5ad", ["simulate", "OUT/model", "DATA", *SPAN, "--out", "OUT/s.h5ad"]),
        ("scores.csv", ["cross-validate-response", "DATA", *COLUMNS, "--out", "OUT"]),
    ],
)
def test_nothing_is_written_over_what_is_read(data, tmp_path, capsys, arrange, name, call):
    out = tmp_path / "run"
    (out / "model").mkdir(parents=True)
    content = data.read_bytes()
    read = arrange(data, out / name)
    spelt = {"DATA": str(read), "OUT": str(out), "OTHER": str(tmp_path / "other.h5ad")}
    as_what = read if "DATA" in call else out / name
    for placeholder, path in spelt.items():
        call = [word.replace(placeholder, path) for word in call]
    assert refused(call, capsys) == (
        f"celltraj: {out / name} is read as {as_what} and would be replaced; pass another --out\n"
    )
    assert read.read_bytes() == (out / name).read_bytes() == content


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda out: out.write_text("mine"), "run is no folder"),
        (lambda out: out.symlink_to("nowhere"), "run is no folder"),
        (lambda out: (out / "fitted.h5ad").mkdir(parents=True), "fitted.h5ad is a folder"),
        (lambda out: (out.mkdir(), (out / "model").write_text("mine")), "model is no folder"),
        (lambda out: (out.mkdir(), (out / "checkpoint").write_text("")), "checkpoint is no folder"),
    ],
)
@pytest.mark.parametrize("call", [["fit"], ["fit-response", *COLUMNS]])
def test_what_is_in_the_way_is_named_before_the_work(data, tmp_path, capsys, call, spoil, message):
    out = tmp_path / "run"
    spoil(out)
    before = sorted(tmp_path.rglob("*"))
    call = [call[0], data, *call[1:], "--out", out]
    assert message in refused(call, capsys)
    assert "no folder" in refused([*call[:-1], data / "run"], capsys)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_takes_no_files_is_named_before_the_work(data, tmp_path, capsys, monkeypatch):
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path / "run")
    message = refused(["fit", data, "--out", tmp_path / "run" / "new"], capsys)
    assert f"nothing can be written to {tmp_path / 'run'}" in message


def test_a_folder_that_cannot_be_made_is_one_line(data, tmp_path, capsys, monkeypatch):
    def mkdir(self, *args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    assert refused(["fit", data, "--out", tmp_path / "run"], capsys) == (
        f"celltraj: cannot write to {tmp_path / 'run'} (Permission denied); change the "
        "permissions, or pass another --out\n"
    )


class TestLock:
    @pytest.mark.parametrize(
        "call",
        [
            ["fit"],
            ["fit", "--resume"],
            ["fit-response", *COLUMNS],
            ["evaluate", "--hold-out", "1"],
            ["cross-validate-response", *COLUMNS],
        ],
    )
    def test_the_second_run_into_a_folder_names_the_first(self, data, tmp_path, capsys, call):
        out = tmp_path / "run"
        with writing(out) as lock, staged(lock, ()) as scratch:
            (scratch / "a.txt").write_text("of the first")
            message = refused([call[0], data, *call[1:], "--out", out], capsys)
            assert message == (
                f"celltraj: process {os.getpid()} is writing to {out}; wait until it has ended, "
                "or pass another --out\n"
            )
            assert scratch.is_dir()
        assert texts(out) == {"a.txt": "of the first"}

    @pytest.mark.parametrize(
        "call", [["couplings"], ["fates", "--groupby", "arm"], ["drivers"], ["simulate", *SPAN]]
    )
    def test_the_second_run_into_a_file_names_the_first(self, data, tmp_path, capsys, call):
        out = tmp_path / "out.h5ad"
        model = [tmp_path / "model"] if call[0] == "simulate" else []
        with writing(out, is_file=True):
            message = refused([call[0], *model, data, *call[1:], "--out", out], capsys)
        assert message.startswith(f"celltraj: process {os.getpid()} is writing to {out}; wait")
        assert not out.exists()

    def test_predictions_into_one_folder_at_the_same_time(self, tmp_path):
        with writing(tmp_path / "a.h5ad", is_file=True) as a, staged(a, ()) as one:
            with writing(tmp_path / "b.h5ad", is_file=True) as b, staged(b, ()) as other:
                (one / "a.h5ad").write_text("a")
                (other / "b.h5ad").write_text("b")
            with pytest.raises(BlockingIOError, match=r"is writing to .*a\.h5ad"):
                writing(tmp_path / "a.h5ad", is_file=True).__enter__()
        assert texts(tmp_path) == {"a.h5ad": "a", "b.h5ad": "b"}

    def test_only_what_a_dead_run_noted_is_removed(self, tmp_path):
        mine = [".part-abc", ".part-12-0123abcd", "notes", ".part-3-xyz"]
        for name in (*mine, ".part-1-01234567"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "x").write_text("mine")
        noted = [".part-1-01234567", ".part-abc", "notes", "../notes", str(tmp_path), 3]
        record = {"pid": 2**22 + 1, "host": socket.gethostname(), "scratch": noted}
        (tmp_path / ".celltraj.lock").write_text(json.dumps(record) + "\nrest of a longer line")
        with writing(tmp_path) as lock, staged(lock, ()) as scratch:
            (scratch / "a.txt").write_text("a")
        assert texts(tmp_path) == {f"{name}/x": "mine" for name in mine} | {"a.txt": "a"}

    @pytest.mark.parametrize("content", ["", "{", "[1]", '{"scratch": 3}', '{"pid": "x"}'])
    def test_a_spoilt_lock_file_is_no_obstacle(self, tmp_path, content):
        (tmp_path / ".celltraj.lock").write_text(content)
        with writing(tmp_path) as lock:
            assert lock.noted() == []
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("record", "refused"),
        [
            (None, False),
            ({"pid": 2**22 + 1, "host": socket.gethostname()}, False),
            ({"pid": os.getpid(), "host": socket.gethostname()}, True),
            ({"pid": 1, "host": "another"}, True),
        ],
    )
    def test_where_there_are_no_locks_processes_are_asked(
        self, tmp_path, monkeypatch, caplog, record, refused
    ):
        def flock(*args):
            raise OSError(errno.ENOSYS, "Function not implemented")

        monkeypatch.setattr(cli_lock.fcntl, "flock", flock)
        if record:
            (tmp_path / ".celltraj.lock").write_text(json.dumps(record))
        if refused:
            with pytest.raises(BlockingIOError, match=r"should it have died, remove .*\.lock"):
                locked(tmp_path).__enter__()
            assert (tmp_path / ".celltraj.lock").exists()
        else:
            with locked(tmp_path):
                assert "has no file locks: let no second run write" in caplog.text
            assert list(tmp_path.iterdir()) == []

    def test_a_lock_file_removed_meanwhile_is_made_anew(self, tmp_path, monkeypatch):
        lock, path = cli_lock._lock, tmp_path / ".celltraj.lock"

        def late(file, *places):
            monkeypatch.setattr(cli_lock, "_lock", lock)
            path.unlink()
            lock(file, *places)

        monkeypatch.setattr(cli_lock, "_lock", late)
        with locked(tmp_path) as held:
            assert os.path.samestat(os.fstat(held.file.fileno()), path.stat())


class TestStaged:
    @pytest.fixture
    def out(self, tmp_path):
        out = tmp_path / "run"
        for name in ("a.txt", "b.txt", "model/m.txt", "notes.txt"):
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(f"old {name}")
        return out

    def write(self, out):
        with writing(out) as lock, staged(lock, ["a.txt", "b.txt"]) as scratch:
            for name in ("a.txt", "new/c.txt", "model/m.txt"):
                (scratch / name).parent.mkdir(exist_ok=True)
                (scratch / name).write_text(f"new {name}")

    NEW = {name: f"new {name}" for name in ("a.txt", "new/c.txt", "model/m.txt")} | {
        "notes.txt": "old notes.txt"
    }

    def test_what_this_run_did_not_write_is_gone(self, out):
        self.write(out)
        assert texts(out) == self.NEW

    @pytest.mark.parametrize("n", range(9))
    @pytest.mark.parametrize("method", ["replace", "unlink"])
    def test_a_file_that_cannot_be_replaced_takes_back_all(self, out, monkeypatch, n, method):
        """Every time but one, as a flaky disk would have it, up to a run that has no such call."""
        before, real, calls = texts(out), getattr(Path, method), []

        def fails_once(self, *args, **kwargs):
            calls.append(self)
            if len(calls) == n + 1:
                raise OSError(errno.EIO, "Input/output error")
            return real(self, *args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(Path, method, fails_once)
            try:
                self.write(out)
            except OSError as error:
                assert "check the device, or pass another --out" in str(error)  # noqa: PT017
        found = texts(out)
        assert {k: v for k, v in found.items() if not k.startswith(".")} in (before, self.NEW)
        assert (out / "new").exists() == ("new/c.txt" in found)
        self.write(out)
        assert texts(out) == self.NEW

    def test_what_can_neither_be_done_nor_undone_is_finished_later(self, out, monkeypatch):
        real = Path.replace

        def fails_from_then_on(self, target):
            if Path(target).name == "m.txt" or failing:
                failing.append(target)
                raise OSError(errno.EIO, "Input/output error")
            return real(self, target)

        failing = []
        monkeypatch.setattr(Path, "replace", fails_from_then_on)
        with pytest.raises(OSError, match="check the device"):
            self.write(out)
        monkeypatch.undo()
        with writing(out):
            pass
        assert texts(out) == self.NEW

    def test_links_are_kept_and_put_back_as_links(self, out, tmp_path, monkeypatch):
        (tmp_path / "elsewhere").write_text("elsewhere")
        (out / "a.txt").unlink()
        (out / "a.txt").symlink_to("../elsewhere")
        monkeypatch.setattr(os, "fsync", _fails_for(out / "new"))
        with pytest.raises(OSError, match="check the device"):
            self.write(out)
        monkeypatch.undo()
        assert (out / "a.txt").readlink() == Path("../elsewhere")
        self.write(out)
        assert texts(out) == self.NEW
        assert (tmp_path / "elsewhere").read_text() == "elsewhere"

    def test_without_hard_links_files_are_copied(self, out, monkeypatch):
        def link(*args, **kwargs):
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", link)
        self.write(out)
        assert texts(out) == self.NEW

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_an_error_or_an_interrupt_leaves_nothing(self, out, error):
        before = texts(out)

        def half():
            with writing(out) as lock, staged(lock, ["a.txt"]) as scratch:
                (scratch / "a.txt").write_text("half")
                raise error

        with pytest.raises(error):
            half()
        assert texts(out) == before
        assert not list(out.glob(".*"))


def _fails_for(folder):
    """Return an fsync that fails for a folder."""
    real = os.fsync

    def fsync(file):
        if folder.exists() and os.path.samestat(os.fstat(file), folder.stat()):
            raise OSError(errno.EIO, "Input/output error")
        real(file)

    return fsync


def test_a_swap_cut_short_is_finished_by_who_reads(data, tmp_path, capsys):
    """A run killed in its swap left its journal; a command that reads a file there comes next."""
    out, scratch = tmp_path / "run", tmp_path / "run" / ".part-1-01234567"
    (scratch / "new").mkdir(parents=True)
    (out / "fitted.h5ad").write_text("old")
    data.rename(scratch / "new" / "fitted.h5ad")
    (scratch / "moves.json").write_text('{"new": ["fitted.h5ad"], "gone": [], "made": []}')
    record = {"pid": 2**22 + 1, "host": socket.gethostname(), "scratch": [scratch.name]}
    (out / ".celltraj.lock").write_text(json.dumps(record))
    call = ["evaluate", out / "fitted.h5ad", "--hold-out", "1", "--time-key", "day"]
    assert "has no obs column 'day'" in refused([*call, "--out", tmp_path / "other"], capsys)
    assert [path.name for path in out.iterdir()] == ["fitted.h5ad"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "/somewhere/.part-1"),
        OSError("Can't write data (file write failed: errno = 28, error message = 'No space')"),
        RuntimeError("Can't decrement id ref count (errno = 28, error message = 'No space')"),
        ValueError("Unable to create dataset (errno = 28, error message = 'No space')"),
    ],
)
def test_a_full_disk_is_said_in_one_way(error):
    message = r"cannot write to run \(No space left on device\); free"
    with pytest.raises(OSError, match=message), disk_errors(Path("run")):
        raise error


def test_other_errors_pass_as_they_are():
    for error in (ValueError("no obs column"), OSError("of no number"), RuntimeError("else")):
        with pytest.raises(type(error)) as found, disk_errors(Path("run")):
            raise error
        assert found.value is error


def test_names_of_results_are_the_users_where_there_is_no_model(tmp_path):
    (tmp_path / "scores.csv").write_text("mine")
    assert earlier_results(tmp_path) == ()
    adata = ct.datasets.branching(n_cells=10, seed=0)
    bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    bridge.save(tmp_path / "model")
    assert "scores.csv" in earlier_results(tmp_path)
    saved = {f"model/{path.name}" for path in (tmp_path / "model").iterdir()}
    assert saved <= set(earlier_results(tmp_path))


def test_a_place_on_another_device_is_refused(tmp_path):
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system")
    (tmp_path / "model").symlink_to(other)
    with pytest.raises(ValueError, match="is on another device than"):
        check_writable(tmp_path, ["model/x"], reads=())


@pytest.mark.slow
def test_a_full_disk_leaves_one_line_on_the_terminal(tmp_path):
    """In a process of its own, which h5py leaves with an unfinished file open."""
    data = tmp_path / "data.h5ad"
    adata = ct.datasets.branching(n_cells=300, seed=0)
    adata.write_h5ad(data)
    limit = data.stat().st_size // 2
    command = (
        "import resource; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
        "from celltraj.cli.main import main; raise SystemExit(main())"
    )
    call = ["fit", str(data), "--quiet", "--max-steps", "2", "--out", str(tmp_path / "run")]
    ended = subprocess.run(
        [sys.executable, "-c", command, *call], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    assert [line for line in lines if "cannot write to" in line] == lines[-1:]
    assert all(line.startswith("celltraj: ") for line in lines)
