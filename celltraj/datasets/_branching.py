"""Simulate a growing population that splits into two arms."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd

from celltraj._checks import checked
from celltraj.datasets._build import build_adata, check_count

SPEED = 1.0
SLOPE = 0.8
SPLIT_TIME = 1.0
SIGMA = 0.15
SPREAD = 0.2
STEP = 0.05


def _population(
    n_cells: int, time: float, rates: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return states ``(n, 2)`` and arms ``(n,)``: 0 before the split, then 1 upper, -1 lower."""
    x = SPREAD * rng.standard_normal((n_cells, 2))
    arm = np.zeros(n_cells, dtype=int)
    split_step = round(SPLIT_TIME / STEP)
    for step in range(round(time / STEP)):
        if step == split_step:
            arm = np.where(x[:, 1] >= 0, 1, -1)
        divides = rng.random(len(x)) < -np.expm1(-rates[arm] * STEP)
        x, arm = np.concatenate([x, x[divides]]), np.concatenate([arm, arm[divides]])
        velocity = np.column_stack([np.full(len(x), SPEED), SLOPE * arm])
        x = x + velocity * STEP + SIGMA * np.sqrt(STEP) * rng.standard_normal(x.shape)
    return x, arm


@checked
def branching(
    n_cells: int = 300, *, growth: tuple[float, float] = (0.4, 0.4), seed: int = 0
) -> ad.AnnData:
    """Simulate a two-dimensional population that grows and branches.

    A progenitor cloud moves right. At time 1 each cell takes the arm of the sign of its second
    coordinate; from then on cells divide at the rate of their arm. Every time is a separate
    population grown from ``n_cells`` founders, because measuring destroys the cells.

    With equal rates the shares of the arms stay as they are. With unequal rates they change, and
    transport that knows no growth explains this by cells that cross from arm to arm.

    Parameters
    ----------
    n_cells
        Founder cells at each of the times 0, 1, 2, 3, 4 (count, at least 1). An arm holds on
        average ``n_cells / 2 * exp(rate * (t - 1))`` cells for t >= 1.
    growth
        Division rates of the upper and the lower arm (per unit of time, not negative).
    seed
        Seed of the random generator.

    Returns
    -------
    ``X`` of shape ``(n, 2)``, float32, arbitrary length unit; ``obs["time"]``; ``obs["arm"]``
    (``"progenitor"``, ``"upper"``, ``"lower"``); ``obs["growth_rate"]`` (per unit of time);
    the true parameters in ``uns["source"]`` (text) and ``uns["parameters"]`` (numbers).

    Raises
    ------
    TypeError
        ``n_cells`` is not an integer.
    ValueError
        ``n_cells`` is less than 1, or a rate is negative.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=100)
    >>> sorted(adata.obs["arm"].unique())
    ['lower', 'progenitor', 'upper']
    """
    n_cells = check_count("n_cells", n_cells)
    upper, lower = growth
    if not (upper >= 0 and lower >= 0):
        raise ValueError(f"growth rates must not be negative, found {growth}")
    rng = np.random.default_rng(seed)
    times = np.arange(5.0)
    rates = np.array([0.0, upper, lower])  # indexed by arm: 0, 1 and -1
    blocks, arms = zip(*[_population(n_cells, t, rates, rng) for t in times], strict=True)
    parameters = {
        "speed": SPEED,
        "slope": SLOPE,
        "split_time": SPLIT_TIME,
        "division_rate_upper": float(upper),
        "division_rate_lower": float(lower),
        "sigma": SIGMA,
        "initial_sd": SPREAD,
        "n_cells": n_cells,
        "seed": int(seed),
    }
    source = (
        f"simulated branching population, speed={SPEED:g}, after t={SPLIT_TIME:g} "
        f"slope=+-{SLOPE:g}; division rate {upper:g} upper, {lower:g} lower; sigma={SIGMA:g}, "
        f"initial sd={SPREAD:g}, n_cells={n_cells}, seed={seed}"
    )
    adata = build_adata(blocks, times, ["x", "y"], source, parameters)
    arm = np.concatenate(arms)
    names = np.array(["progenitor", "upper", "lower"])[arm]
    adata.obs["arm"] = pd.Categorical(names, categories=["progenitor", "upper", "lower"])
    adata.obs["growth_rate"] = rates[arm]
    return adata
