"""A slice of a growing, turning tissue that was not observed, and where descendants are.

``ct.datasets.growing_tissue``: slices at times 0 and 2 are coupled, that at 1 is left out. Scores
over seeds, all in radii of the slice that they are about: ``place``, root mean squared distance of
cells of the interpolated slice from where the descendants of their source truly are at 1;
``slice``, W2 of places to the slice left out, domain by domain; ``descendants``, root mean squared
distance of the mean place of a cell's descendants at 2 from the true one. ``floor`` is W2 between
two true slices, which depends on the numbers of cells. CPU seconds of the couplings, on one
thread, a second call.

Rows: ``registration`` and ``gromov`` by :func:`ct.tl.couple_space` and
:func:`ct.tl.interpolate_slice`; POT's fused Gromov-Wasserstein and, with ``--peers PYTHON``,
moscot's ``SpatioTemporalProblem``, each with straight lines between places, and with its places
turned back by Procrustes under its plan (``+ rotation``), which neither program does.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import anndata as ad
import numpy as np
import ot as pot
import pandas as pd
import torch
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist

import celltraj as ct
from benchmarks._report import add_seeds, parser, report
from celltraj.datasets._growing_tissue import flowed

DRAWN = 1000
ALPHA = 0.5
# moscot's defaults, and marginals that may be missed, at more entropy
SETTINGS = {
    "moscot": {"alpha": 0.5, "epsilon": 1e-3, "tau_a": 1.0},
    "moscot, tau_a .98": {"alpha": 0.5, "epsilon": 1e-2, "tau_a": 0.98},
}
METHODS = ("registration", "gromov")
Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]  # places, rows of sources, domains


def task(n_cells: int, seed: int) -> tuple[ad.AnnData, ad.AnnData]:
    """Return the cells of times 0 and 2, and those of time 1."""
    adata = ct.datasets.growing_tissue(n_cells=n_cells, seed=seed)
    held_out = adata.obs["time"] == 1
    return adata[~held_out].copy(), adata[held_out].copy()


def ends(adata: ad.AnnData) -> tuple[ad.AnnData, ad.AnnData]:
    """Return the earlier and the later slice."""
    times = adata.obs["time"]
    return adata[times == times.min()], adata[times == times.max()]


def timed(call: Callable[[], object]) -> tuple[object, float]:
    """Return what a second call returns, and its CPU seconds."""
    call()
    start = time.process_time()
    return call(), time.process_time() - start


def by_celltraj(adata: ad.AnnData, method: str, seed: int) -> dict[str, float]:
    """Return the scores of our couplings."""
    _, seconds = timed(
        lambda: ct.tl.couple_space(adata, alpha=ALPHA, method=method, progress=False)
    )
    between = ct.tl.interpolate_slice(adata, at=1.0, n_cells=DRAWN, seed=seed)
    before, _ = ends(adata)
    rows = before.obs_names.get_indexer(between.obs["source"])
    plan = plan_of(adata)
    found = (between.obsm["spatial"], rows, before.obs["domain"].to_numpy()[rows])
    return {"cpu_s": seconds} | scores(adata, plan, found, seed)


def plan_of(adata: ad.AnnData) -> np.ndarray:
    """Return the dense plan of couplings in ``adata``."""
    tied = ct.ex.to_cellrank(adata, copy=True, progress=False).obsp["T_fwd"]
    i, j = (adata.obs_names.get_indexer(one.obs_names) for one in ends(adata))
    return np.asarray(tied[i][:, j].todense(), dtype=float)


def by_plan(adata: ad.AnnData, plan: np.ndarray, seed: int, *, turns: bool) -> dict[str, float]:
    """Return the scores of a plan, with straight lines or turned back before."""
    before, after = ends(adata)
    rng = np.random.default_rng(seed)
    i, j = np.divmod(rng.choice(plan.size, DRAWN, p=plan.ravel() / plan.sum()), plan.shape[1])
    u, v = (torch.from_numpy(one.obsm["spatial"]) for one in (before, after))
    if turns:
        similarity = ct.ot.Similarity.of_plan(ct.ot.SparseCoupling(csr_array(plan)), u, v)
        places = similarity.between(u[i], v[j], 0.5).numpy()
    else:
        places = (u[i] + v[j]).numpy() / 2
    return scores(adata, plan, (places, i, before.obs["domain"].to_numpy()[i]), seed)


def scores(adata: ad.AnnData, plan: np.ndarray, found: Pairs, seed: int) -> dict[str, float]:
    """Return all scores of a plan and of what was drawn with it."""
    before, after = ends(adata)
    places, rows, domains = found
    origin = before.obsm["origin"]
    radius = [float(np.hypot(*flowed(origin, t).T).max()) for t in (1.0, 2.0)]
    place = places - flowed(origin[rows], 1.0)
    mean = plan @ after.obsm["spatial"] / plan.sum(1, keepdims=True)
    away = mean - flowed(origin, 2.0)
    _, held_out = task(before.n_obs, seed)
    other = task(before.n_obs, seed + 1000)[1]
    return {
        "place": rms(place) / radius[0],
        "slice": apart(places, domains, held_out) / radius[0],
        "descendants": rms(away) / radius[1],
        "floor": apart(other.obsm["spatial"], other.obs["domain"].to_numpy(), held_out) / radius[0],
    }


def rms(away: np.ndarray) -> float:
    """Return the root mean squared length of vectors ``(n, 2)``, without cells of no place."""
    return float(np.sqrt(np.nanmean(np.square(away).sum(1))))


def apart(places: np.ndarray, domains: np.ndarray, truth: ad.AnnData) -> float:
    """Return W2 of places, the root of its mean square over the domains of the true slice."""
    squares, shares = [], []
    for domain, share in truth.obs["domain"].value_counts(normalize=True).items():
        own, wanted = (
            places[domains == domain],
            truth.obsm["spatial"][truth.obs["domain"] == domain],
        )
        if len(own):
            squares.append(pot.emd2([], [], cdist(own, wanted, "sqeuclidean"), numItermax=10**7))
            shares.append(share)
    return float(np.sqrt(np.average(squares, weights=shares)))


def by_pot(adata: ad.AnnData) -> np.ndarray:
    """Return POT's fused Gromov-Wasserstein plan, costs over their means as moscot has them."""
    before, after = ends(adata)
    cost = cdist(before.X, after.X, "sqeuclidean")
    within = [cdist(one.obsm["spatial"], one.obsm["spatial"]) for one in (before, after)]
    scaled = [one / one.mean() for one in (cost, *within)]
    plan: np.ndarray = pot.gromov.fused_gromov_wasserstein(*scaled, alpha=ALPHA)
    return plan


