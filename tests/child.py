"""Run a function in a process of its own that shares what is already loaded."""

import json
import os
import signal
import sys
import warnings

import pytest
import torch

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")


def fork(function):
    """Start ``function()`` in a child, and return its number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which do nothing here
        number = os.fork()
    if number:
        return number
    status = 1
    try:
        torch.set_num_threads(1)
        function()
        status = 0
    finally:
        os._exit(status)


def is_killed(number):
    """Wait for a child; return whether a kill ended it, and fail if anything else went wrong."""
    _, status = os.waitpid(number, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def result_of(function):
    """Return what ``function()`` returns in a child, as JSON."""
    read, write = os.pipe()

    def send():
        with os.fdopen(write, "w") as pipe:
            json.dump(function(), pipe)

    number = fork(send)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    assert not is_killed(number)
    return json.loads(text)


def die_at(operation, folder):
    """Kill this process before its ``operation``-th operation on files of ``folder``."""
    left = operation

    def count(event, args):
        nonlocal left
        is_file = event == "open" or event.startswith(("os.", "shutil.", "glob."))
        if is_file and any(str(folder) in str(one) for one in args):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
