"""Simulate a stochastic repressilator."""

from __future__ import annotations

import anndata as ad
import numpy as np

from celltraj._checks import checked
from celltraj.datasets._build import build_adata, check_count
from celltraj.datasets._euler_maruyama import euler_maruyama

BETA, N, K, GAMMA, SIGMA = 10.0, 3.0, 1.0, 1.0, 0.1


def _drift(x: np.ndarray) -> np.ndarray:
    repressor = np.maximum(np.roll(x, 1, axis=1), 0.0)  # additive noise may cross zero
    drift: np.ndarray = BETA / (1.0 + (repressor / K) ** N) - GAMMA * x
    return drift


@checked
def repressilator_simulation(n_cells: int = 50, *, seed: int = 0) -> ad.AnnData:
    """Simulate snapshots of a three-gene repressilator with additive noise.

    The drift of gene i is ``beta / (1 + (x_{i-1} / k)^n) - gamma x_i`` with beta 10, n 3,
    k 1, gamma 1, the noise sigma 0.1. Every time is a separate set of cells started
    uniformly in [1, 1.1] x [1, 1.1] x [2, 2.1], so no cell is seen twice.

    Parameters
    ----------
    n_cells : int
        Number of cells at each of the times 0, 0.75, ..., 7.5 (count, at least 1).
    seed : int
        Seed of the random generator (dimensionless).

    Returns
    -------
    AnnData
        ``X`` of shape ``(11 * n_cells, 3)``, float32 (concentrations in units of k);
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
    >>> ct.datasets.repressilator_simulation(n_cells=10).shape
    (110, 3)
    """
    n_cells = check_count("n_cells", n_cells)
    rng = np.random.default_rng(seed)
    times = 0.75 * np.arange(11)
    blocks = []
    for time in times:
        start = np.array([1.0, 1.0, 2.0]) + 0.1 * rng.random((n_cells, 3))
        blocks.append(euler_maruyama(_drift, start, time, SIGMA, rng))
    parameters = {
        "beta": BETA,
        "n": N,
        "k": K,
        "gamma": GAMMA,
        "sigma": SIGMA,
        "n_cells": n_cells,
        "seed": int(seed),
    }
    source = (
        f"simulated repressilator, beta={BETA:g} n={N:g} k={K:g} gamma={GAMMA:g}, "
        f"sigma={SIGMA:g}, x0~U[1,1.1]xU[1,1.1]xU[2,2.1], n_cells={n_cells}, seed={seed}"
    )
    return build_adata(blocks, times, ["gene1", "gene2", "gene3"], source, parameters)
