"""Growth where it is known: numbers of cells and rates against the law of a simulation."""

from __future__ import annotations

import time

import numpy as np
import torch
from anndata import AnnData

import celltraj as ct
from celltraj.models import Bridge, Brownian, LearnedGrowth

# a plug-in drift on a law follows it from every cell at every step
PLUG_IN = {"training": None, "reference": Brownian()}
DRIFTS: dict[str, dict] = {"neural": {}, "plug_in": PLUG_IN}
LEARN = {"growth": LearnedGrowth(), "counts": "population"}
RIVAL = (400, 442, 531, 691, 968)  # published numbers of the gene circuit, 151 CPU seconds


def fit_and_count(adata: AnnData, drift: str, seed: int) -> tuple[dict, Bridge]:
    """Return a row of predicted numbers and their cost, with rates written to ``obs``."""
    start = time.process_time()
    bridge = ct.tl.fit_bridge(
        adata, use_rep="X", seed=seed, progress=False, **LEARN, **DRIFTS[drift]
    )
    fitted = time.process_time()
    ct.tl.couplings(adata, bridge, use_rep="X", seed=seed, progress=False)
    ct.tl.growth(adata)
    numbers = ct.get.growth(adata)
    wrong = (numbers["predicted"] / numbers["observed"] - 1).abs().max()
    row = {"drift": drift, "seed": seed, "wrong_percent": 100 * float(wrong)}
    row |= {"fit_cpu_s": fitted - start, "growth_cpu_s": time.process_time() - fitted}
    at = zip(numbers["time"], numbers["predicted"], strict=True)
    return row | {f"N({t:g})": n for t, n in at}, bridge


def gene_circuit(drift: str, seed: int) -> dict:
    """Return a row of the gene circuit: numbers, and rates against the law of its simulation.

    ``r_rate``: rates of cells at all times but the last, means over the gap that follows, with the
    law at the cell; ``r_instant``: rates of the bridge at the time of each cell. ``growing``,
    ``quiescent``: what the 200 cells of each kind become in the end (767 and 202 were observed).
    """
    adata = ct.datasets.gene_circuit_growth()
    row, bridge = fit_and_count(adata, drift, seed)
    times, law = adata.obs["time"].to_numpy(), known_rate(adata.X)
    before = times < times.max()
    rate, instant = adata.obs["ct_growth"].to_numpy(), np.full(adata.n_obs, np.nan)
    for t in np.unique(times):
        here = times == t
        instant[here] = bridge.growth(float(t), torch.from_numpy(adata.X[here])).numpy()
    row |= {
        "r_rate": _r(rate[before], law[before]),
        "r_instant": _r(instant[before], law[before]),
        "rmse_rate": float(np.sqrt(np.mean((rate - law)[before] ** 2))),
    }
    return row | _kinds(adata, bridge, seed)


def known_rate(x: np.ndarray) -> np.ndarray:
    """Return ``.53 x_2^2 / (1 + x_2^2)`` for cells that express, 0 for quiescent ones."""
    return np.where(is_growing(x), 0.53 * x[:, 1] ** 2 / (1 + x[:, 1] ** 2), 0.0)


def is_growing(x: np.ndarray) -> np.ndarray:
    """Return which cells are not of the cluster near the origin, which lies .5 from the others."""
    return np.linalg.norm(x, axis=1) > 0.7


def _kinds(adata: AnnData, bridge: Bridge, seed: int) -> dict[str, float]:
    times = adata.obs["time"].to_numpy()
    path = ct.tl.simulate(
        adata, bridge, start=float(times.min()), stop=float(times.max()), n_times=2, use_rep="X",
        seed=seed, progress=False,
    )  # fmt: skip
    first, last = (path[(path.obs["time"] == t).to_numpy()] for t in (times.min(), times.max()))
    grows, mass = is_growing(first.X), last.obs["mass"].to_numpy()
    return {"growing": float(mass[grows].sum()), "quiescent": float(mass[~grows].sum())}


def null(name: str, drift: str, seed: int) -> dict:
    """Return a row of data without growth: numbers, and the spread of rates that should be 0."""
    adata = getattr(ct.datasets, name)()
    row, _ = fit_and_count(adata, drift, seed)
    lengths = np.diff(np.unique(adata.obs["time"]))
    rate = adata.obs["ct_growth"].to_numpy() * lengths.mean()
    return {"data": name} | row | {"log_growth_per_gap": float(np.nanstd(rate))}


def gaussians(drift: str, seed: int) -> dict:
    """Return a row of the growing Gaussians: those around (0, 2.5) become ten times as many."""
    adata = ct.datasets.growing_gaussians_10d()
    row, _ = fit_and_count(adata, drift, seed)
    first = (adata.obs["time"] == 0).to_numpy()
    grows, rate = adata.X[first, 1] > 1.25, adata.obs["ct_growth"].to_numpy()[first]
    row |= {"r_rate": _r(rate, np.where(grows, np.log(10), 0.0))}
    return row | {"growing": float(rate[grows].mean()), "still": float(rate[~grows].mean())}


def _r(found: np.ndarray, law: np.ndarray) -> float:
    known = np.isfinite(found) & np.isfinite(law)
    return float(np.corrcoef(found[known], law[known])[0, 1])
