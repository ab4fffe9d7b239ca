"""A set of results takes the place of an earlier one as a whole."""

from __future__ import annotations

import errno
import gc
import json
import os
import re
import secrets
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from safetensors import SafetensorError

from celltraj.cli.lock import Lock, locked

_NEW, _OLD, _JOURNAL = "new", "old", "moves.json"
_PATIENCE = 5.0  # seconds, for another process to finish a swap, which takes milliseconds
_NUMBER = re.compile(r"(?:errno = |os error |\[Errno )(\d+)")
_DISK = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some of the quota there",
    errno.EFBIG: "raise the limit",
    errno.EACCES: "change the permissions",
    errno.EPERM: "change the permissions",
    errno.EROFS: "it can only be read",
    errno.EIO: "check the device",
}


@contextmanager
def writing(place: Path, *, is_file: bool = False) -> Iterator[Lock]:
    """Hold the lock of ``place``, with what killed runs left there finished or removed.

    Raises
    ------
    BlockingIOError
        Another process writes there; the message names it.
    OSError
        Nothing can be written there.
    """
    with ExitStack() as stack:
        with disk_errors(place):
            lock = stack.enter_context(locked(place, is_file=is_file))
            recover(lock)
            lock.note([])
        yield lock


@contextmanager
def staged(lock: Lock, names: Collection[str]) -> Iterator[Path]:
    """Yield a scratch folder whose files take the place of those of an earlier run.

    When the block ends without an error, its files are brought to the disk and swapped in, and
    those of ``names`` that this run did not write are removed: a folder holds the results of one
    run. All other files there are of the user and stay.

    A file system replaces one file at a time. So the old files are kept aside and a journal is
    written before the first is replaced. A run that is killed before that leaves the old results;
    one killed later is finished by the next command that writes to the folder or reads from it. An
    error at any moment, a full disk too, leaves the old results and nothing else.

    Raises
    ------
    OSError
        The disk is full, or something there cannot be replaced.
    """
    scratch = lock.folder / f".part-{os.getpid()}-{secrets.token_hex(4)}"
    with disk_errors(lock.place):
        lock.note([scratch])
        try:
            (scratch / _NEW).mkdir(parents=True)
            yield scratch / _NEW
            _prepare(lock.folder, scratch, names)
            _swap(lock.folder, scratch)
        finally:
            # what cannot be removed stays noted in the lock file, and is removed by the next run
            if not (scratch / _JOURNAL).exists():
                shutil.rmtree(scratch, ignore_errors=True)


def recover(lock: Lock) -> None:
    """Finish what killed runs had begun to swap in, and remove what they left beside.

    Raises
    ------
    OSError
        Neither the new results nor the old ones can be put there.
    """
    for scratch in lock.noted():
        if (scratch / _JOURNAL).exists():
            _swap(lock.folder, scratch)
        shutil.rmtree(scratch)


def finish_swaps(folder: Path) -> None:
    """Finish the swap of a killed run in a folder that is about to be read.

    Raises
    ------
    BlockingIOError
        A live process is swapping files in, and does not come to an end.
    OSError
        The files cannot be replaced.
    """
    end = time.monotonic() + _PATIENCE
    while any(folder.glob(f".part-*/{_JOURNAL}")):
        try:
            with writing(folder):
                return
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Say in one way that a disk is full or closed, whatever the library that wrote found.

    h5py raises what fits where it stood (OSError, RuntimeError, ValueError, KeyError, TypeError),
    safetensors an error of its own; all give the number of the system's error in their text.
    """
    # closing a file that could not be written fails as well, which h5py prints: once is enough
    hooks, held = (sys.unraisablehook, sys.excepthook), list[Callable[[], None]]()
    sys.unraisablehook = lambda one: held.append(partial(hooks[0], one))
    sys.excepthook = lambda *one: held.append(partial(hooks[1], *one))
    try:
        yield
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, SafetensorError) as error:
        number = _number_of(error)
        if number not in _DISK:
            raise
        _let_go(error)
        held.clear()
        raise OSError(
            f"cannot write to {place} ({os.strerror(number)}); {_DISK[number]}, or pass another "
            "--out"
        ) from error
    finally:
        sys.unraisablehook, sys.excepthook = hooks
        for say in held:
            say()


def _let_go(error: BaseException) -> None:
    """Close what a failed write left open."""
    one: BaseException | None = error
    while one is not None:
        traceback.clear_frames(one.__traceback__)
        one = one.__context__
    gc.collect()


def _number_of(error: Exception) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = _NUMBER.search(str(error))
    return int(found[1]) if found else None


def _prepare(folder: Path, scratch: Path, names: Collection[str]) -> None:
    """Keep the old files aside and write the journal, the moment from which the new ones count."""
    files = [path for path in (scratch / _NEW).rglob("*") if path.is_file()]
    new = sorted(str(path.relative_to(scratch / _NEW)) for path in files)
    gone = sorted(name for name in {*names} - {*new} if os.path.lexists(folder / name))
    for name in (*new, *gone):
        if os.path.lexists(folder / name):
            _copy(folder / name, scratch / _OLD / name)
    made = {str(Path(name).parent) for name in new if not (folder / name).parent.exists()}
    draft = scratch / f"{_JOURNAL}.draft"
    draft.write_text(json.dumps({"new": new, "gone": gone, "made": sorted(made)}))
    for path in (*files, *(path for path in scratch.rglob("*") if path.is_dir())):
        _sync(path)
    _sync(draft)
    draft.replace(scratch / _JOURNAL)
    _sync(scratch)


def _swap(folder: Path, scratch: Path) -> None:
    """Do what the journal says, or undo it where that fails.

    Every file stays in the scratch folder, old and new, until the journal is removed, so that both
    directions may be begun anew at any moment.
    """
    journal = json.loads((scratch / _JOURNAL).read_text())
    try:
        for name in journal["new"]:
            _put(scratch / _NEW / name, folder / name, scratch)
        for name in journal["gone"]:
            (folder / name).unlink(missing_ok=True)
        for one in {(folder / name).parent for name in journal["new"]}:
            _sync(one)
    except BaseException:
        _undo(folder, scratch, journal)
        raise
    (scratch / _JOURNAL).unlink()


def _undo(folder: Path, scratch: Path, journal: dict[str, list[str]]) -> None:
    for name in (*journal["new"], *journal["gone"]):
        if os.path.lexists(scratch / _OLD / name):
            _put(scratch / _OLD / name, folder / name, scratch)
        else:
            (folder / name).unlink(missing_ok=True)
    for name in journal["made"]:
        if (folder / name).is_dir() and not any((folder / name).iterdir()):
            (folder / name).rmdir()
    (scratch / _JOURNAL).unlink()


def _put(source: Path, place: Path, scratch: Path) -> None:
    """Replace ``place`` at once by ``source``, which stays."""
    aside = scratch / "aside"
    aside.unlink(missing_ok=True)
    _copy(source, aside)
    place.parent.mkdir(exist_ok=True)
    aside.replace(place)
    # where both were one file already, it is left as it is
    aside.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where a file system has no hard links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except (OSError, NotImplementedError):
        shutil.copy2(source, target, follow_symlinks=False)


def _sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    if path.is_dir() and os.name != "posix":
        return  # only POSIX opens folders
    file = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(file)
    finally:
        os.close(file)
