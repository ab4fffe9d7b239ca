"""What one wants to know of a population after a treatment, as numbers with names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from celltraj.metrics import gate_shares
from celltraj.models.evaluation.prediction import Prediction

SHIFT, GATE_SHARE, SHARE, SURVIVAL = "shift", "above_gate", "share", "survival"


class Readout(NamedTuple):
    """Name a quantity.

    Parameters
    ----------
    kind
        ``"shift"`` of the mean, share ``"above_gate"``, ``"share"`` of a cell type, ``"survival"``.
    variable
        The marker or the cell type; empty where there is none.
    """

    kind: str
    variable: str = ""

    @property
    def bounds(self) -> tuple[float, float]:
        """Between which values it lies by what it is."""
        if self.kind == SHIFT:
            return -np.inf, np.inf
        return (0.0, np.inf) if self.kind == SURVIVAL else (0.0, 1.0)


@dataclass(frozen=True)
class Reading:
    """Say how cells are read.

    Parameters
    ----------
    variables
        ``(d,)`` names of the markers.
    types
        Names of the cell types that are counted; empty where none are.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.models.evaluation import Prediction, Reading
    >>> before = np.arange(11.0)[:, None]
    >>> Reading(("CD4",)).of(before, Prediction(before + 20))
    {Readout(kind='shift', variable='CD4'): 20.0, Readout(kind='above_gate', variable='CD4'): 1.0}
    """

    variables: Sequence[str]
    types: Sequence[str] = ()

    def of(
        self, before: np.ndarray, after: Prediction, labels: np.ndarray | None = None
    ) -> Mapping[Readout, float]:
        """Return the readouts of a population.

        Parameters
        ----------
        before
            ``(n, d)`` its untreated cells, by which the gates are set.
        after
            Its treated cells, observed or predicted.
        labels
            ``(m,)`` cell types of these; cells of other types than are counted count for none.
        """
        x, weights = after
        shares = np.full(len(x), 1 / len(x)) if weights is None else weights / weights.sum()
        # the same sums for cells and control, so that a control is at zero to the last bit
        centre = x.mean(0) if weights is None else shares @ x
        shift, above = centre - before.mean(0), gate_shares(x, before, weights=weights)
        found = {Readout(SHIFT, name): v for name, v in zip(self.variables, shift, strict=True)}
        found |= {Readout(GATE_SHARE, k): v for k, v in zip(self.variables, above, strict=True)}
        if labels is not None:
            found |= {Readout(SHARE, one): shares[labels == one].sum() for one in self.types}
        return {name: float(value) for name, value in found.items()}
