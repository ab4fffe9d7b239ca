"""Which cells are of which population, and what was done to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from celltraj.models.response.condition import Condition


@dataclass(frozen=True)
class Sample:
    """Hold the rows of the cells of one population under one condition; None is the control."""

    population: str
    condition: Condition | None
    rows: np.ndarray


def control_rows(samples: Sequence[Sample]) -> dict[str, np.ndarray]:
    """Return the rows of the untreated cells of each population."""
    return {one.population: one.rows for one in samples if one.condition is None}
