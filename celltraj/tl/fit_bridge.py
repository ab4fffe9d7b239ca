"""Fit a multi-marginal Schrödinger bridge to an AnnData."""

from __future__ import annotations

import logging
import time

import torch
from anndata import AnnData

from celltraj import models
from celltraj._anndata import read_representation, read_snapshots, read_times, write_bridge
from celltraj.models import Bridge, Brownian, NeuralDrift, PlugInDrift
from celltraj.ot import Sinkhorn

logger = logging.getLogger("celltraj")


def fit_bridge(
    adata: AnnData,
    *,
    time_key: str = "time",
    use_rep: str | None = None,
    sigma: float | None = None,
    drift: NeuralDrift | PlugInDrift | None = None,
    solver: Sinkhorn | None = None,
    weights_key: str | None = None,
    key_added: str | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Bridge:
    """Fit the Schrödinger bridge through all snapshots.

    The law nearest to ``dX = sigma dW`` whose marginals at the sampling times are the snapshots.

    Parameters
    ----------
    adata
        Cells of all times.
    time_key
        Column of ``obs`` with the sampling times; their unit is kept everywhere.
    use_rep
        ``"X"`` or a key of ``obsm``; by default ``X_pca``, or ``X`` with at most 50 variables.
    sigma
        Diffusion in [x]/sqrt([t]). By default a hundredth of the mean squared displacement per unit
        of time goes to noise, see :func:`celltraj.models.default_sigma`.
    drift
        ``NeuralDrift()`` (default) or ``PlugInDrift()``.
    solver
        Coupling solver, ``Sinkhorn()`` by default.
    weights_key
        Column of ``obs`` with non-negative cell weights; uniform by default.
    key_added
        Name of the record, ``"bridge"`` by default.
    seed
        Seed of everything random.
    progress
        Whether to show a progress bar.

    Returns
    -------
    The bridge. Written to ``adata``: ``obsm["X_{key}_velocity"]`` (drift at each cell, [x]/[t]) and
    ``uns["celltraj"][key]`` (params, version, seed, time_points, convergence, history).

    Raises
    ------
    KeyError
        A named column or representation does not exist.
    ValueError
        The data cannot carry a bridge; the message says why.
    ConvergenceError
        ``sigma`` is too small for the solver to bridge a gap; ``adata`` is unchanged.

    References
    ----------
    Shen, Berlinghieri, Broderick (2024), arXiv 2408.06277.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, drift=ct.models.PlugInDrift(), seed=0)
    >>> adata.obsm["X_bridge_velocity"].shape == adata.shape
    True
    """
    start = time.perf_counter()
    snapshots, use_rep = read_snapshots(
        adata, time_key=time_key, use_rep=use_rep, weights_key=weights_key
    )
    generator = torch.Generator().manual_seed(seed)
    if sigma is None:
        sigma = models.default_sigma(snapshots, generator=generator)
    drift = NeuralDrift() if drift is None else drift
    bridge = models.fit_bridge(
        snapshots, Brownian(sigma), solver=Sinkhorn() if solver is None else solver,
        drift=drift, generator=generator, progress=progress,
    )
    params = {
        "time_key": time_key, "use_rep": use_rep, "sigma": sigma, "drift": repr(drift),
        "weights_key": weights_key, "seed": seed,
    }
    x = read_representation(adata, use_rep)[1]
    write_bridge(adata, bridge, x, read_times(adata, time_key), params, key_added or "bridge")
    logger.info(
        "bridge over %d snapshots: sigma %.4g, epsilon %s, on cpu, %.1f s", len(snapshots.times),
        sigma, [round(c.epsilon, 6) for c in bridge.couplings], time.perf_counter() - start,
    )
    return bridge
