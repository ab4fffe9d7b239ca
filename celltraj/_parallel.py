"""Independent parts of one computation, on as many processes as the user has set up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

import joblib
import torch
from joblib.parallel import get_active_backend
from tqdm.auto import tqdm

from celltraj._memory import given_limit, limited

# processes that a task of a cluster may use: joblib would tell it of all workers
_share: ContextVar[int | None] = ContextVar("_share", default=None)

R = TypeVar("R")
T = TypeVar("T")


@contextmanager
def one_thread(*, is_on: bool = True) -> Iterator[None]:
    """Run torch on one thread: with networks this small, more of them wait for each other."""
    n_threads = torch.get_num_threads()
    if is_on:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def mapped(
    function: Callable[..., R],
    tasks: Iterable[tuple[Any, ...]],
    *,
    n_tasks: int,
    what: tuple[str, str],
    shared: tuple[Any, ...] = (),
    n_jobs: int | None = None,
    progress: bool = True,
) -> Iterator[R]:
    """Yield ``function(*shared, *task)`` for each task, in their order.

    Where joblib would start no process, and of a single task, tasks run here, one after the other.
    Else each runs on one thread of a process of ``joblib.parallel_config``, on this machine or,
    with ``backend="dask"``, on those of a cluster, where a task may use its share of what is left
    when there are more processes than tasks. A task must hold all that it needs, seeds as well, so
    that where it runs does not matter, and neither whether it is run again because the process it
    ran in has died.

    Parameters
    ----------
    function
        What is done.
    tasks
        Arguments of each call, made when a process is free for it.
    n_tasks
        How many there are.
    what
        What the bar says, and of what.
    shared
        First arguments of every call, such as all cells: a cluster gets them once, and not once
        for each task.
    n_jobs
        Processes, as in joblib; by default those that ``joblib.parallel_config`` says, one without.
    progress
        Whether to show a bar over the tasks.

    Raises
    ------
    ConnectionError
        The scheduler of the cluster has gone.

    Examples
    --------
    >>> list(mapped(pow, [(2, 3), (3, 2)], n_tasks=2, what=("powers", "power"), progress=False))
    [8, 9]
    """
    desc, unit = what
    n_workers = _shared_out(int(joblib.effective_n_jobs(n_jobs)))
    if n_workers == 1 or n_tasks == 1:
        done: Iterable[R] = (function(*shared, *task) for task in tasks)
    else:
        share = max(1, n_workers // max(1, n_tasks))
        done = _in_processes(function, tasks, shared, n_jobs, share)
    yield from tqdm(done, total=n_tasks, desc=desc, unit=unit, disable=not progress)


@dataclass(frozen=True)
class _Packed:
    """Hold arguments as one small thing.

    joblib would leave each large one with a single worker of a cluster, and nothing brings it back
    when that one dies. What the scheduler is told of a task it keeps until the task is done.
    """

    content: tuple[Any, ...]


def _in_processes(
    function: Callable[..., R],
    tasks: Iterable[tuple[Any, ...]],
    shared: tuple[Any, ...],
    n_jobs: int | None,
    share: int,
) -> Iterator[R]:
    backend, _ = get_active_backend()
    client = getattr(backend, "client", None)  # of a cluster, which no other backend has
    held = _Packed(shared)
    if client is not None and shared:
        held = _held(client, held)
    limit = given_limit()  # which other processes, and other threads, know nothing of
    # processes of this machine start none of their own
    within = 1 if client is None else share
    calls = (
        joblib.delayed(_alone)(_Packed((function, *task)), held, limit, within) for task in tasks
    )
    n_done = 0
    try:
        with _large_tasks(is_on=client is not None):
            for result in joblib.Parallel(n_jobs=n_jobs, return_as="generator")(calls):
                yield result
                n_done += 1
    except CancelledError as error:
        if client is None:
            raise
        raise ConnectionError(
            f"the scheduler of the cluster has gone, or has cancelled the tasks, after {n_done} of "
            "them; nothing of this call is kept: start it again, and repeat the call"
        ) from error


def n_processes() -> int:
    """Return how many processes :func:`mapped` uses where no number is given."""
    return _shared_out(int(joblib.effective_n_jobs(None)))


def _shared_out(n_processes: int) -> int:
    """Return the share of a task that itself runs on a cluster, else what there is."""
    share = _share.get()
    return n_processes if share is None else min(n_processes, share)


def n_at_once(n_tasks: int) -> int:
    """Return how many tasks of :func:`mapped` share the memory of this machine at a time."""
    backend, _ = get_active_backend()
    if getattr(backend, "client", None) is not None:
        return 1  # each has a worker's own
    return max(1, min(n_tasks, n_processes()))


def _held(client: Any, content: T) -> T:
    """Return what stands for ``content`` on a cluster, where it is sent once.

    It is the result of a task and not scattered, since a task is done anew where its result is
    lost with a worker.
    """
    with _large_tasks():
        future: T = client.submit(_same, content, pure=False)
    return future


@contextmanager
def _large_tasks(*, is_on: bool = True) -> Iterator[None]:
    """Let tasks carry cells without a warning: what all share is sent once, as it asks for."""
    if not is_on:
        yield
        return
    import dask  # there is none without a cluster

    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 PB"}):
        yield


def _same(content: T) -> T:
    return content


def _alone(call: _Packed, shared: _Packed, limit: float | None, n_processes: int) -> Any:
    function, *task = call.content
    token = _share.set(n_processes)
    try:
        with limited(limit), one_thread():  # processes share the cores
            return function(*shared.content, *task)
    finally:
        _share.reset(token)
