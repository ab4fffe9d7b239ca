"""Smooth curves through all snapshots."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.interpolate import CubicSpline, PchipInterpolator
from torch import Tensor

from celltraj._typing import Cells
from celltraj.models.interpolants._interpolant import check_sigma, gap_of


@dataclass(frozen=True)
class SplineInterpolant:
    r"""Join the cells of a chain by one curve, smooth across the snapshots.

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
    >>> x, rate = SplineInterpolant(smoothness=1.0).mean(times, chain, times[1:2])
    >>> float(x), float(rate)  # at the middle cell, half way between the two speeds
    (1.0, 2.0)
    """

    smoothness: float = 0.25
    sigma: float | None = None

    def __post_init__(self) -> None:
        check_sigma(self)
        if not 0 <= self.smoothness <= 1:
            raise ValueError(f"smoothness must lie in [0, 1]; found {self.smoothness}")

    def mean(self, times: Tensor, chain: Tensor, t: Tensor) -> tuple[Cells, Cells]:
        """Return position and velocity ``(n, d)`` on the curve at each ``t (n,)``."""
        velocity = self._velocities(times, chain)
        k, path = gap_of(times, t), range(len(t))
        (x0, v0), (x1, v1) = ((chain[at, path], velocity[at, path]) for at in (k, k + 1))
        length = (times[k + 1] - times[k])[:, None]
        s = (t - times[k])[:, None] / length
        # Hermite's basis and its derivative
        x = (
            (1 + 2 * s) * (1 - s) ** 2 * x0
            + s * (1 - s) ** 2 * length * v0
            + s**2 * (3 - 2 * s) * x1
            + s**2 * (s - 1) * length * v1
        )
        rate = (
            6 * s * (1 - s) * (x1 - x0) / length + (1 - s) * (1 - 3 * s) * v0 + s * (3 * s - 2) * v1
        )
        return x, rate

    def _velocities(self, times: Tensor, chain: Tensor) -> Tensor:
        """Return the ``(T, n, d)`` velocities at the snapshots."""
        at, x = times.double().numpy(), chain.double().numpy()
        monotone = PchipInterpolator(at, x).derivative()(at)
        natural = CubicSpline(at, x, bc_type="natural").derivative()(at)
        blend = (1 - self.smoothness) * monotone + self.smoothness * natural
        return torch.from_numpy(blend).to(chain.dtype)
