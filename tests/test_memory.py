"""A limit of memory is what is said, what is set, and what the machine or its group has."""

import os

import joblib
import pytest

import celltraj as ct
from celltraj import _memory
from celltraj._memory import check_memory, given_limit, limit_in_bytes, machine_memory
from celltraj._parallel import mapped, n_at_once


def limit_of(_):
    return given_limit()


def test_the_limit_is_that_of_the_innermost_block():
    assert given_limit() is None
    with ct.memory_limit(gb=8):
        assert limit_in_bytes() == 8e9
        with ct.memory_limit(gb=2):
            assert limit_in_bytes() == 2e9
        assert limit_in_bytes() == 8e9
    assert limit_in_bytes() == machine_memory()


def test_a_failure_takes_the_limit_back():
    with pytest.raises(KeyError), ct.memory_limit(gb=8):
        raise KeyError("x")
    assert given_limit() is None


@pytest.mark.parametrize(
    ("gb", "error", "words"),
    [
        ("8", TypeError, r"gb must be a number, of GB; found '8' \(str\)"),
        (True, TypeError, "gb must be a number"),
        (0, ValueError, "gb must be positive and finite; found 0"),
        (-1.0, ValueError, "positive"),
        (float("nan"), ValueError, "positive and finite; found nan"),
        (float("inf"), ValueError, "positive"),
    ],
)
def test_what_is_no_limit_is_refused(gb, error, words):
    with pytest.raises(error, match=words), ct.memory_limit(gb=gb):
        pass


def test_tasks_know_the_limit_wherever_they_run():
    what = {"n_tasks": 2, "what": ("tasks", "task"), "progress": False}
    with ct.memory_limit(gb=3), joblib.parallel_config(backend="threading", n_jobs=2):
        assert list(mapped(limit_of, [(0,), (1,)], **what)) == [3e9, 3e9]
        assert n_at_once(1) == 1
        assert n_at_once(5) == 2
    assert list(mapped(limit_of, [(0,), (1,)], **what)) == [None, None]
    assert n_at_once(5) == 1  # as many as mapped would start, not one for each core


def test_parts_stand_in_order_and_small_ones_are_left_out():
    need = {"states": 3e9, "plans": 28e9, "names": 1e6}
    with ct.memory_limit(gb=24), pytest.raises(MemoryError) as caught:
        check_memory(need, ["fewer cells", "another solver"])
    assert str(caught.value) == (
        "this needs about 31 GB (plans 28 GB, states 3 GB), and the limit is 24 GB; pass fewer "
        "cells, or another solver, or a larger limit, with ct.memory_limit(gb=37.3): "
        "(celltraj --memory-limit 37.3)"
    )
    with ct.memory_limit(gb=32):
        check_memory(need, [])


def test_without_a_limit_the_machine_is_named(monkeypatch):
    monkeypatch.setattr(_memory, "machine_memory", lambda: 16e9)
    with pytest.raises(MemoryError, match="the limit is 16 GB, the memory of this machine; pass"):
        check_memory({"plans": 17e9}, ["less"])


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="asks the system")
def test_the_machine_has_memory():
    assert 1e8 < machine_memory() < 1e15


@pytest.mark.parametrize(
    ("line", "file", "text", "expected"),
    [
        ("0::/jobs/one", "jobs/memory.max", "2000", [2000.0]),  # of a group above
        ("0::/jobs/one", "jobs/one/memory.max", "max", []),
        ("4:memory:/job", "memory/job/memory.limit_in_bytes", "3000", [3000.0]),
        ("4:memory:/job", "memory/memory.limit_in_bytes", "4000", [4000.0]),  # of a container
        ("3:cpuset:/job", "memory/job/memory.limit_in_bytes", "3000", []),
    ],
)
def test_limits_of_groups_are_read(tmp_path, line, file, text, expected):
    own, place = tmp_path / "own", tmp_path / "groups" / file
    place.parent.mkdir(parents=True)
    own.write_text(f"1:cpu:/\n{line}\n")
    place.write_text(f"{text}\n")
    assert list(_memory._of_cgroups(tmp_path / "groups", own)) == expected


def test_without_groups_there_is_no_limit(tmp_path):
    assert list(_memory._of_cgroups(tmp_path, tmp_path / "none")) == []
