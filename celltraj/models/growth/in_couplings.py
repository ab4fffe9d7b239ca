"""Growth that plain transport is to expect."""

from __future__ import annotations

import math

import torch

from celltraj.models.growth.convention import GrowthModel, with_growth
from celltraj.models.noise_scale import FRACTION, squared_speed
from celltraj.ot import Solver
from celltraj.snapshots import Snapshots


def growth_of_couplings(
    snapshots: Snapshots, growth: GrowthModel, *, coupling: Solver, progress: bool
) -> tuple[Snapshots, str | None]:
    """Return the snapshots with the growth that transport is to expect, and what it is in words.

    As :func:`with_growth` has it, at the noise that a fit would take; where nothing moves the
    snapshots as they are.

    Parameters
    ----------
    snapshots
        Observed clouds, with the growth that a user expects, if any.
    growth
        How much cells divide and die.
    coupling
        Solver of the couplings that will hold to it.
    progress
        Whether to show a progress bar.
    """
    if not growth:
        return snapshots, None
    snapshots.check_gaps()
    speed = squared_speed(snapshots, generator=torch.Generator().manual_seed(0))
    if speed == 0:
        return snapshots, None
    sigma = math.sqrt(FRACTION * speed)
    return with_growth(snapshots, growth, sigma=sigma, coupling=coupling, progress=progress)
