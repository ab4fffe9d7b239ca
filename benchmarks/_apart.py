"""What a step costs in a process of its own: CPU seconds and the peak of its memory (Linux)."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
_SHORT = 30.0  # CPU seconds, beyond which what is compiled in a first call is no matter
_SELF = Path("/proc/self")


def apart(function: Callable[..., T], *args: object) -> T:
    """Return ``function(*args)`` as a new process of one thread finds it, then end the process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_alone, function, args).result()


def _alone(function: Callable[..., T], args: tuple[object, ...]) -> T:
    import torch  # which programs of strangers that are metered do not have

    torch.set_num_threads(1)
    return function(*args)


class Meter:
    """Measure steps; memory counts from where the meter was made, best right after import."""

    def __init__(self) -> None:
        self._before = _memory_gb("VmRSS")

    def __call__(self, step: Callable[[], T]) -> tuple[T, dict[str, float]]:
        """Return what ``step`` does, its CPU seconds, its peak and how far that is above import."""
        # the kernel's peak is that of the whole life of a process, unless it is told to start anew
        (_SELF / "clear_refs").write_text("5")
        start = time.process_time()
        result = step()
        seconds, peak = time.process_time() - start, _memory_gb("VmHWM")
        return result, {"cpu_s": seconds, "peak_gb": peak, "above_gb": peak - self._before}


def twice(step: Callable[[], T]) -> tuple[T, dict[str, float]]:
    """Return what ``step`` does and what it costs once all that is compiled has been.

    Short steps are done twice: ``cpu_s`` are those of the quicker time, ``first_cpu_s`` of the
    first, and memory is that of the first.
    """
    meter = Meter()
    result, cost = meter(step)
    first = cost["cpu_s"]
    if first < _SHORT:
        cost["cpu_s"] = min(first, meter(step)[1]["cpu_s"])
    return result, cost | {"first_cpu_s": first}


def _memory_gb(name: str) -> float:
    """Return an entry of the kernel's account; what getrusage tells is inherited over exec."""
    for line in (_SELF / "status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 2**20
    raise OSError(f"/proc/self/status has no {name}; memory is measured on Linux only")
