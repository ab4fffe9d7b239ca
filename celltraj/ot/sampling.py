"""Draws from weights and from sparse plans."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from celltraj._arrays import takes_arrays


@takes_arrays
def systematic(weights: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draw ``n`` sorted indices, each ``n w_i`` times to within one."""
    positions = torch.arange(n, dtype=torch.float64)
    positions = (positions + torch.rand(1, dtype=torch.float64, generator=generator)) / n
    cumulative = weights.cumsum(0)
    hits = torch.searchsorted(cumulative, positions * cumulative[-1], right=True)
    return hits.clamp_(max=len(weights) - 1)


def draw_columns(entries: Tensor, rows: Tensor, uniform: Tensor) -> Tensor:
    """Return the column of each of ``rows`` at which its share ``uniform`` of the sum is passed.

    ``entries (b, m)`` are not negative, and each row may be drawn from any number of times. What a
    row without mass returns means nothing.
    """
    passed, m = entries.double().cumsum(1), entries.shape[1]
    total = passed[:, -1:].clone()
    passed /= torch.where(total > 0, total, 1.0)
    # adding the row number makes one increasing sequence of all rows: one search for all draws
    passed += torch.arange(len(passed), dtype=torch.float64)[:, None]
    # right=True skips columns of zero mass, also when the draw is exactly zero
    found = torch.searchsorted(passed.flatten(), rows + uniform, right=True)
    return (found - rows * m).clamp_(max=m - 1)


def draw_partners(plan: csr_array, rows: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Return the column of each row at which its share ``uniform`` of the row's mass is passed.

    Uniform shares draw a column with the probabilities of that row of the plan.
    """
    first, last = plan.indptr[rows], plan.indptr[rows + 1] - 1
    mass = np.concatenate([[0.0], np.cumsum(plan.data)])
    low, high = mass[first], mass[last + 1]
    drawn = np.searchsorted(mass, low + (high - low) * uniform, side="right") - 1
    # the cumulative sum rounds, so that a draw may fall on the border to the next row
    columns: np.ndarray = plan.indices[np.clip(drawn, first, last)]
    return columns
