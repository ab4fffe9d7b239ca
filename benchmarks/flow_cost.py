"""What a flow costs: to train to the accuracy of OT-CFM, to simulate, and on many cells.

``accuracy``: mean W1 to the held-out snapshots of eb_pca5 by optimiser steps, CPU seconds of all
fits, and the ratio of OT-CFM's to them. ``evaluations``: calls of the velocity that Dormand-Prince
takes from the first to the last snapshot of eb_pca5 for a root mean square error of 1e-3, for a
plain flow and one whose training penalises the solver's error estimate. ``size``: wall seconds and
peak memory of one epoch on simulated cells, with their couplings; run it alone, since the peak is
that of the process.
"""

from __future__ import annotations

import resource
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

import celltraj as ct
from benchmarks._report import parser, report
from benchmarks.data import FOLDS, load_present
from benchmarks.held_out import score
from celltraj.models import DormandPrince, FlowMatching, FlowOptions, Penalties, Training, simulate

STEPS = (50, 100, 200, 400, 800, 1600)
ERROR = 1e-3
TOLERANCES = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)
EXACT = 1e-9


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    options = parser(__doc__)
    options.add_argument("what", choices=["accuracy", "evaluations", "size"])
    options.add_argument("--steps", type=int, nargs="+", default=list(STEPS))
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--cells", type=int, default=100_000, help="of all five times together")
    options.add_argument("--dim", type=int, default=50)
    chosen = options.parse_args(argv)
    if chosen.what == "size":
        table = size(chosen.cells, chosen.dim)
    else:
        torch.set_num_threads(1)
        adata = load_present(["eb_pca5"])["eb_pca5"]
        run = accuracy if chosen.what == "accuracy" else evaluations
        table = run(adata, chosen.steps, chosen.seeds)
    report(f"flow_cost_{chosen.what}", table, table, chosen.out)


def accuracy(adata: AnnData, steps: list[int], seeds: list[int]) -> pd.DataFrame:
    """Return W1 and CPU seconds by optimiser steps, and those of OT-CFM."""
    from benchmarks.held_out import METHODS

    fits = {
        f"flow_{n}": partial(ct.tl.fit_flow, training=Training(max_steps=n), progress=False)
        for n in steps
    }
    METHODS.update(fits)
    records = score(adata, FOLDS["eb_pca5"], [*fits, "ot_cfm"], seeds)
    table = records[records.method.isin([*fits, "ot_cfm"])].groupby("method")[["value", "cpu_s"]]
    means = table.mean().loc[[*fits, "ot_cfm"]]
    means["ratio"] = means.loc["ot_cfm", "cpu_s"] / means["cpu_s"]
    return means.reset_index()


def evaluations(adata: AnnData, steps: list[int], seeds: list[int]) -> pd.DataFrame:
    """Return evaluations to an error of 1e-3, and W1 at the end, by model and seed."""
    plain = FlowOptions()
    kinds = {"plain": plain, "penalised": replace(plain, penalties=Penalties(solver_error=10.0))}
    rows = []
    for seed in seeds:
        for name, options in kinds.items():
            flow = ct.tl.fit_flow(
                adata.copy(),
                options=options,
                growth=None,
                training=Training(max_steps=max(steps)),
                seed=seed,
                progress=False,
            )
            rows.append({"model": name, "seed": seed} | _to_the_end(flow, adata))
    return pd.DataFrame(rows)


def _to_the_end(flow: FlowMatching, adata: AnnData) -> dict[str, float]:
    times = adata.obs["time"].to_numpy()
    start, end = (np.asarray(adata.X[times == t], float) for t in (times.min(), times.max()))

    def run(tolerance: float) -> tuple[torch.Tensor, int]:
        path = simulate(
            flow,
            torch.from_numpy(start),
            (float(times.min()), float(times.max())),
            solver=DormandPrince(rtol=tolerance, atol=tolerance),
            ode=True,
            generator=torch.Generator().manual_seed(0),
        )
        return path.x[-1], path.n_evaluations

    truth, _ = run(EXACT)
    for tolerance in TOLERANCES:
        found, n = run(tolerance)
        if float((found - truth).square().mean().sqrt()) <= ERROR:
            break
    return {"evaluations": n, "W1_at_end": ct.metrics.wasserstein(truth.numpy(), end)}


def size(n_cells: int, dim: int) -> pd.DataFrame:
    """Return wall seconds of couplings and one epoch, and the peak memory of the process."""
    rng = np.random.default_rng(0)
    times = np.repeat(np.arange(5.0), n_cells // 5)
    centres = rng.normal(size=(10, dim))
    x = centres[rng.integers(10, size=len(times))] + 0.5 * rng.normal(size=(len(times), dim))
    x[:, 0] += times
    obs = pd.DataFrame({"time": times}, index=np.arange(len(times)).astype(str))
    adata = AnnData(x.astype(np.float32), obs=obs)
    before = _peak()
    start = time.perf_counter()
    ct.tl.fit_flow(adata, use_rep="X", training=ct.models.Training(max_epochs=1), progress=True)
    seconds = time.perf_counter() - start
    row = {
        "cells": len(times),
        "dim": dim,
        "wall_s": seconds,
        "before_gb": before,
        "peak_gb": _peak(),
    }
    return pd.DataFrame([row])


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
