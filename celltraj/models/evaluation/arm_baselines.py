"""What is known of a condition at a held-out time without a model."""

from __future__ import annotations

import numpy as np
import torch

from celltraj.models.arms.states import ArmStates
from celltraj.models.evaluation.holdout import (
    DISPLACEMENT,
    PREVIOUS,
    exact_plans,
    trivial_predictions,
)
from celltraj.snapshots import Snapshots

LINE, SHIFT_OF_OTHERS, POOLED = "straight line", "shift of others", "pooled"
TRIVIAL_ARMS = (PREVIOUS, LINE, SHIFT_OF_OTHERS, POOLED)


def previous_time(train: ArmStates, condition: str, time: float) -> float:
    """Return the last time before ``time`` at which a condition was seen.

    Raises
    ------
    ValueError
        There is none.
    """
    earlier = [t for t in train.times_of(condition) if t < time]
    if not earlier:
        raise ValueError(
            f"{condition!r} at {time:g} is foretold from an earlier snapshot of this condition, "
            "and none is left; hold out a later one"
        )
    return earlier[-1]


def trivial_arms(
    train: ArmStates, condition: str, time: float, *, seed: int
) -> dict[str, np.ndarray]:
    """Predict the cells of a condition at a time without fitting a model.

    - ``previous``: the last earlier cells of the condition;
    - ``straight line``: ``(1 - s) x0 + s x1`` along the exact plan between its neighbouring
      snapshots; the previous cells where nothing later is there;
    - ``shift of others``: the previous cells, moved by how far the mean of other conditions moves
      from that time to this one; only where one was seen at both;
    - ``pooled``: the cells of all other conditions at this time; only where there are some.

    Parameters
    ----------
    train
        Cells, without those of the condition at this time.
    condition
        The condition.
    time
        The held-out time.
    seed
        Seed of what is drawn along the plan.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.models.arms.states import ArmStates
    >>> from celltraj.models.evaluation.arm_baselines import trivial_arms
    >>> x, times = np.array([[0.0], [5.0], [7.0]]), np.array([0.0, 0.0, 1.0])
    >>> cells = ArmStates(x, times, np.array(["a", "b", "b"]))
    >>> {name: float(x[0, 0]) for name, x in trivial_arms(cells, "a", 1.0, seed=0).items()}
    {'previous': 0.0, 'straight line': 0.0, 'shift of others': 2.0, 'pooled': 7.0}
    """
    start = previous_time(train, condition, time)
    before = train.at(condition, start)
    found = {PREVIOUS: before, LINE: _line(train, condition, (start, time), seed)}
    others = [name for name in train.conditions if name != condition]
    shifts = [
        train.at(name, time).mean(0) - train.at(name, start).mean(0)
        for name in others
        if {start, time} <= set(train.times_of(name))
    ]
    if shifts:
        found[SHIFT_OF_OTHERS] = before + np.mean(shifts, axis=0)
    there = [train.at(name, time) for name in others if time in train.times_of(name)]
    if there:
        found[POOLED] = np.concatenate(there)
    return found


def _line(train: ArmStates, condition: str, span: tuple[float, float], seed: int) -> np.ndarray:
    """Return the cells at the second time of ``span`` on lines that begin at the first."""
    start, time = span
    before = train.at(condition, start)
    later = [t for t in train.times_of(condition) if t > time]
    if not later:
        return before
    after = train.at(condition, later[0])
    pair = Snapshots((start, later[0]), (torch.from_numpy(before), torch.from_numpy(after)))
    return trivial_predictions(pair, exact_plans(pair), time, seed=seed)[DISPLACEMENT]
