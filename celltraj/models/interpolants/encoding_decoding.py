"""Paths that forget their start in noise half way, and find their end from there."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._checks import checked_fields
from celltraj.models.interpolants._centred import (
    centred_curves,
    centres_of,
    check_scale,
    spread_of,
)
from celltraj.models.interpolants._curves import Schedule, ScheduledCurves
from celltraj.models.interpolants._interpolant import fitted, share_of


@card()
@checked_fields
@dataclass(frozen=True, eq=False)
class EncodingDecodingInterpolant:
    r"""Encode a cell to Gaussian noise half way through a gap, and decode that to the next cell.

    ``x_t = c_s + a(s) (x0 - c0) + b(s) (x1 - c1) + scale sin^2(pi s) z``,
    ``s = (t - t0)/(t1 - t0)``, with ``a = cos^2(pi s)`` in the first half of the gap and 0 in the
    second, ``b`` the reverse, ``c0`` and ``c1`` the means of the two snapshots and ``c_s`` on the
    line between them. Half way the population is ``N(c_s, scale^2)`` whatever the coupling: what a
    cell was is lost there, and the flow between snapshots is that of two diffusion models.

    Parameters
    ----------
    scale
        Standard deviation of the noise half way, in [x]; None takes the root mean square standard
        deviation of the cells of the fit.
    centres
        ``(T, d)`` means of the snapshots, in [x]; None takes those of the chains of the fit.

    Raises
    ------
    ValueError
        ``scale`` is not positive.

    References
    ----------
    Albergo, Boffi & Vanden-Eijnden, *Stochastic interpolants* (2023), "encoding-decoding"; here
    about the means.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import EncodingDecodingInterpolant
    >>> path = EncodingDecodingInterpolant(scale=2.0)
    >>> gamma, _ = path.noise(torch.tensor([0.0, 1.0]), torch.tensor([0.25, 0.5]))
    >>> [round(value, 3) for value in gamma.tolist()]
    [1.0, 2.0]
    """

    scale: float | None = None
    centres: Tensor | None = None

    def __post_init__(self) -> None:
        check_scale(self.scale)

    @property
    def sigma(self) -> float | None:
        """Return ``scale``, in [x] and not [x]/sqrt([t]): above 0, since there is a score.

        The noise does not grow with the root of time, and no sigma describes it.
        """
        return self.scale

    def fit(
        self, times: Tensor, chain: Tensor, gap: Tensor, *, sigma: float
    ) -> EncodingDecodingInterpolant:
        """Return the interpolant with scale and centres of chains ``(T, n, d)``; no sigma is used.

        Raises
        ------
        ValueError
            All cells of a snapshot are one, so that they have no scale.
        """
        return replace(
            self,
            scale=spread_of(chain) if self.scale is None else self.scale,
            centres=centres_of(chain) if self.centres is None else self.centres,
        )

    def curves(self, times: Tensor, chain: Tensor, gap: Tensor) -> ScheduledCurves:
        """Return the mean path of each chain ``(T, n, d)`` over its gap ``(n,)``.

        Raises
        ------
        ValueError
            There are no centres yet, or not one for each snapshot.
        """
        centres = fitted(self, self.centres, "centres")
        return centred_curves(times, chain, gap, centres, _there_and_back)

    def noise(self, times: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return gamma ``(n,)``, in [x], and ``gamma gamma'``, in [x]^2/[t], at ``t (n,)``.

        Raises
        ------
        ValueError
            There is no scale yet.
        """
        if self.scale is None:
            raise ValueError("EncodingDecodingInterpolant has no scale yet; fit it to chains first")
        length, s = share_of(times, t)
        gone = torch.sin(math.pi * s).square()
        product = self.scale**2 * math.pi * gone * torch.sin(2 * math.pi * s) / length
        return self.scale * gone, product


def _there_and_back(rows: Tensor, s: Tensor) -> Schedule:
    left, slope = torch.cos(math.pi * s).square(), -math.pi * torch.sin(2 * math.pi * s)
    none = torch.zeros_like(s)
    is_first = s < 0.5
    a, b = torch.where(is_first, left, none), torch.where(is_first, none, left)
    return Schedule(a, b, torch.where(is_first, slope, none), torch.where(is_first, none, slope))
