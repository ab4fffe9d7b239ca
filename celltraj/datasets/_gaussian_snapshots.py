"""Draw two Gaussian snapshots with known moments."""

from __future__ import annotations

import anndata as ad
import numpy as np

from celltraj._checks import checked
from celltraj.datasets._build import build_adata, check_count


def _random_spd(n_vars: int, rng: np.random.Generator) -> np.ndarray:
    q, _ = np.linalg.qr(rng.standard_normal((n_vars, n_vars)))
    cov = (q * rng.uniform(0.5, 2.0, n_vars)) @ q.T
    symmetric: np.ndarray = (cov + cov.T) / 2
    return symmetric


@checked
def gaussian_snapshots(
    n_cells: int = 2000, n_vars: int = 2, sigma: float = 1.0, *, seed: int = 0
) -> ad.AnnData:
    """Draw independent Gaussian snapshots at times 0 and 1.

    The means and covariances are in ``uns``, so the Schrodinger bridge between the two
    Gaussians, with Brownian reference of noise `sigma`, is known in closed form.

    Parameters
    ----------
    n_cells : int
        Number of cells at each of the two times (count, at least 1).
    n_vars : int
        Number of features (count, at least 1).
    sigma : float
        Noise of the reference process ``dX = sigma dW`` (length per square root of time,
        positive). Recorded only; the samples do not depend on it.
    seed : int
        Seed of the random generator (dimensionless).

    Returns
    -------
    AnnData
        ``X`` of shape ``(2 * n_cells, n_vars)``, float32; ``obs["time"]`` 0 or 1; ``uns``
        holds ``m0``, ``m1`` of shape ``(n_vars,)``, ``S0``, ``S1`` of shape
        ``(n_vars, n_vars)`` and ``sigma``.

    Raises
    ------
    TypeError
        If `n_cells` or `n_vars` is not an integer.
    ValueError
        If `n_cells` or `n_vars` is less than 1, or `sigma` is not positive and finite.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.gaussian_snapshots(n_cells=100, n_vars=3)
    >>> adata.uns["S1"].shape
    (3, 3)
    """
    n_cells = check_count("n_cells", n_cells)
    n_vars = check_count("n_vars", n_vars)
    if not (np.isfinite(sigma) and sigma > 0):
        raise ValueError(f"sigma must be positive and finite, found {sigma}")
    rng = np.random.default_rng(seed)
    means = [rng.standard_normal(n_vars), 2.0 + rng.standard_normal(n_vars)]
    covs = [_random_spd(n_vars, rng) for _ in range(2)]
    blocks = [
        m + rng.standard_normal((n_cells, n_vars)) @ np.linalg.cholesky(s).T
        for m, s in zip(means, covs, strict=True)
    ]
    truth = {"m0": means[0], "S0": covs[0], "m1": means[1], "S1": covs[1], "sigma": float(sigma)}
    text = ", ".join(f"{k}={np.array(v).round(4).tolist()}" for k, v in truth.items())
    source = f"simulated Gaussian snapshots, {text}, n_cells={n_cells}, seed={seed}"
    parameters = {"sigma": float(sigma), "n_cells": n_cells, "n_vars": n_vars, "seed": int(seed)}
    names = [f"x{i}" for i in range(n_vars)]
    adata = build_adata(blocks, [0.0, 1.0], names, source, parameters)
    adata.uns.update(truth)
    return adata
