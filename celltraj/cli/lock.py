"""One run at a time writes to a place: a lock file that is held while its process lives."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger("celltraj")
_LOCK = "celltraj.lock"
_SCRATCH = re.compile(r"\.part-\d+-[0-9a-f]{8}")
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


@dataclass(frozen=True)
class Lock:
    """Hold the lock of a place to write to.

    The first line of its file says who holds it and in which scratch folders that process writes,
    noted before they are made. A later holder therefore knows what the dead have left, and need
    not guess it from names: what is not noted there is of the user, or of a live process.

    Parameters
    ----------
    place
        The folder or the file to write, as the user gave it.
    path
        The lock file, beside the file or inside the folder.
    file
        It, open.
    """

    place: Path
    path: Path
    file: BinaryIO

    @property
    def folder(self) -> Path:
        """Folder of all that is written."""
        return self.path.parent

    def noted(self) -> list[Path]:
        """Return the scratch folders that are noted and exist."""
        self.file.seek(0)
        names = _record(self.file.readline()).get("scratch", [])
        # a file that anyone may have changed must not name a folder of another kind
        listed = names if isinstance(names, list) else []
        known = [n for n in listed if isinstance(n, str) and _SCRATCH.fullmatch(n)]
        return [self.folder / name for name in known if (self.folder / name).is_dir()]

    def note(self, scratch: Sequence[Path]) -> None:
        """Note this process and its scratch folders; what a killed call leaves is one or both."""
        names = [folder.name for folder in scratch]
        record = {"pid": os.getpid(), "host": socket.gethostname(), "scratch": names}
        self.file.seek(0)
        # one call; the end of a longer line from before stands behind the end of this line
        self.file.write(f"{json.dumps(record)}\n".encode())
        os.fsync(self.file.fileno())


@contextmanager
def locked(place: Path, *, is_file: bool = False) -> Iterator[Lock]:
    """Hold the lock of a folder, or of one file, which is made where it does not exist.

    Raises
    ------
    BlockingIOError
        Another process holds it; the message names the process.
    OSError
        The folder cannot be made, or takes no files.
    """
    folder = place.parent if is_file else place
    name = f".{place.name}.{_LOCK}" if is_file else f".{_LOCK}"
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _take(place, folder / name)
        try:
            yield lock
        finally:
            _release(lock)
    finally:
        for one in new:
            if one.is_dir() and not any(one.iterdir()):
                one.rmdir()


def check_idle(folder: Path) -> None:
    """Raise where a process writes to a folder, or was killed before its results were there.

    Raises
    ------
    BlockingIOError
        One writes; the message names it.
    ValueError
        One was killed.
    """
    path = folder / f".{_LOCK}"
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError:
        return
    with file:
        _lock(file, folder, path, is_shared=True)
        if Lock(folder, path, file).noted():
            raise ValueError(
                f"the run in {folder} was interrupted; give the same command again, which "
                "finishes it"
            )


def _take(place: Path, path: Path) -> Lock:
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
        try:
            _lock(file, place, path)
            if _is_at(file, path):
                return Lock(place, path, file)
        except BaseException:
            file.close()
            raise
        file.close()  # its last holder removed it meanwhile


def _lock(file: BinaryIO, place: Path, path: Path, *, is_shared: bool = False) -> None:
    """Take a lock; a shared one asks for no right to write, and is refused by a holder as well."""
    try:
        if fcntl is None:
            raise OSError(errno.ENOSYS, "no locks")
        kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(_busy(place, _record(file.readline()))) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        record = _record(file.readline())
        if _may_live(record):
            raise BlockingIOError(
                f"{_busy(place, record)}; should it have died, remove {path}"
            ) from None
        logger.warning("%s has no file locks: let no second run write to %s", path.parent, place)


def _busy(place: Path, record: dict[str, Any]) -> str:
    host = record.get("host", socket.gethostname())
    where = "" if host == socket.gethostname() else f" on {host}"
    return (
        f"process {record.get('pid', '(starting)')}{where} is writing to {place}; wait until it "
        "has ended, or pass another --out"
    )


def _may_live(record: dict[str, Any]) -> bool:
    """Return whether the process of a record may live, where no lock can tell."""
    if not record:
        return False
    if fcntl is None or record.get("host") != socket.gethostname():
        return True
    try:
        os.kill(record["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True


def _record(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:  # none yet
        return {}
    return record if isinstance(record, dict) else {}


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _release(lock: Lock) -> None:
    """Remove the lock file, unless it notes what the next holder has to finish."""
    left = lock.noted()
    if fcntl is None:  # Windows removes no open file
        lock.file.close()
    if not left:
        with suppress(OSError):  # a file that stays, held by nobody, is no obstacle
            lock.path.unlink(missing_ok=True)
    lock.file.close()
