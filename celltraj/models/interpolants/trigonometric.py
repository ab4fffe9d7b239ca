"""Quarter turns from snapshot to snapshot, which keep the spread of the population."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._checks import checked_fields
from celltraj.models.interpolants._centred import centred_curves, centres_of
from celltraj.models.interpolants._curves import Schedule, ScheduledCurves
from celltraj.models.interpolants._interpolant import (
    bridge_noise,
    check_sigma,
    fitted,
    with_noise_of,
)


@card()
@checked_fields
@dataclass(frozen=True, eq=False)
class TrigonometricInterpolant:
    r"""Join neighbouring cells of a chain by a quarter turn about the mean of the population.

    ``x_t = c_s + cos(pi s/2) (x0 - c0) + sin(pi s/2) (x1 - c1)`` with ``s = (t - t0)/(t1 - t0)``,
    ``c0`` and ``c1`` the means of the two snapshots and ``c_s`` on the line between them. Squares
    of the weights sum to 1, so that independent ends of one variance keep it all the way, where
    straight lines halve it. The noise is a Brownian bridge over each gap.

    Parameters
    ----------
    sigma
        Noise, in [x]/sqrt([t]); None takes that of the fit.
    centres
        ``(T, d)`` means of the snapshots, in [x]; None takes those of the chains of the fit.

    Raises
    ------
    ValueError
        ``sigma`` is negative.

    References
    ----------
    Albergo & Vanden-Eijnden, *Building normalizing flows with stochastic interpolants* (2023); here
    about the means.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import TrigonometricInterpolant
    >>> times, first = torch.tensor([0.0, 1.0]), torch.tensor([0])
    >>> chain = torch.tensor([2.0, 0.0]).reshape(2, 1, 1)
    >>> curves = TrigonometricInterpolant(centres=torch.zeros(2, 1)).curves(times, chain, first)
    >>> x, _ = curves.at(first, torch.tensor([0.5]))
    >>> round(float(x), 3)  # 2 cos(pi / 4)
    1.414
    """

    sigma: float | None = None
    centres: Tensor | None = None

    def __post_init__(self) -> None:
        check_sigma(self)

    def fit(
        self, times: Tensor, chain: Tensor, gap: Tensor, *, sigma: float
    ) -> TrigonometricInterpolant:
        """Return the interpolant with the means of the chains ``(T, n, d)`` at each snapshot."""
        centres = centres_of(chain) if self.centres is None else self.centres
        return replace(with_noise_of(self, sigma), centres=centres)

    def curves(self, times: Tensor, chain: Tensor, gap: Tensor) -> ScheduledCurves:
        """Return the turn of each chain ``(T, n, d)`` over its gap ``(n,)``.

        Raises
        ------
        ValueError
            There are no centres yet, or not one for each snapshot.
        """
        centres = fitted(self, self.centres, "centres")
        return centred_curves(times, chain, gap, centres, _quarter_turn)

    def noise(self, times: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return gamma ``(n,)`` and ``gamma gamma'`` of a Brownian bridge over each gap."""
        return bridge_noise(self, times, t)


def _quarter_turn(rows: Tensor, s: Tensor) -> Schedule:
    a, b = torch.cos(math.pi / 2 * s), torch.sin(math.pi / 2 * s)
    return Schedule(a, b, -math.pi / 2 * b, math.pi / 2 * a)
