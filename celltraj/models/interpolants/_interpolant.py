"""Random paths through chains of cells, which a flow learns the mean velocity of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from celltraj._typing import Cells


@dataclass(frozen=True)
class PathSample:
    r"""Hold points of paths ``x_t = mean_t + gamma_t z`` at ``n`` times, one of each path.

    Parameters
    ----------
    x
        ``(n, d)`` states, in [x].
    rate
        ``(n, d)`` time derivative of the mean path, in [x]/[t].
    z
        ``(n, d)`` standard normal noise.
    width
        ``(n, 1)`` gamma, in [x].
    """

    x: Cells
    rate: Cells
    z: Cells
    width: Tensor


@runtime_checkable
class Interpolant(Protocol):
    """Join the cells of a chain, one of each snapshot, by a random path.

    A frozen dataclass, whose ``sigma`` is None until a fit fills it in.
    """

    @property
    def sigma(self) -> float | None:
        """Return the noise of a path, in [x]/sqrt([t])."""
        ...

    def mean(self, times: Tensor, chain: Tensor, t: Tensor) -> tuple[Cells, Cells]:
        """Return position and time derivative of the mean path.

        Parameters
        ----------
        times
            ``(T,)`` sampling times.
        chain
            ``(T, n, d)`` one cell of each snapshot for each path.
        t
            ``(n,)`` time at which each path is asked for.
        """
        ...


def sample_path(
    interpolant: Interpolant,
    times: Tensor,
    chain: Tensor,
    t: Tensor,
    *,
    generator: torch.Generator,
) -> PathSample:
    """Draw a point of each path, ``n`` chains ``(T, n, d)`` at ``n`` times ``t``."""
    x, rate = interpolant.mean(times, chain, t)
    width, _ = noise_of(interpolant, times, t)
    z = torch.randn(x.shape, dtype=x.dtype, generator=generator)
    return PathSample(x + width[:, None] * z, rate, z, width[:, None])


def noise_of(interpolant: Interpolant, times: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Return gamma ``(n,)`` and ``gamma gamma'`` of a Brownian bridge over each gap.

    ``gamma^2 = sigma^2 (t - t0) (t1 - t) / (t1 - t0)``: no noise at the snapshots. The product is
    bounded where ``gamma'`` is not.

    Raises
    ------
    ValueError
        The interpolant has no sigma yet.
    """
    if interpolant.sigma is None:
        raise ValueError(f"{type(interpolant).__name__} has no sigma yet; pass sigma=")
    k = gap_of(times, t)
    length = times[k + 1] - times[k]
    s = ((t - times[k]) / length).clamp(0, 1)
    variance = interpolant.sigma**2
    return (variance * length * s * (1 - s)).sqrt(), variance * (1 - 2 * s) / 2


def gap_of(times: Tensor, t: Tensor) -> Tensor:
    """Return the index of the gap of each time, the first or the last one beyond the snapshots."""
    return (torch.searchsorted(times, t, right=True) - 1).clamp(0, len(times) - 2)


def check_sigma(interpolant: Interpolant) -> None:
    """Raise unless sigma is unknown, zero or positive and finite.

    Raises
    ------
    ValueError
        It is negative or not a number.
    """
    if interpolant.sigma is not None and not 0 <= interpolant.sigma < float("inf"):
        raise ValueError(f"sigma must not be negative; found {interpolant.sigma}")
