"""Where the independent parts of a command run."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from celltraj._memory import memory_limit

_PATIENCE = 10  # seconds for a scheduler to answer


def memory_of(arguments: argparse.Namespace) -> AbstractContextManager[None]:
    """Let calls take the memory of ``--memory-limit``, by default that of the machine.

    Raises
    ------
    ValueError
        It is none.
    """
    given = arguments.memory_limit
    return nullcontext() if given is None else memory_limit(given)


@contextmanager
def processes_of(arguments: argparse.Namespace) -> Iterator[None]:
    """Let gaps and folds run in ``--jobs`` processes, or on the workers of ``--cluster``.

    Raises
    ------
    ValueError
        dask is not installed.
    OSError
        No scheduler answers at the address.
    """
    import joblib  # not where --help is all that is asked

    given = vars(arguments)
    address = given.get("cluster")
    if address is None:
        with joblib.parallel_config(n_jobs=given.get("jobs", 1)):
            yield
        return
    try:
        from dask.distributed import Client
    except ImportError:
        raise ValueError(
            "--cluster needs dask.distributed, which pip install distributed brings"
        ) from None
    client = Client(address, timeout=_PATIENCE)  # type: ignore[no-untyped-call]
    with client, joblib.parallel_config(backend="dask"):
        yield
