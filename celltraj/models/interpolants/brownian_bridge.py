"""Straight lines from snapshot to snapshot, with the noise of a Brownian bridge."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from celltraj._checks import checked_fields
from celltraj.models.interpolants._curves import HermiteCurves, straight_lines
from celltraj.models.interpolants._interpolant import (
    bridge_noise,
    check_sigma,
    ends_of,
    with_noise_of,
)


@checked_fields
@dataclass(frozen=True)
class BrownianBridgeInterpolant:
    r"""Join neighbouring cells of a chain by Brownian bridges.

    ``x_t = (1 - s) x0 + s x1 + sigma sqrt((t1 - t0) s (1 - s)) z`` with ``s = (t - t0)/(t1 - t0)``.
    Under an entropic coupling with epsilon ``sigma^2 (t1 - t0)`` the flow with noise sigma is the
    Schroedinger bridge.

    Parameters
    ----------
    sigma
        Noise, in [x]/sqrt([t]); None takes that of the fit.

    Raises
    ------
    ValueError
        ``sigma`` is negative.

    References
    ----------
    Tong et al., *Simulation-free Schroedinger bridges via score and flow matching* (2023).

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import BrownianBridgeInterpolant
    >>> path = BrownianBridgeInterpolant(sigma=2.0)
    >>> path.noise(torch.tensor([0.0, 1.0]), torch.tensor([0.5]))  # gamma is greatest half way
    (tensor([1.]), tensor([0.]))
    """

    sigma: float | None = None

    def __post_init__(self) -> None:
        check_sigma(self)

    def fit(
        self, times: Tensor, chain: Tensor, gap: Tensor, *, sigma: float
    ) -> BrownianBridgeInterpolant:
        """Return the interpolant with ``sigma`` where it has none of its own."""
        return with_noise_of(self, sigma)

    def curves(self, times: Tensor, chain: Tensor, gap: Tensor) -> HermiteCurves:
        """Return the line of each chain ``(T, n, d)`` over its gap ``(n,)``."""
        return straight_lines(times[gap], times[gap + 1] - times[gap], *ends_of(chain, gap))

    def noise(self, times: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return gamma ``(n,)`` and ``gamma gamma'`` of the bridge over each gap."""
        return bridge_noise(self, times, t)
