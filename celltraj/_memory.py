"""How much memory a call may take, said before the work and not by the system that ends it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

_GB = 1e9
_SMALLEST_PART = 0.01  # of a need, below which a part is not named
_CGROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_LIMIT: ContextVar[float | None] = ContextVar("memory_limit", default=None)


@contextmanager
def memory_limit(gb: float) -> Iterator[None]:
    """Limit the memory that calls may take besides what is held already.

    Couplings, fits, and what asks couplings what becomes of cells say before the work what they
    need, and end there where that is more. Where another way takes less it is gone and said in the
    log: couplings in blocks, from smaller subsamples. Needs are estimates, within a factor of two,
    of what a call adds to the data that it is given. Without a limit the memory counts that the
    machine has, or the container or job that the process runs in.

    Parameters
    ----------
    gb
        Limit, in GB of 10^9 bytes, of the calls in the block.

    Raises
    ------
    TypeError
        ``gb`` is no number.
    ValueError
        It is not positive and finite.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> with ct.memory_limit(gb=2):
    ...     ct.tl.couplings(adata, progress=False)
    """
    if isinstance(gb, bool) or not isinstance(gb, int | float):
        raise TypeError(f"gb must be a number, of GB; found {gb!r} ({type(gb).__name__})")
    if not 0 < gb < float("inf"):
        raise ValueError(f"gb must be positive and finite; found {gb}")
    with limited(gb * _GB):
        yield


@contextmanager
def limited(limit: float | None) -> Iterator[None]:
    """Set the limit, in bytes, as one that :func:`given_limit` returned elsewhere."""
    token = _LIMIT.set(limit)
    try:
        yield
    finally:
        _LIMIT.reset(token)


def given_limit() -> float | None:
    """Return the limit that a user has set, in bytes; None without."""
    return _LIMIT.get()


def limit_in_bytes() -> float:
    """Return how many bytes a call may take."""
    given = _LIMIT.get()
    return machine_memory() if given is None else given


def fits(need: float) -> bool:
    """Return whether so many bytes may be taken."""
    return need <= limit_in_bytes()


def check_memory(need: Mapping[str, float], ways: Sequence[str]) -> None:
    """Raise where a call needs more than it may take.

    Parameters
    ----------
    need
        Bytes, by what they are for.
    ways
        What takes less, each to stand after "pass".

    Raises
    ------
    MemoryError
        It does; the message says for what.

    Examples
    --------
    >>> from celltraj._memory import check_memory, memory_limit
    >>> with memory_limit(gb=24):
    ...     check_memory({"plans": 28e9, "states": 3e9}, ["fewer cells"])
    Traceback (most recent call last):
        ...
    MemoryError: this needs about 31 GB (plans 28 GB, states 3 GB), and the limit is 24 GB; pass \
fewer cells, or a larger limit, with ct.memory_limit(gb=37.2): (celltraj --memory-limit 37.2)
    """
    total, limit = sum(need.values()), limit_in_bytes()
    if total <= limit:
        return
    parts = sorted(need.items(), key=lambda one: -one[1])
    shown = ", ".join(
        f"{name} {in_gb(size)}" for name, size in parts if size > _SMALLEST_PART * total
    )
    whose = "" if _LIMIT.get() is not None else ", the memory of this machine"
    enough = f"{math.ceil(12 * total / _GB) / 10:g}"
    raise MemoryError(
        f"this needs about {in_gb(total)} ({shown}), and the limit is {in_gb(limit)}{whose}; pass "
        f"{', or '.join(ways)}, or a larger limit, with ct.memory_limit(gb={enough}): (celltraj "
        f"--memory-limit {enough})"
    )


def in_gb(size: float) -> str:
    """Return a number of bytes in words."""
    return f"{size / _GB:.2g} GB" if size < 100 * _GB else f"{size / _GB:,.0f} GB"


@cache
def machine_memory() -> float:
    """Return the bytes of memory that this process may have: of the machine, or of its cgroup."""
    found = [_physical(), *_of_cgroups(*_CGROUP)]
    return float(min(one for one in found if one > 0))


def _physical() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return float("inf")  # a system that does not say


def _of_cgroups(root: Path, own: Path) -> Iterator[float]:
    """Yield the limits of the groups of this process and of those above, version 1 and 2."""
    if not own.is_file():
        return
    for line in own.read_text().splitlines():
        _, controllers, name = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        base = root / "memory" if controllers else root
        file = "memory.limit_in_bytes" if controllers else "memory.max"
        inner = base / name.lstrip("/")
        for folder in (inner, *inner.parents):
            if not folder.is_relative_to(base):
                break
            text = _text_of(folder / file)
            if text.isdigit():  # "max" where there is none
                yield float(text)


def _text_of(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
