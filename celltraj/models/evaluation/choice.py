"""Choose among candidates by what was held out, with a margin in favour of the first.

Held-out times are few and the distances at them noisy: the least mean alone is often that of
another candidate than the best one, the more so the more there are. The first candidate is kept
unless another one is ahead by more than can well be chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

LEAST_GAIN = 0.05  # of what the first has above the floor
Distances = Mapping[str, np.ndarray]


class Choice(NamedTuple):
    """Hold what was chosen, and by how much.

    Parameters
    ----------
    name
        The candidate.
    rival
        The best of the others; empty where there is none.
    margin
        Standard errors by which it is ahead of that one, see :func:`lead`.
    """

    name: str
    rival: str
    margin: float


def choose(w1: Distances, energy: Distances, floor: np.ndarray) -> Choice:
    """Return the first candidate, or the best of those that are surely ahead of it.

    Another is ahead where its W1 is less by a twentieth of what the first has above the floor and
    by more than a standard error, in the mean over what was held out, and its energy distance no
    greater: W1 rewards predictions that are too narrow.

    Parameters
    ----------
    w1, energy
        ``(n,)`` distances from what was held out, by candidate.
    floor
        ``(n,)`` W1 of random halves of it.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.models.evaluation.choice import choose
    >>> energy = {"mine": np.zeros(3), "other": np.zeros(3)}
    >>> w1 = {"mine": np.array([2.0, 3.0, 4.0]), "other": np.array([1.0, 2.0, 2.9])}
    >>> choose(w1, energy, np.ones(3)).name
    'other'
    >>> choose(w1 | {"other": np.array([0.0, 3.0, 5.5])}, energy, np.ones(3)).name
    'mine'
    """
    first, *others = w1
    reach = max(float((w1[first] - floor).mean()), 0.0)
    able = [
        name
        for name in others
        if is_ahead(w1[first] - w1[name], reach) and energy[name].mean() <= energy[first].mean()
    ]
    best = min(able, key=lambda name: w1[name].mean(), default=first)
    rest = [name for name in w1 if name != best]
    rival = min(rest, key=lambda name: w1[name].mean(), default="")
    return Choice(best, rival, lead(w1[rival] - w1[best]) if rival else math.nan)


def is_ahead(gain: np.ndarray, reach: float) -> bool:
    """Whether gains ``(n,)`` are more than a twentieth of ``reach`` and a standard error."""
    return bool(gain.mean() >= LEAST_GAIN * reach and lead(gain) > 1)


def lead(gain: np.ndarray) -> float:
    """Return the mean of gains ``(n,)`` in standard errors; NaN where one alone tells none.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.models.evaluation.choice import lead
    >>> round(lead(np.array([1.0, 2.0, 3.0])), 2)  # 2 / (1 / sqrt 3)
    3.46
    """
    if len(gain) < 2:
        return math.nan
    mean, error = float(gain.mean()), float(gain.std(ddof=1)) / math.sqrt(len(gain))
    if error > 0:
        return mean / error
    return math.copysign(math.inf, mean) if mean else 0.0
