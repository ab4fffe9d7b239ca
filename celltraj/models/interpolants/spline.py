"""Smooth curves through all snapshots."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.interpolate import CubicSpline, PchipInterpolator
from torch import Tensor

from celltraj._checks import checked_fields
from celltraj.models.interpolants._curves import HermiteCurves
from celltraj.models.interpolants._interpolant import (
    bridge_noise,
    check_sigma,
    ends_of,
    with_noise_of,
)


@checked_fields
@dataclass(frozen=True)
class SplineInterpolant:
    r"""Spline interpolant: join the cells of a chain by one curve, smooth across the snapshots.

    Cubic between neighbours, with the velocity at each snapshot between that of the monotone
    cubic, which never overshoots, and that of the natural spline, which bends least:
    ``v_k = (1 - smoothness) v_monotone + smoothness v_natural``. The noise is a Brownian bridge
    over each gap.

    Parameters
    ----------
    smoothness
        0 for the monotone cubic, 1 for the natural spline.
    sigma
        Noise, in [x]/sqrt([t]); None takes that of the fit.

    Raises
    ------
    ValueError
        ``smoothness`` lies outside [0, 1], or ``sigma`` is negative.

    References
    ----------
    Fritsch & Butland, *A method for constructing local monotone piecewise cubic interpolants*
    (1984); de Boor, *A practical guide to splines* (1978), chapter 4.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import SplineInterpolant
    >>> chain = torch.tensor([0.0, 1.0, 4.0]).reshape(3, 1, 1).double()
    >>> times = torch.tensor([0.0, 1.0, 2.0]).double()
    >>> second = torch.tensor([1])
    >>> curves = SplineInterpolant(smoothness=1.0).curves(times, chain, second)
    >>> x, rate = curves.at(torch.tensor([0]), times[1:2])
    >>> float(x), float(rate)  # at the middle cell, half way between the two speeds
    (1.0, 2.0)
    """

    smoothness: float = 0.25
    sigma: float | None = None

    def __post_init__(self) -> None:
        check_sigma(self)
        if not 0 <= self.smoothness <= 1:
            raise ValueError(f"smoothness must lie in [0, 1]; found {self.smoothness}")

    def fit(self, times: Tensor, chain: Tensor, gap: Tensor, *, sigma: float) -> SplineInterpolant:
        """Return the interpolant with ``sigma`` where it has none of its own."""
        return with_noise_of(self, sigma)

    def curves(self, times: Tensor, chain: Tensor, gap: Tensor) -> HermiteCurves:
        """Return the curve of each chain ``(T, n, d)`` over its gap ``(n,)``."""
        x = torch.stack(ends_of(chain, gap))
        v = torch.stack(ends_of(self._velocities(times, chain), gap))
        return HermiteCurves(times[gap], times[gap + 1] - times[gap], x, v)

    def noise(self, times: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return gamma ``(n,)`` and ``gamma gamma'`` of a Brownian bridge over each gap."""
        return bridge_noise(self, times, t)

    def _velocities(self, times: Tensor, chain: Tensor) -> Tensor:
        """Return the ``(T, n, d)`` velocities at the snapshots."""
        at, x = times.double().numpy(), chain.double().numpy()
        monotone = PchipInterpolator(at, x).derivative()(at)
        natural = CubicSpline(at, x, bc_type="natural").derivative()(at)
        blend = (1 - self.smoothness) * monotone + self.smoothness * natural
        return torch.from_numpy(blend).to(chain.dtype)
