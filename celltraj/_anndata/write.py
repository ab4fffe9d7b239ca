"""Write results to AnnData in forms that h5ad and zarr keep."""

from __future__ import annotations

import logging
from importlib.metadata import version

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj.models import Bridge

logger = logging.getLogger("celltraj")


def write_bridge(
    adata: AnnData, bridge: Bridge, x: np.ndarray, times: np.ndarray, params: dict, key: str
) -> None:
    """Write velocities to ``obsm`` and the record of the fit to ``uns["celltraj"][key]``."""
    velocity = np.empty_like(x, dtype=np.float32)
    for t in np.unique(times):
        here = times == t
        velocity[here] = bridge.velocity(float(t), torch.from_numpy(x[here])).numpy()
    slot = f"X_{key}_velocity"
    adata.obsm[slot] = velocity
    history = getattr(bridge.field, "history", ())
    adata.uns.setdefault("celltraj", {})[key] = {
        "params": params,
        "version": version("celltraj"),
        "seed": params["seed"],
        "time_points": np.asarray(bridge.snapshots.times),
        "convergence": pd.DataFrame(
            {
                "t0": bridge.snapshots.times[:-1],
                "t1": bridge.snapshots.times[1:],
                "epsilon": [c.epsilon for c in bridge.couplings],
                "marginal_error": [c.marginal_error for c in bridge.couplings],
                "converged": [c.converged for c in bridge.couplings],
                "n_iters": [c.n_iters for c in bridge.couplings],
            }
        ).rename(index=str),
        "history": pd.DataFrame(
            {"step": np.arange(len(history)), "loss": np.asarray(history, dtype=float)}
        ).rename(index=str),
    }
    logger.info("wrote adata.obsm[%r] and adata.uns['celltraj'][%r]", slot, key)


def cells_at(adata: AnnData, use_rep: str, states: np.ndarray, obs: pd.DataFrame) -> AnnData:
    """Return an AnnData of ``(n, d)`` states in the space of ``use_rep``, ready for scanpy."""
    names = (
        adata.var_names
        if use_rep == "X"
        else pd.Index([f"{use_rep}_{i}" for i in range(states.shape[1])])
    )
    var = pd.DataFrame(index=names)
    result = AnnData(states.astype(np.float32), obs=obs.rename(index=str), var=var)
    if use_rep != "X":
        result.obsm[use_rep] = result.X
    return result
