"""Judge the state of an interrupted training by what the training begins with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from celltraj.models._facts import Stored, facts_as
from celltraj.models.training.checkpoint import Checkpoint

_MOMENTS = ("exp_avg", "exp_avg_sq")  # of AdamW, for each parameter
_MOVING = {"lr", "betas", "last_epoch", "_step_count", "_last_lr"}  # of optimiser and schedule


@dataclass(frozen=True)
class _State:
    n_draws: int
    groups: list[dict[str, Any]]
    schedule: dict[str, Any]
    best: float | None = None
    waited: int = 0


@dataclass(frozen=True)
class Beginning:
    """Say what a training begins with, by which the state of an interrupted one is judged.

    Parameters
    ----------
    field
        The network.
    groups, schedule
        State of optimiser and schedule before the first step.
    n_steps, n_draws
        Steps and draws of the whole training.
    optimised
        Parameters in the order of the optimiser's groups.
    """

    field: torch.nn.Module
    groups: list[dict[str, Any]]
    schedule: dict[str, Any]
    n_steps: int
    n_draws: int
    optimised: tuple[torch.nn.Parameter, ...]


def checked(checkpoint: Checkpoint, beginning: Beginning) -> Checkpoint:
    """Return the checkpoint, in memory, if it is a state that such a training comes to.

    Raises
    ------
    ValueError
        A number, a name, a shape or a type is none of such a state.
    """
    state = facts_as(_State, checkpoint.state, "its state")
    if state.n_draws > beginning.n_draws:
        raise ValueError(f"{state.n_draws} draws of {beginning.n_draws}")
    _compare("optimiser", state.groups, beginning.groups)
    _compare("schedule", state.schedule, beginning.schedule)
    tensors = _checked_tensors(checkpoint.tensors, beginning)
    n = len(tensors["losses"])
    if n > beginning.n_steps or state.schedule["last_epoch"] != n:
        last = state.schedule["last_epoch"]
        raise ValueError(f"{n} losses of {beginning.n_steps}, the schedule is at {last}")
    return Checkpoint(checkpoint.facts, checkpoint.state, tensors)


def _checked_tensors(tensors: Mapping[str, Tensor], beginning: Beginning) -> dict[str, Tensor]:
    stored = Stored(tensors)
    n = stored.shape("losses", 1)[0]
    found = {"losses": stored.take("losses", n), "generator": _generator_state(stored)}
    for part in ("field.", "averaged.", "best."):
        below = stored.below(part)
        if part == "best." and not below.names:
            continue  # nothing was checked yet
        for name, value in beginning.field.state_dict().items():
            found[part + name] = below.take(name, *value.shape, dtypes=(value.dtype,))
    for i, value in enumerate(beginning.optimised):
        below = stored.below(f"optimizer.{i}.")
        if below.names:  # a parameter that no loss has reached has no moments
            found[f"optimizer.{i}.step"] = below.take("step", dtypes=(torch.float32,))
            for name in _MOMENTS:
                moment = below.take(name, *value.shape, dtypes=(value.dtype,))
                found[f"optimizer.{i}.{name}"] = moment
    stored.finish()
    return found


def _generator_state(stored: Stored) -> Tensor:
    state = stored.take("generator", len(torch.Generator().get_state()), dtypes=(torch.uint8,))
    try:
        torch.Generator().set_state(state)
    except RuntimeError as error:
        raise ValueError(f"the state of its generator is none ({error})") from error
    return state


def _compare(name: str, found: Any, wanted: Any, entry: str = "") -> None:
    """Raise unless two states differ in nothing but numbers that move during a training."""
    wanted = json.loads(json.dumps(wanted))
    if isinstance(wanted, dict) and isinstance(found, dict) and found.keys() == wanted.keys():
        for key, value in wanted.items():
            _compare(name, found[key], value, key)
        return
    if isinstance(wanted, list) and isinstance(found, list) and len(found) == len(wanted):
        for one, value in zip(found, wanted, strict=True):
            _compare(name, one, value, entry)
        return
    is_number = type(found) is type(wanted) and isinstance(found, int | float)
    if not (is_number and entry in _MOVING) and found != wanted:
        raise ValueError(f"its {name} is of another version of torch, or damaged: {entry}")
