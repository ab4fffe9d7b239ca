"""Simulate a growing population that splits into two arms."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd

from celltraj.datasets._build import build_adata, check_count

SPEED = 1.0
SLOPE = 0.8
SPLIT_TIME = 1.0
RATE = 0.4
SIGMA = 0.15
SPREAD = 0.2
STEP = 0.05


def _population(n_cells, time, rng):
    x = SPREAD * rng.standard_normal((n_cells, 2))
    arm = np.zeros(n_cells, dtype=int)  # 0 before the split, then +1 (upper) or -1 (lower)
    split_step = round(SPLIT_TIME / STEP)
    for step in range(round(time / STEP)):
        if step == split_step:
            arm = np.where(x[:, 1] >= 0, 1, -1)
        velocity = np.column_stack([np.full(len(x), SPEED), SLOPE * arm])
        x = x + velocity * STEP + SIGMA * np.sqrt(STEP) * rng.standard_normal(x.shape)
        divides = (arm == 1) & (rng.random(len(x)) < -np.expm1(-RATE * STEP))
        x = np.concatenate([x, x[divides]])
        arm = np.concatenate([arm, arm[divides]])
    return x, arm


def branching(n_cells: int = 300, *, seed: int = 0) -> ad.AnnData:
    """Simulate a two-dimensional branching population whose upper arm divides.

    A progenitor cloud moves right. At time 1 each cell takes the arm of the sign of its
    second coordinate; cells of the upper arm divide at a constant rate, those of the lower
    arm do not. Every time is a separate population grown from `n_cells` founders, because
    measuring destroys the cells.

    Parameters
    ----------
    n_cells : int
        Number of founder cells at each of the times 0, 1, 2, 3, 4 (count, at least 1).
        The upper arm has on average ``n_cells / 2 * exp(0.4 * (t - 1))`` cells for t >= 1.
    seed : int
        Seed of the random generator (dimensionless).

    Returns
    -------
    AnnData
        ``X`` of shape ``(n, 2)``, float32, length in arbitrary units; ``obs["time"]`` float;
        ``obs["arm"]`` categorical (``"progenitor"``, ``"upper"``, ``"lower"``); the true
        parameters in ``uns["source"]`` (text) and ``uns["parameters"]`` (numbers).

    Raises
    ------
    TypeError
        If `n_cells` is not an integer.
    ValueError
        If `n_cells` is less than 1.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=100)
    >>> sorted(adata.obs["arm"].unique())
    ['lower', 'progenitor', 'upper']
    """
    n_cells = check_count("n_cells", n_cells)
    rng = np.random.default_rng(seed)
    times = np.arange(5.0)
    blocks, arms = zip(*[_population(n_cells, t, rng) for t in times], strict=True)
    parameters = {
        "speed": SPEED,
        "slope": SLOPE,
        "split_time": SPLIT_TIME,
        "division_rate_upper": RATE,
        "division_rate_lower": 0.0,
        "sigma": SIGMA,
        "initial_sd": SPREAD,
        "n_cells": n_cells,
        "seed": int(seed),
    }
    source = (
        f"simulated branching population, speed={SPEED:g}, after t={SPLIT_TIME:g} "
        f"slope=+-{SLOPE:g}; division rate {RATE:g} upper, 0 lower; sigma={SIGMA:g}, "
        f"initial sd={SPREAD:g}, n_cells={n_cells}, seed={seed}"
    )
    adata = build_adata(blocks, times, ["x", "y"], source, parameters)
    names = np.array(["lower", "progenitor", "upper"])[np.concatenate(arms) + 1]
    adata.obs["arm"] = pd.Categorical(names, categories=["progenitor", "upper", "lower"])
    return adata
