"""Random paths through chains of cells, which a flow learns the mean velocity of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Cells
from celltraj.models.interpolants._curves import Curves


@card()
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

    def fit(self, times: Tensor, chain: Tensor, gap: Tensor, *, sigma: float) -> Interpolant:
        """Return the interpolant with what it takes from the data filled in.

        Parameters
        ----------
        times
            ``(T,)`` sampling times.
        chain
            ``(T, n, d)`` cells of chains.
        gap
            ``(n,)`` index of the gap whose pairs each chain was drawn for.
        sigma
            Noise of the coupling, in [x]/sqrt([t]).
        """
        ...

    def curves(self, times: Tensor, chain: Tensor, gap: Tensor) -> Curves:
        """Return the mean path of each chain ``(T, n, d)`` over its gap ``(n,)``."""
        ...

    def noise(self, times: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return gamma ``(n,)``, in [x], and ``gamma gamma'``, in [x]^2/[t], at ``t (n,)``.

        The product is bounded where ``gamma'`` is not.
        """
        ...


def sample_path(
    interpolant: Interpolant,
    times: Tensor,
    curves: Curves,
    rows: Tensor,
    t: Tensor,
    *,
    generator: torch.Generator,
) -> PathSample:
    """Draw a point of each of the paths ``rows (n,)`` at the times ``t (n,)`` of their gaps."""
    x, rate = curves.at(rows, t)
    width, _ = interpolant.noise(times, t)
    z = torch.randn(x.shape, dtype=x.dtype, generator=generator)
    return PathSample(x + width[:, None] * z, rate, z, width[:, None])


_Kind = TypeVar("_Kind")


def with_noise_of(interpolant: _Kind, sigma: float) -> _Kind:
    """Return the interpolant with ``sigma`` where it has none of its own."""
    own: Any = interpolant  # a dataclass with a field sigma: no protocol can say so
    return interpolant if own.sigma is not None else cast("_Kind", replace(own, sigma=sigma))


def bridge_noise(interpolant: Interpolant, times: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Return gamma ``(n,)`` and ``gamma gamma'`` of a Brownian bridge over each gap.

    ``gamma^2 = sigma^2 (t - t0) (t1 - t) / (t1 - t0)``: no noise at the snapshots.

    Raises
    ------
    ValueError
        The interpolant has no sigma yet.
    """
    if interpolant.sigma is None:
        raise ValueError(f"{type(interpolant).__name__} has no sigma yet; pass sigma=")
    length, s = share_of(times, t)
    variance = interpolant.sigma**2
    return (variance * length * s * (1 - s)).sqrt(), variance * (1 - 2 * s) / 2


def share_of(times: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Return the length of the gap of each time, and the share of it that is gone."""
    k = gap_of(times, t)
    length = times[k + 1] - times[k]
    return length, ((t - times[k]) / length).clamp(0, 1)


def gap_of(times: Tensor, t: Tensor) -> Tensor:
    """Return the index of the gap of each time, the first or the last one beyond the snapshots."""
    return (torch.searchsorted(times, t, right=True) - 1).clamp(0, len(times) - 2)


def ends_of(chain: Tensor, gap: Tensor) -> tuple[Cells, Cells]:
    """Return the two cells ``(n, d)`` of each chain between which its gap lies."""
    path = torch.arange(len(gap))
    return chain[gap, path], chain[gap + 1, path]


def check_sigma(interpolant: Interpolant) -> None:
    """Raise unless sigma is unknown, zero or positive and finite.

    Raises
    ------
    ValueError
        It is negative or not a number.
    """
    if interpolant.sigma is not None and not 0 <= interpolant.sigma < float("inf"):
        raise ValueError(f"sigma must not be negative; found {interpolant.sigma}")


def fitted(interpolant: Interpolant, value: Tensor | None, name: str) -> Tensor:
    """Return what a fit filled in.

    Raises
    ------
    ValueError
        It has not been fitted.
    """
    if value is None:
        raise ValueError(f"{type(interpolant).__name__} has no {name} yet; fit it to chains first")
    return value
