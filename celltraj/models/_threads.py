"""How many threads small networks get."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


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