def by_moscot(
    python: str, adata: ad.AnnData, options: dict[str, float]
) -> tuple[np.ndarray, float] | None:
    """Return the plan of a stranger's program and its CPU seconds; None where it fails."""
    root, (before, after) = Path(__file__).parents[1], ends(adata)
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "cells.npz"), Path(folder, "found.npz")
        u, v = before.obsm["spatial"], after.obsm["spatial"]
        np.savez(given, x=before.X, y=after.X, u=u, v=v, **options)
        command = [python, "-m", "benchmarks.peers_space", str(given), str(found)]
        env = os.environ | {"PYTHONPATH": str(root)}
        run = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)
        if run.returncode != 0:
            why = (run.stderr.strip() or f"ended with {run.returncode}").splitlines()[-1]
            print(f"left out: moscot on {before.n_obs:,} cells: {why}", flush=True)
            return None
        with np.load(found) as content:
            return content["plan"], float(content["cpu_s"])


def rows(
    n_cells: int, seed: int, methods: Sequence[str], peers: str | None
) -> list[dict[str, object]]:
    """Return a row for each method."""
    adata, _ = task(n_cells, seed)
    found: list[dict[str, object]] = [
        {"method": method} | by_celltraj(adata, method, seed)
        for method in METHODS
        if method in methods
    ]
    plans: dict[str, tuple[np.ndarray, float] | None] = {}
    if "POT" in methods:
        plan, seconds = timed(lambda: by_pot(adata))
        plans["POT"] = (np.asarray(plan), seconds)
    for name, options in SETTINGS.items():
        if peers and name in methods:
            plans[name] = by_moscot(str(peers), adata, options)
    for name, one in plans.items():
        for turns in (False, True) if one else ():
            title = f"{name} + rotation" if turns else name
            row = by_plan(adata, one[0], seed, turns=turns)
            found.append({"method": title, "cpu_s": one[1]} | row)
    return [{"n_cells": n_cells, "seed": seed} | row for row in found]


def table(records: pd.DataFrame) -> pd.DataFrame:
    """Return means over seeds."""
    by = records.groupby(["n_cells", "method"], sort=False)
    means = by[["place", "slice", "floor", "descendants", "cpu_s"]].mean()
    return means.assign(place_error=by["place"].sem(), seeds=by.size())


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    options = parser(__doc__)
    options.add_argument("--sizes", type=int, nargs="+", default=[300, 1000], help="cells at 0")
    options.add_argument("--peers", metavar="PYTHON", help="a Python that has moscot")
    every = (*METHODS, "POT", *SETTINGS)
    options.add_argument("--methods", nargs="+", choices=every, default=list(every))
    add_seeds(options)
    chosen = options.parse_args(argv)
    found: list[dict[str, object]] = []
    for n_cells in chosen.sizes:
        for seed in chosen.seeds:
            found += rows(n_cells, seed, chosen.methods, chosen.peers)
            records = pd.DataFrame(found)
            report("designs_space", records, table(records), chosen.out)
    records.to_csv(chosen.out / "designs_space.csv", index=False)


if __name__ == "__main__":
    main()
