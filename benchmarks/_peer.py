"""What the fits of peers share: their randomness and their threads stay their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators, the only ones that peers listen to, and give them back."""
    state = np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # noqa: TID251
            np.random.seed(seed)  # noqa: NPY002, TID251
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


@contextmanager
def one_thread() -> Iterator[None]:
    """Train as the package trains: a second thread only waits for the first."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
