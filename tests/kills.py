"""Run the shell in forked children that are killed at the k-th operation on a file.

As a script it is the parent of those children: it imports what they need once, runs on one thread,
and takes one job a line. A test talks to it through :class:`Shells`.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

KILLED = 9
_NAMES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Shells:
    """Start the parent, and hand it jobs."""

    def __enter__(self):
        threads = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "MPLBACKEND": "agg"}
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            env=os.environ | threads | {"PYTHONPATH": str(Path(__file__).parents[1])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.communicate()

    def run(self, *argv, root, kill_at=None, after=None, limit=None, whole=False):
        """Return exit status, number of operations below ``root`` (0 if killed), and stderr.

        ``kill_at`` is the operation before which the child dies, ``after`` the seconds after which
        it is killed, ``limit`` the bytes that a file may have; ``whole`` draws and scores, which
        stubs stand for otherwise.
        """
        job = {"argv": list(map(str, argv)), "root": str(root), "kill_at": kill_at}
        job |= {"after": after, "limit": limit, "whole": whole}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


class _Counter:
    """Count operations that change files below a folder, and die before one of them."""

    def __init__(self, root, kill_at):
        self.root, self.kill_at, self.n = root, kill_at, 0

    def __call__(self, *paths):
        if any(str(path).startswith(self.root) for path in paths):
            self.count()

    def count(self):
        self.n += 1
        if self.n == self.kill_at:
            os._exit(KILLED)

    def hear(self, event, args):
        """Hear what Python itself does to files (an audit hook)."""
        if event == "open" and args[2] & _WRITES:
            self(args[0])
        elif event in _NAMES:
            # a name below the descriptor of a folder, as rmtree has it
            relative = event in {"os.remove", "os.rmdir"} and args[-1] != -1
            self(*(self.root if relative else path for path in args[:2]))
        elif event == "fcntl.flock":
            self.count()

    def watch(self):
        import h5py
        import safetensors.torch as st

        sync, serialize, create = os.fsync, st.serialize_file, h5py.Group.create_dataset
        opened, closed = h5py.File.__init__, h5py.File.close

        def fsync(file):
            self.count()
            sync(file)

        def serialize_file(tensors, filename, metadata=None):
            self(filename)
            serialize(tensors, filename, metadata)
            if self.n + 1 == self.kill_at:  # half way
                os.truncate(filename, Path(filename).stat().st_size // 2)
            self(filename)

        def create_dataset(group, *args, **kwargs):
            self(group.file.filename)
            return create(group, *args, **kwargs)

        def init(file, name, mode="r", *args, **kwargs):
            if mode != "r":
                self(name)
            opened(file, name, mode, *args, **kwargs)

        def close(file):
            if file.id.valid and file.mode != "r":
                self(file.filename)
            closed(file)

        os.fsync, st.serialize_file = fsync, serialize_file
        h5py.Group.create_dataset, h5py.File.__init__, h5py.File.close = create_dataset, init, close
        sys.addaudithook(self.hear)


def _stub():
    """Put small files in the place of pictures and scores, which have tests of their own."""
    import pandas as pd

    from celltraj.cli import response
    from celltraj.cli import time_course as shell

    def draw(adata, model, *rest):
        (rest[-1] / "history.png").write_text(f"{model.losses}")

    def score(adata, hold_out, arguments, folder):
        (folder / "scores.csv").write_text(f"{arguments.seed}")
        return pd.DataFrame({"W1": [0.0]}, index=["bridge"])

    shell._draw, shell._score, response._draw = draw, score, draw


def _recover(folder):
    """Begin to write to a folder or a file, as the next command does, and write nothing."""
    from celltraj.cli.swap import writing

    with writing(Path(folder), is_file=Path(folder).is_file()):
        return 0


def _swap(folder, names):
    """Write a set of small files, as a command does."""
    from celltraj.cli.swap import staged, writing

    with writing(Path(folder)) as lock, staged(lock, ["a.txt", "b.txt", "c.txt"]) as scratch:
        for name in names.split(","):
            path = scratch / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"new {name}")
    return 0


def _child(job, err):
    from celltraj.cli.main import main

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(err, 2)
    counter = _Counter(job["root"], job["kill_at"])
    command, *rest = job["argv"]
    if not job["whole"]:
        _stub()
    counter.watch()
    if job["limit"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["limit"], job["limit"]))
    try:
        status = {"recover": _recover, "swap": _swap}.get(command, lambda *_: main(job["argv"]))(
            *rest
        )
    except SystemExit as stopped:
        status = stopped.code
    sys.stderr.flush()
    return status, counter.n


def _run(job):
    # pipes, which no limit on the size of files touches; what is said fits in one
    numbers, errors = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        status, n = _child(job, errors[1])
        os.write(numbers[1], str(n).encode())
        os._exit(status)
    os.close(numbers[1])
    os.close(errors[1])
    if job["after"] is not None:
        time.sleep(job["after"])
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with os.fdopen(numbers[0]) as n, os.fdopen(errors[0]) as err:
        code = os.waitstatus_to_exitcode(status)
        return {"status": code, "n": int(n.read() or 0), "err": err.read()}


def _warm_up():
    """Take one step, so that children find compiled what they need."""
    import celltraj as ct
    from celltraj.cli.arguments import parser_of_commands

    parser_of_commands()
    adata = ct.datasets.branching(n_cells=10, seed=0)
    ct.tl.fit_bridge(adata, training=ct.models.Training(max_steps=1), progress=False)


if __name__ == "__main__":
    replies = os.fdopen(os.dup(1), "w")
    _warm_up()
    for line in sys.stdin:
        replies.write(json.dumps(_run(json.loads(line))) + "\n")
        replies.flush()
