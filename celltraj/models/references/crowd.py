"""The cells of a population over time, as what moves among them sees them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Cells

_ROUNDING = 1e-9  # of the whole time, by which a step may end beyond it


@card()
@dataclass(frozen=True, eq=False)
class Crowd:
    """Hold ``m`` cells that stand for a population, ``p_t``, between the nodes on straight lines.

    Where a time occurs twice, cells are exchanged for others of the same population.

    Parameters
    ----------
    times
        ``(K,)`` nodes, not decreasing, in the user's unit.
    x
        ``(K, m, d)`` states, in [x].

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import Crowd
    >>> crowd = Crowd(torch.tensor([0.0, 1.0]), torch.tensor([[[0.0]], [[4.0]]]))
    >>> crowd.at(0.25)
    tensor([[1.]])
    """

    times: Tensor
    x: Tensor

    @property
    def span(self) -> tuple[float, float]:
        """First and last time at which the population is known."""
        return float(self.times[0]), float(self.times[-1])

    def at(self, t: float) -> Cells:
        """Return the ``(m, d)`` cells at a time.

        Raises
        ------
        ValueError
            The population is not known then.
        """
        first, last = self.span
        slack = _ROUNDING * (last - first)
        if not first - slack <= t <= last + slack:
            raise ValueError(
                f"the population is known from {first:g} to {last:g}, and its cells move as it is: "
                f"nothing tells how at {t:g}. Ask fitted.of(cells, start=, stop=) for a population "
                "over a longer time"
            )
        k = int(torch.searchsorted(self.times, t, right=True)) - 1
        k = min(max(k, 0), len(self.times) - 2)
        start, stop = float(self.times[k]), float(self.times[k + 1])
        share = min(max((t - start) / (stop - start), 0.0), 1.0)
        return torch.lerp(self.x[k], self.x[k + 1], share)

    def joined(self, later: Crowd) -> Crowd:
        """Return this crowd followed by another one."""
        return Crowd(torch.cat([self.times, later.times]), torch.cat([self.x, later.x]))
