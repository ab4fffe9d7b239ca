"""Straight lines from snapshot to snapshot."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from celltraj._typing import Cells
from celltraj.models.interpolants._interpolant import check_sigma, gap_of


@dataclass(frozen=True)
class LinearInterpolant:
    r"""Join neighbouring cells of a chain by straight lines, with the noise of a Brownian bridge.

    ``x_t = (1 - s) x0 + s x1 + sigma sqrt((t1 - t0) s (1 - s)) z`` with ``s = (t - t0)/(t1 - t0)``.
    Under an entropic coupling with epsilon ``sigma^2 (t1 - t0)`` the flow is that of the
    Schroedinger bridge; with ``sigma=0`` and an exact one that of optimal transport.

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
    >>> from celltraj.models import LinearInterpolant
    >>> chain = torch.tensor([[[0.0]], [[4.0]]])  # one path of one variable at two times
    >>> LinearInterpolant().mean(torch.tensor([0.0, 2.0]), chain, torch.tensor([0.5]))
    (tensor([[1.]]), tensor([[2.]]))
    """

    sigma: float | None = None

    def __post_init__(self) -> None:
        check_sigma(self)

    def mean(self, times: Tensor, chain: Tensor, t: Tensor) -> tuple[Cells, Cells]:
        """Return position and velocity ``(n, d)`` on the line of the gap of each ``t (n,)``."""
        k, path = gap_of(times, t), range(len(t))
        x0, x1 = chain[k, path], chain[k + 1, path]
        length = (times[k + 1] - times[k])[:, None]
        rate = (x1 - x0) / length
        return x0 + (t - times[k])[:, None] * rate, rate
