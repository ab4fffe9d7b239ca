"""Names beside a file under which it is written, and what dead processes leave of them."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path

_DAY = 86_400.0  # seconds after which what another machine left is no longer being written
_LEFT = re.compile(r"\.(?P<pid>\d{1,9})(@(?P<host>.*)\.[0-9a-f]{8})?-")
_writing: set[str] = set()  # names, of all threads


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Yield a name beside ``path`` that no other process and no other thread has."""
    name = f".{os.getpid()}@{_host()}.{secrets.token_hex(4)}-{path.name}"
    scratch = path.with_name(name)
    _writing.add(name)
    try:
        yield scratch
    finally:
        scratch.unlink(missing_ok=True)
        _writing.discard(name)


def remove_leftovers(path: Path) -> None:
    """Remove what processes that are dead left of writing ``path``."""
    for left in path.parent.glob(f".*-{path.name}"):
        if _is_abandoned(left):
            left.unlink(missing_ok=True)


def _is_abandoned(left: Path) -> bool:
    match = _LEFT.match(left.name)
    if match is None or left.name in _writing:
        return False
    if match["host"] not in (None, _host()):
        # another machine that shares the disk: its processes cannot be seen from here
        with contextlib.suppress(FileNotFoundError):
            return time.time() - left.stat().st_mtime > _DAY
    pid = int(match["pid"])
    # a name of this process that it is not writing is of a dead one that had the same number
    return pid == os.getpid() or not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    if os.name != "posix":  # elsewhere the question itself would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # of another user
    return True


def _host() -> str:
    return socket.gethostname().replace("/", "_")
