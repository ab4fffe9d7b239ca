"""Simulate a stochastic Lotka-Volterra system."""

from __future__ import annotations

import anndata as ad
import numpy as np

from celltraj._checks import checked
from celltraj.datasets._build import build_adata, check_count
from celltraj.datasets._euler_maruyama import euler_maruyama

ALPHA, BETA, DELTA, GAMMA, SIGMA = 1.0, 0.4, 0.1, 0.4, 0.1


def _drift(x: np.ndarray) -> np.ndarray:
    prey, predator = x[:, 0], x[:, 1]
    meet = prey * predator
    return np.column_stack([ALPHA * prey - BETA * meet, DELTA * meet - GAMMA * predator])


@checked
def lotka_volterra_simulation(n_cells: int = 50, *, seed: int = 0) -> ad.AnnData:
    """Simulate snapshots of a Lotka-Volterra system with additive noise.

    The drift is ``(alpha x - beta x y, delta x y - gamma y)`` with alpha 1, beta 0.4,
    delta 0.1, gamma 0.4, the noise sigma 0.1. Every time is a separate set of particles
    started uniformly in [5, 5.1] x [4, 4.1], so no particle is seen twice.

    Parameters
    ----------
    n_cells : int
        Number of particles at each of the times 0, 1, ..., 8 (count, at least 1).
    seed : int
        Seed of the random generator (dimensionless).

    Returns
    -------
    AnnData
        ``X`` of shape ``(9 * n_cells, 2)``, float32 (prey, predator; dimensionless);
        ``obs["time"]`` float; the true parameters in ``uns["source"]`` (text) and
        ``uns["parameters"]`` (numbers).

    Raises
    ------
    TypeError
        If `n_cells` is not an integer.
    ValueError
        If `n_cells` is less than 1.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.datasets.lotka_volterra_simulation(n_cells=10).shape
    (90, 2)
    """
    n_cells = check_count("n_cells", n_cells)
    rng = np.random.default_rng(seed)
    times = np.arange(9.0)
    blocks = []
    for time in times:
        start = np.array([5.0, 4.0]) + 0.1 * rng.random((n_cells, 2))
        blocks.append(euler_maruyama(_drift, start, time, SIGMA, rng))
    parameters = {
        "alpha": ALPHA,
        "beta": BETA,
        "delta": DELTA,
        "gamma": GAMMA,
        "sigma": SIGMA,
        "n_cells": n_cells,
        "seed": int(seed),
    }
    source = (
        f"simulated Lotka-Volterra, alpha={ALPHA:g} beta={BETA:g} delta={DELTA:g} "
        f"gamma={GAMMA:g}, sigma={SIGMA:g}, x0~U[5,5.1]xU[4,4.1], n_cells={n_cells}, seed={seed}"
    )
    return build_adata(blocks, times, ["prey", "predator"], source, parameters)
