"""Fits that keep what they cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from anndata import AnnData

from celltraj.models import Process


@dataclass
class Timed:
    """Fit, and keep the CPU seconds of every fit and the estimates of the last one."""

    fit: Callable
    seconds: list[float] = field(default_factory=list)
    estimates: str = ""

    def __call__(self, adata: AnnData, **options: object) -> Process:
        """Return what ``fit`` returns."""
        start = time.process_time()
        process = self.fit(adata, **options)
        self.seconds.append(time.process_time() - start)
        reference = getattr(process, "reference", None)
        found = {} if reference is None else reference.estimates()
        if 0 < len(found) <= 8:
            self.estimates = " ".join(f"{name} {value:.3f}" for name, value in found.items())
        return process
