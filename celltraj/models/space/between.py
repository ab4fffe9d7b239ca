"""Slices between two that were observed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Cells
from celltraj.models.lineage.interpolation import pairs_at
from celltraj.models.lineage.lineage import Lineage
from celltraj.models.space.slices import Slices, check_sizes
from celltraj.ot import Similarity
from celltraj.snapshots import Snapshots


@card()
@dataclass(frozen=True)
class Slice:
    """Hold cells drawn between two slices.

    Parameters
    ----------
    states
        ``(n, d)`` features.
    places
        ``(n, k)`` places, in a frame between those of the two slices.
    gap
        Number of the gap.
    earlier, later
        ``(n,)`` cells of either slice that each lies between.
    """

    states: Cells
    places: Tensor
    gap: int
    earlier: Tensor
    later: Tensor


def slice_between(
    lineage: Lineage,
    slices: Slices,
    found: tuple[Snapshots, Sequence[Similarity]],
    *,
    time: float,
    n: int,
    generator: torch.Generator,
) -> Slice:
    """Draw ``n`` cells of a slice at a time between two that were observed.

    A pair of cells from the plan, by the mass of the path between them; features on the straight
    line, places on the straight line in the frame of the earlier slice, which itself is turned,
    sized and moved by the share ``s`` of the gap that is gone: angle and centre by ``s``, scale to
    the power ``s``. ``found`` are the states that were coupled, and what takes each slice onto the
    next.

    Warns
    -----
    DataWarning
        The two differ in size as slices in different units do.

    Raises
    ------
    ValueError
        ``time`` lies outside the observed times.
    """
    joint, similarities = found
    k, s, i, j = pairs_at(lineage, joint, time, n, generator=generator)
    if 0 < s < 1:  # at a slice itself all is in its own unit
        check_sizes(slices.features.times[k : k + 2], similarities[k : k + 1])
    x, y = slices.features.x[k][i].double(), slices.features.x[k + 1][j].double()
    u, v = slices.places[k][i], slices.places[k + 1][j]
    return Slice(torch.lerp(x, y, s), similarities[k].between(u, v, s), k, i, j)
