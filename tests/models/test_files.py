"""A file is what stood there before or what was written, whoever is killed and whenever."""

import logging
import os
import random
import signal
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from child import die_at, fork, is_killed, needs_fork
from safetensors import SafetensorError
from stored import KINDS, bytes_of, content_of, small, write_old

import celltraj as ct
from celltraj.models import _files as files_module
from celltraj.models import _scratch as scratch_module
from celltraj.models._files import Content, parsed, read_file, write_file
from celltraj.models.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint

FILE = "model.safetensors"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def one_file(value):
    return Content("test", 1, {"value": value}, {"x": torch.full((3,), float(value))})


@pytest.fixture
def before(tmp_path):
    """Return the old and the new model, and their files."""
    old, new = small("plug-in"), small("neural")
    return old, new, bytes_of(old, tmp_path / "old"), bytes_of(new, tmp_path / "new")


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_model_is_the_saved_one_bit_by_bit(tmp_path, kind):
    content = bytes_of(small(kind), tmp_path)
    assert names(tmp_path) == [FILE]
    assert bytes_of(ct.load(tmp_path), tmp_path / "again") == content


def die_half_way(tensors, path, metadata):
    content = Path(path).with_name("whole")
    SAVE_FILE(tensors, content, metadata=metadata)
    whole = content.read_bytes()
    content.unlink()
    Path(path).write_bytes(whole[: len(whole) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


SAVE_FILE = files_module.save_file


def interrupted(model, folder, operation):
    """Save in a child that is killed before its ``operation``-th operation, or half way."""
    if operation is None:
        files_module.save_file = die_half_way
    else:
        die_at(operation, folder)
    model.save(folder)


@needs_fork
@pytest.mark.parametrize("start", ["nothing", "the file", "format 5"])
def test_a_save_that_is_killed_at_any_operation_leaves_the_old_or_the_new(tmp_path, before, start):
    old, new, old_bytes, new_bytes = before
    found, n_killed = [], 0
    for operation in (None, *range(99)):
        folder = tmp_path / f"run {operation}"
        folder.mkdir()
        if start == "the file":
            old.save(folder)
        if start == "format 5":
            write_old(folder, content_of(tmp_path / "old"), 5)
        was_killed = is_killed(fork(lambda: interrupted(new, folder, operation)))  # noqa: B023
        n_killed += was_killed
        try:
            found.append(bytes_of(ct.load(folder), tmp_path / "found"))
        except FileNotFoundError:
            found.append(None)
        new.save(folder)  # what is left is removed
        assert names(folder) == [FILE]
        if not was_killed:
            break
    assert n_killed >= 6  # beside the half file: make, open, write, rename at the least
    assert set(found) == {None if start == "nothing" else old_bytes, new_bytes}
    assert found[-1] == new_bytes
    last_old = max(k for k, one in enumerate(found) if one != new_bytes)
    assert set(found[last_old + 1 :]) == {new_bytes}


@needs_fork
def test_a_checkpoint_that_is_killed_leaves_the_old_or_the_new(tmp_path):
    def checkpoint(k):
        return Checkpoint({"a": 1}, {"k": k}, {"x": torch.full((5,), float(k))})

    def interrupted(folder, operation):
        die_at(operation, folder)
        write_checkpoint(folder, checkpoint(1))

    seen = []
    for operation in range(99):
        folder = tmp_path / str(operation)
        write_checkpoint(folder, checkpoint(0))
        was_killed = is_killed(fork(lambda: interrupted(folder, operation)))  # noqa: B023
        found = read_checkpoint(folder, {"a": 1})
        assert torch.equal(found.tensors["x"], torch.full((5,), float(found.state["k"])))
        seen.append(found.state["k"])
        write_checkpoint(folder, checkpoint(2))
        assert len(names(folder)) == 1
        if not was_killed:
            break
    assert len(seen) >= 6
    assert seen == sorted(seen)
    assert set(seen) == {0, 1}


@needs_fork
@pytest.mark.slow
def test_saves_that_are_killed_at_random_moments(tmp_path, before):
    old, new, old_bytes, new_bytes = before
    folder = tmp_path / "run"
    draws = random.Random(0)

    def save_for_ever():
        while True:
            new.save(folder)
            old.save(folder)

    old.save(folder)
    for _ in range(20):
        child = fork(save_for_ever)
        time.sleep(draws.uniform(0.0, 0.1))
        os.kill(child, signal.SIGKILL)
        assert is_killed(child)
        assert bytes_of(ct.load(folder), tmp_path / "found") in (old_bytes, new_bytes)
    old.save(folder)
    assert names(folder) == [FILE]


def test_files_of_older_formats_go_once_the_new_one_stands(tmp_path, before, caplog):
    _, new, _, new_bytes = before
    write_old(tmp_path / "run", content_of(tmp_path / "old"), 5)
    (tmp_path / "run/notes.txt").write_text("mine")
    new.save(tmp_path / "run")
    assert names(tmp_path / "run") == [FILE, "notes.txt"]
    # a save that was killed before it removed them: the new file is read, and that is said
    write_old(tmp_path / "run", content_of(tmp_path / "old"), 5)
    os.utime(tmp_path / "run/bridge.json", ns=(0, 0))
    caplog.set_level(logging.WARNING, "celltraj")
    assert bytes_of(ct.load(tmp_path / "run"), tmp_path / "found") == new_bytes
    assert "bridge.json of an older celltraj; remove that one" in caplog.text
    # an older celltraj that saved over the new file
    os.utime(tmp_path / "run/bridge.json")
    with pytest.raises(ValueError, match=r"written after it by an older celltraj, bridge\.json"):
        ct.load(tmp_path / "run")


def test_the_files_of_others_are_left_alone(tmp_path):
    (tmp_path / "response.json").write_text('{"status": 200}')
    (tmp_path / "tensors.safetensors").write_text("mine")
    small("plug-in").save(tmp_path)
    ct.load(tmp_path)
    small("plug-in").save(tmp_path)
    assert names(tmp_path) == [FILE, "response.json", "tensors.safetensors"]


def test_only_what_dead_processes_left_is_removed(tmp_path, monkeypatch):
    path = tmp_path / FILE
    dead = fork(lambda: None)
    assert not is_killed(dead)
    host = scratch_module._host()
    gone = [f".{dead}-{FILE}", f".{dead}@{host}.01234567-{FILE}", f".{os.getpid()}-{FILE}"]
    gone.append(f".{os.getpid()}@elsewhere.01234567-{FILE}")
    kept = [f".{os.getppid()}@{host}.01234567-{FILE}", f".{dead}@elsewhere.01234567-{FILE}"]
    kept.append(f".mine-{FILE}")
    for name in (*gone, *kept):
        (tmp_path / name).write_text("part")
    os.utime(tmp_path / gone[-1], (0, 0))  # left there for long
    write_file(path, one_file(1))
    assert names(tmp_path) == sorted([*kept, FILE])


def test_threads_that_write_one_file_do_not_remove_each_others(tmp_path, monkeypatch):
    path, seen = tmp_path / FILE, []

    def write_another_meanwhile(tensors, scratch, metadata):
        SAVE_FILE(tensors, scratch, metadata=metadata)
        if not seen:
            seen.append(scratch)
            write_file(path, one_file(2))
            assert scratch.exists()

    monkeypatch.setattr(files_module, "save_file", write_another_meanwhile)
    write_file(path, one_file(1))
    assert read_file(path, formats=(1,)).facts == {"value": 1}
    assert names(tmp_path) == [FILE]


def fail(*args, **kwargs):
    Path(args[1]).write_bytes(b"half")
    raise SafetensorError("No space left on device")


def lose(tensors, path, metadata):
    SAVE_FILE({name: value + 1 for name, value in tensors.items()}, path, metadata=metadata)


@pytest.mark.parametrize(
    ("save", "message"),
    [(fail, "No space left on device"), (lose, "the disk does not give back what was written")],
)
def test_what_cannot_be_written_leaves_what_stood_there(tmp_path, monkeypatch, save, message):
    path = tmp_path / FILE
    write_file(path, one_file(1))
    content = path.read_bytes()
    monkeypatch.setattr(files_module, "save_file", save)
    with pytest.raises(OSError, match=message):
        write_file(path, one_file(2))
    assert path.read_bytes() == content
    assert names(tmp_path) == [FILE]


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "model").write_text("mine")
    for folder in (tmp_path / "model", tmp_path / "model/deeper"):
        with pytest.raises(NotADirectoryError, match="choose another folder"):
            small("plug-in").save(folder)
    assert (tmp_path / "model").read_text() == "mine"


def test_numbers_that_are_not_finite_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_file(tmp_path / FILE, one_file(float("nan")))
    assert names(tmp_path) == []


def test_a_file_is_as_open_to_others_as_any_other(tmp_path):
    (tmp_path / "any").write_text("")
    write_file(tmp_path / FILE, one_file(1))
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("any", FILE)]
    assert modes[0] == modes[1]


