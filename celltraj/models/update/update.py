"""Update a fitted law of motion, whatever its kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch

from celltraj.models.bridge.bridge import Bridge
from celltraj.models.flow.flow import FlowMatching
from celltraj.models.process import Process
from celltraj.models.representation import Representation
from celltraj.models.training.options import Training
from celltraj.models.update.arrival import Arrival
from celltraj.models.update.bridge import update_bridge
from celltraj.models.update.flow import check_flow, update_flow
from celltraj.models.update.start import simulated_course

Replayed = Literal["cells", "model"]
_CELLS = 5000  # of each snapshot that are coupled, as of a fit


def update(
    model: Bridge | FlowMatching,
    arrival: Arrival,
    *,
    replay: Replayed,
    training: Training,
    seed: int,
    progress: bool,
) -> Bridge | FlowMatching:
    """Return a model of the same kind over the times of the model and those that arrived.

    Parameters
    ----------
    model
        Bridge or flow; it is not changed.
    arrival
        The snapshots that are new, and the old cells as far as they are there.
    replay
        Where what a flow is to keep comes from, see :func:`celltraj.tl.update`.
    training
        How its network is trained.
    seed
        Seed of everything random.
    progress
        Whether to show progress bars.

    Raises
    ------
    ValueError
        The model cannot go on, or cells that it asks for are not there.
    """
    training.without_validation("an update", "what it adds is a gap or two")
    generator = torch.Generator().manual_seed(seed)
    arrival = replace(arrival, x=tuple(_drawn(x, generator) for x in arrival.x))
    updated: Bridge | FlowMatching
    if isinstance(model, Bridge):
        check_replay(replay)
        updated = update_bridge(
            model, arrival, training=training, generator=generator, progress=progress
        )
    else:
        check_flow(model)
        if replay == "cells":
            old = arrival.observed().at_most(_CELLS, seed=seed)
        else:
            arrival.check_absent()
            old = simulated_course(model, known(model), generator=generator)
        updated = update_flow(
            model,
            arrival.course(old),
            training=training,
            generator=generator,
            progress=progress,
        )
    return replace(updated, representation=arrival.space)


def check_replay(replay: Replayed) -> None:
    """Raise where a bridge is to do without its cells, which it holds.

    Raises
    ------
    ValueError
        It is.
    """
    if replay == "model":
        raise ValueError(
            "a bridge holds the cells that it was fitted to, and takes none of them from adata: "
            'replay="model", for cells that may not travel, would leave them out in name alone. '
            'Pass replay="cells", or update a flow, which holds none'
        )


def updatable(model: Process) -> Bridge | FlowMatching:
    """Return the model, once it is one that can be updated.

    Raises
    ------
    TypeError
        It is neither a bridge nor a flow.
    ValueError
        It knows nothing of the space of its cells.
    """
    if not isinstance(model, Bridge | FlowMatching):
        raise TypeError(
            "a bridge or a flow can be updated, from ct.tl.fit_bridge or ct.tl.fit_flow; found "
            f"{type(model).__name__}. Update the models that it is made of, or fit it to all cells"
        )
    known(model)
    return model


def known(model: Bridge | FlowMatching) -> Representation:
    """Return what a model knows of the space of its cells.

    Raises
    ------
    ValueError
        It knows nothing.
    """
    if model.representation is None:
        raise ValueError(
            f"this {type(model).__name__} was fitted to bare tensors and does not know the space "
            "of its cells; fit it with ct.tl.fit_bridge or ct.tl.fit_flow"
        )
    return model.representation


def _drawn(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    if len(x) <= _CELLS:
        return x
    return x[torch.randperm(len(x), generator=generator)[:_CELLS]]
