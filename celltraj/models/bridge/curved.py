r"""Drift and score of a bridge whose noise depends on the state.

The bridge is fitted in coordinates ``z`` in which the noise is the same everywhere, see
:mod:`celltraj.models.references.chart`. With ``u = dx/dz`` the shape of the noise and ``u'`` its
derivative by ``x``, what it says of ``z`` becomes

    drift ``u (b_z + sigma^2 u' / 2)``,  backwards ``u (b_z - sigma^2 u' / 2)``
    score ``(score_z - u') / u``

of ``x``: by Ito's formula in either direction of time, and by the change of a density.
"""

from __future__ import annotations

from dataclasses import dataclass

from celltraj._card import card
from celltraj._typing import Cells, Earlier
from celltraj.models.bridge.neural import NeuralField
from celltraj.models.bridge.plug_in import PlugInField
from celltraj.models.references import Straightened
from celltraj.models.references.family import sigma_of


@card()
@dataclass(frozen=True)
class CurvedField:
    """Evaluate drift and score at states by those of coordinates of constant noise.

    Parameters
    ----------
    straight
        The field of the coordinates.
    law
        Law of motion of the coordinates, which knows how states lie in them.
    """

    straight: PlugInField | NeuralField
    law: Straightened

    @property
    def losses(self) -> tuple[float, ...]:
        """Training loss at each step; empty for the plug-in drift."""
        return self.straight.losses

    def drift(self, t: float, x: Cells) -> Cells:
        """Return the forward drift ``(n, d)``, in [x]/[t]."""
        return self._states(x, self.straight.drift(t, self._at(x)), 1.0)

    def backward_drift(self, t: float, x: Cells) -> Cells:
        """Return the backward drift ``(n, d)``, in [x]/[t]."""
        return self._states(x, self.straight.backward_drift(t, self._at(x)), -1.0)

    def score(self, t: float, x: Cells) -> Cells:
        """Return ``grad log p_t(x)``, ``(n, d)``, in 1/[x]."""
        chart, state = self.law.law.chart, x.double()
        score = self.straight.score(t, self._at(x)) - chart.bend(state)
        return (score / chart.shape(state)).to(x.dtype)

    def masses(self, t: float, x: Cells) -> tuple[Earlier, Earlier]:
        """Return the mean logarithms ``(n,)`` of what paths through ``x`` send and meet."""
        sent, met = self.straight.masses(t, self._at(x))
        return sent.to(x.dtype), met.to(x.dtype)

    def _at(self, x: Cells) -> Cells:
        return self.law.law.chart.straight(x.double())

    def _states(self, x: Cells, drift: Cells, sign: float) -> Cells:
        chart, state = self.law.law.chart, x.double()
        bend = sign * sigma_of(self.law) ** 2 / 2 * chart.bend(state)
        return (chart.shape(state) * (drift + bend)).to(x.dtype)
