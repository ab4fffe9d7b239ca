"""Straight lines from snapshot to snapshot, without noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj.models.interpolants._curves import HermiteCurves, straight_lines
from celltraj.models.interpolants._interpolant import ends_of


@dataclass(frozen=True)
class LinearInterpolant:
    r"""Join neighbouring cells of a chain by straight lines.

    ``x_t = (1 - s) x0 + s x1`` with ``s = (t - t0)/(t1 - t0)``. There is no noise, hence no score:
    the flow is an ODE only, that of optimal transport under an exact coupling.

    References
    ----------
    Lipman et al., *Flow matching for generative modeling* (2022); Liu et al., *Flow straight and
    fast* (2022).

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import LinearInterpolant
    >>> chain = torch.tensor([[[0.0]], [[4.0]]])  # one path of one variable at two times
    >>> curves = LinearInterpolant().curves(torch.tensor([0.0, 2.0]), chain, torch.tensor([0]))
    >>> curves.at(torch.tensor([0]), torch.tensor([0.5]))
    (tensor([[1.]]), tensor([[2.]]))
    """

    sigma = 0.0

    def fit(self, times: Tensor, chain: Tensor, gap: Tensor, *, sigma: float) -> LinearInterpolant:
        """Return the interpolant itself: it takes nothing from the data."""
        return self

    def curves(self, times: Tensor, chain: Tensor, gap: Tensor) -> HermiteCurves:
        """Return the line of each chain ``(T, n, d)`` over its gap ``(n,)``."""
        return straight_lines(times[gap], times[gap + 1] - times[gap], *ends_of(chain, gap))

    def noise(self, times: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return zeros."""
        return torch.zeros_like(t), torch.zeros_like(t)
