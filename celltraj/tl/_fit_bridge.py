"""Fit a multi-marginal Schrödinger bridge to an AnnData."""

from __future__ import annotations

import logging
import time

import torch
from anndata import AnnData

from celltraj import models
from celltraj._anndata import (
    bridge_record,
    cell_velocity,
    check_writable,
    options_record,
    read_snapshots,
    read_times,
    write_bridge,
)
from celltraj._errors import ConvergenceError
from celltraj.models import Bridge, Brownian, NeuralDrift, PlugInDrift
from celltraj.ot import Solver, solve

logger = logging.getLogger("celltraj")


def fit_bridge(
    adata: AnnData,
    *,
    time_key: str = "time",
    use_rep: str | None = None,
    sigma: float | None = None,
    drift: NeuralDrift | PlugInDrift | None = None,
    solver: Solver = solve,
    weights_key: str | None = None,
    key_added: str | None = None,
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> Bridge | tuple[Bridge, AnnData]:
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
        Coupling solver; ``ct.ot.solve`` chooses one by the size of each gap.
    weights_key
        Column of ``obs`` with non-negative cell weights; uniform by default.
    key_added
        Name of the record, ``"bridge"`` by default.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy besides the bridge.
    seed
        Seed of everything random.
    progress
        Whether to show a progress bar.

    Returns
    -------
    The bridge, with ``copy=True`` the pair ``(bridge, annotated copy)``. Written, only once all is
    computed, to ``adata`` or the copy: ``obsm["X_{key}_velocity"]`` (drift at each cell, [x]/[t])
    and ``uns["celltraj"][key]`` (params, version, seed, time_points, convergence, history).

    Warns
    -----
    DataWarning
        Few, constant or duplicate cells.
    ImplicitModificationWarning
        ``adata`` is a view: it becomes an AnnData of its own, its parent gets nothing.

    Raises
    ------
    TypeError
        ``adata`` is not an AnnData.
    KeyError
        A named column or representation does not exist.
    ValueError
        The data cannot carry a bridge; the message says why. ``adata`` is unchanged.
    ConvergenceError
        ``sigma`` is too small for the solver to bridge a gap; ``adata`` is unchanged.

    References
    ----------
    Shen, Berlinghieri, Broderick (2024), arXiv 2408.06277.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> drift = ct.models.PlugInDrift()
    >>> bridge = ct.tl.fit_bridge(adata, drift=drift, progress=False)
    >>> adata.obsm["X_bridge_velocity"].shape == adata.shape
    True
    >>> first = adata[:, :1]
    >>> bridge, annotated = ct.tl.fit_bridge(
    ...     first, drift=drift, key_added="first", copy=True, progress=False
    ... )
    >>> "first" in annotated.uns["celltraj"], "first" in adata.uns["celltraj"]
    (True, False)
    """
    start, key = time.perf_counter(), key_added or "bridge"
    snapshots, use_rep = read_snapshots(
        adata, time_key=time_key, use_rep=use_rep, weights_key=weights_key
    )
    check_writable(adata, key)
    generator = torch.Generator().manual_seed(seed)
    is_given = sigma is not None
    if sigma is None:
        sigma = models.default_sigma(snapshots, generator=generator)
    drift = NeuralDrift() if drift is None else drift
    try:
        bridge = models.fit_bridge(
            snapshots,
            Brownian(sigma),
            solver=solver,
            drift=drift,
            generator=generator,
            progress=progress,
        )
    except ConvergenceError as error:
        raise ConvergenceError(
            f"no bridge found with sigma={sigma:.3g}; pass a larger sigma=. {error}", error.result
        ) from error
    params = {
        "time_key": time_key,
        "use_rep": use_rep,
        "sigma": float(sigma),
        "sigma_source": "given" if is_given else "estimated",
        "drift": options_record(drift),
        "solver": options_record(solver),
        "weights_key": weights_key,
    }
    velocity = cell_velocity(bridge, read_times(adata, time_key))
    record = bridge_record(bridge, params, seed)
    if copy:
        adata = adata.to_memory() if adata.isbacked else adata.copy()
    write_bridge(adata, velocity, record, key)
    logger.info(
        "bridge over %d snapshots: sigma %.4g (%s), epsilon %s, on cpu, %.1f s",
        len(snapshots.times),
        sigma,
        params["sigma_source"],
        [round(c.epsilon, 6) for c in bridge.couplings],
        time.perf_counter() - start,
    )
    return (bridge, adata) if copy else bridge
