"""How much of a prediction neighbours in other populations have to say."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from celltraj._typing import Cells
from celltraj.metrics import energy_distance
from celltraj.models.response.neighbours import NeighbourTransfer
from celltraj.models.response.populations import Populations, Treated

HALF = 0.5
FEWEST = 6  # populations: of fewer nothing is chosen
_EXPLAINED = 0.5  # share of the distance that neighbours must explain
_TREATMENTS, _CELLS = 12, 300  # that are looked at


@dataclass(frozen=True)
class Strength:
    """Hold the weight of a base, and why it is this one.

    Parameters
    ----------
    weight
        Weight of the base; the network has the rest of 1.
    reason
        In words.
    """

    weight: float
    reason: str


def strength_of(
    base: NeighbourTransfer,
    populations: Populations,
    centre: Float[Tensor, " d"],
    *,
    generator: torch.Generator,
) -> Strength:
    """Return the weight of a base: a half, or 0 where neighbours explain too little.

    Each population is moved by its neighbours in the others. They must bring it, on average, half
    of the way to its treated cells, in energy distance (its root): where what becomes of a cell
    depends on its population more than on the cell, neighbours elsewhere tell the wrong story. Five
    populations and fewer decide nothing, and have a half.

    Parameters
    ----------
    base
        Neighbours.
    populations
        Populations of the training.
    centre
        What the cells of the base are measured from.
    generator
        Draws the treatments and cells that are looked at.
    """
    if len(populations.names) < FEWEST:
        return Strength(HALF, f"by default: {len(populations.names)} populations decide nothing")
    order = torch.randperm(len(populations.treated), generator=generator)[:_TREATMENTS]
    left, whole = 0.0, 0.0
    for k in order.tolist():
        one = populations.treated[k]
        before, after = _drawn(populations, one, centre, generator)
        way = base.displacement(before, one.condition, {populations.names[one.population]})
        if way is not None:
            left += energy_distance((before + way).numpy(), after.numpy())
            whole += energy_distance(before.numpy(), after.numpy())
    share = (
        f"neighbours leave {left / whole:.0%} of the energy distance" if whole > 0 else "by default"
    )
    return Strength(HALF if left <= (1 - _EXPLAINED) * whole else 0.0, share)


def _drawn(
    populations: Populations, one: Treated, centre: Tensor, generator: torch.Generator
) -> tuple[Cells, Cells]:
    """Return some cells before and after a treatment, from the centre."""
    before, after = (
        x[torch.randperm(len(x), generator=generator)[:_CELLS]].double() - centre
        for x in (populations.controls[one.population].x, one.cells.x)
    )
    return before, after
