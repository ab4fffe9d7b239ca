"""States of cells by condition and time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class ArmStates:
    """Hold the states of cells with the condition and the time of each.

    Parameters
    ----------
    x
        ``(n, d)`` states.
    times
        ``(n,)`` sampling times.
    names
        ``(n,)`` conditions.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.models.arms.states import ArmStates
    >>> cells = ArmStates(np.eye(2), np.array([0.0, 1.0]), np.array(["a", "a"]))
    >>> cells.at("a", 1.0), cells.times_of("a")
    (array([[0., 1.]]), [0.0, 1.0])
    """

    x: np.ndarray
    times: np.ndarray
    names: np.ndarray

    @property
    def conditions(self) -> list[str]:
        """Names of the conditions, sorted."""
        return sorted(set(self.names.tolist()))

    def rows(self, condition: str, time: float) -> np.ndarray:
        """Return which cells are of a condition at a time, ``(n,)``."""
        found: np.ndarray = (self.names == condition) & (self.times == time)
        return found

    def at(self, condition: str, time: float) -> np.ndarray:
        """Return the ``(m, d)`` states of a condition at a time."""
        found: np.ndarray = self.x[self.rows(condition, time)]
        return found

    def times_of(self, condition: str) -> list[float]:
        """Return the times at which a condition was seen, in order."""
        found: list[float] = np.unique(self.times[self.names == condition]).tolist()
        return found

    def kept(self, rows: np.ndarray) -> ArmStates:
        """Return some of the cells."""
        return ArmStates(self.x[rows], self.times[rows], self.names[rows])
