"""Independent parts of one computation, on as many processes as the user has set up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import joblib
import torch
from tqdm.auto import tqdm

R = TypeVar("R")


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
    n_jobs: int | None = None,
    progress: bool = True,
) -> Iterator[R]:
    """Yield ``function(*task)`` for each task, in their order.

    Where joblib would start no process, tasks run here, one after the other. Else each runs on one
    thread of a process of ``joblib.parallel_config``, on this machine or, with
    ``backend="dask"``, on those of a cluster. A task must hold all that it needs, seeds as well,
    so that where it runs does not matter.

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
    n_jobs
        Processes, as in joblib; by default those that ``joblib.parallel_config`` says, one without.
    progress
        Whether to show a bar over the tasks.

    Examples
    --------
    >>> list(mapped(pow, [(2, 3), (3, 2)], n_tasks=2, what=("powers", "power"), progress=False))
    [8, 9]
    """
    desc, unit = what
    if joblib.effective_n_jobs(n_jobs) == 1:
        done: Iterable[R] = (function(*task) for task in tasks)
    else:
        calls = (joblib.delayed(_alone)(function, *task) for task in tasks)
        done = joblib.Parallel(n_jobs=n_jobs, return_as="generator")(calls)
    yield from tqdm(done, total=n_tasks, desc=desc, unit=unit, disable=not progress)


def _alone(function: Callable[..., R], *task: Any) -> R:
    # processes share the cores
    with one_thread():
        return function(*task)