def test_tensors_that_share_memory_are_written_apart(tmp_path):
    x = torch.arange(6.0)
    tensors = {"whole": x, "part": x[2:4], "again": x, "turned": x.view(2, 3).T}
    write_file(tmp_path / FILE, replace(one_file(1), tensors=tensors))
    found = read_file(tmp_path / FILE, formats=(1,)).tensors
    assert all(torch.equal(found[name], value) for name, value in tensors.items())


def test_a_file_of_another_format_says_what_to_do(tmp_path):
    write_file(tmp_path / FILE, one_file(1))
    with pytest.raises(ValueError, match="has format 1, 7 expected; use the celltraj that wrote"):
        read_file(tmp_path / FILE, formats=(6, 7))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "a key twice"),
        ('{"a": NaN}', "NaN is no finite number"),
        ('{"a": -Infinity}', "-Infinity is no finite number"),
        ('{"a": 1e999}', "1e999 is no finite number"),
        ("[" * 100_000, "nested beyond all measure"),
        ("1" * 10_000, "digits"),
        ("{", "Expecting property name"),
    ],
)
def test_json_is_read_strictly(text, message):
    with pytest.raises(ValueError, match=message):
        parsed(text)


def test_what_is_not_known_in_older_files_is_null():
    assert parsed('{"a": NaN}', has_nan=True) == {"a": None}
    with pytest.raises(ValueError, match="Infinity is no finite number"):
        parsed('{"a": Infinity}', has_nan=True)
