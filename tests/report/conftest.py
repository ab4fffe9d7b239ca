"""Data to report on."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import celltraj as ct
from celltraj.models import BrownianBridgeInterpolant, Midpoint, Training

mpl.use("Agg")
SILENT = {"progress": False}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="session")
def run():
    """Return cells with a flow, couplings and fates, trajectories, and held-out scores."""
    adata = ct.datasets.branching(n_cells=40, seed=0)
    adata.obs["arm"] = pd.Categorical(np.where(adata.X[:, 1] > 0.2, "up", "down"))
    adata.obs["depth"] = np.arange(adata.n_obs, dtype=float)
    adata.obs.loc[adata.obs_names[::7], "depth"] = np.nan
    adata.uns["time_unit"] = "day"
    short = Training(max_steps=20, width=8)
    flow = ct.tl.fit_flow(
        adata, training=short, interpolant=BrownianBridgeInterpolant(), growth=None, **SILENT
    )
    ct.tl.couplings(adata, growth=None, **SILENT)
    ct.tl.fates(adata, groupby="arm", **SILENT)
    ct.tl.transitions(adata, groupby="arm", **SILENT)
    path = ct.tl.simulate(
        adata,
        flow,
        start=0.0,
        stop=4.0,
        n_cells=25,
        n_times=9,
        ode_solver=Midpoint(n_steps=4),
        **SILENT,
    )
    # as a process with growth has it, which takes longer to fit
    path.obs["mass"] = np.random.default_rng(0).lognormal(size=path.n_obs)
    return adata, path, scores()


def scores():
    """Return scores of three held-out times, of which everything about the mean is known."""
    held = [1.0, 2.0, 3.0]
    of = {"floor": 0.1, "previous": 1.0, "next": 1.2, "displacement": 0.5, "mine": 0.3, "bad": 2.0}
    rows = [
        (method, time, metric, value * (1 + 0.01 * k), 0)
        for method, value in of.items()
        for k, time in enumerate(held)
        for metric in ("W1", "energy")
    ]
    return pd.DataFrame(rows, columns=["method", "held_out", "metric", "value", "seed"])
