"""Centres and spread of the snapshots, and curves whose ends are measured from the centres."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from celltraj.models.interpolants._curves import Schedule, ScheduledCurves
from celltraj.models.interpolants._interpolant import ends_of


def centres_of(chain: Tensor) -> Tensor:
    """Return the ``(T, d)`` mean cell of chains ``(T, n, d)`` at each snapshot."""
    return chain.double().mean(1)


def spread_of(chain: Tensor) -> float:
    """Return the root mean square standard deviation of the cells of chains, in [x].

    Raises
    ------
    ValueError
        All cells of a snapshot are one.
    """
    scale = float(chain.double().var(1, correction=0).mean().sqrt())
    if not scale > 0:
        raise ValueError("the cells of a snapshot do not differ; pass scale=, in [x]")
    return scale


def check_scale(scale: float | None) -> None:
    """Raise unless the scale is unknown or positive and finite.

    Raises
    ------
    ValueError
        It is neither.
    """
    if scale is not None and not 0 < scale < float("inf"):
        raise ValueError(f"scale must be positive; found {scale}")


def centred_curves(
    times: Tensor,
    chain: Tensor,
    gap: Tensor,
    centres: Tensor,
    schedule: Callable[[Tensor, Tensor], Schedule],
) -> ScheduledCurves:
    """Return sums of the two ends of each chain, each measured from the centre of its snapshot.

    Raises
    ------
    ValueError
        There is not one centre ``(d,)`` for each snapshot.
    """
    wanted = (len(chain), chain.shape[2])
    if tuple(centres.shape) != wanted:
        raise ValueError(f"centres must have shape {wanted}; found {tuple(centres.shape)}")
    start, c = times[gap], centres.to(chain.dtype)
    length = times[gap + 1] - start
    return ScheduledCurves(start, length, *ends_of(chain, gap), c[gap], c[gap + 1], schedule)
