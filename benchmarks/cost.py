"""CPU time of a fit on all snapshots of eb_pca5, as ratios to OT-CFM in the same process.

Each method trains 1,000 steps (the plug-in drift none). One thread for all: on networks this small
a second thread mostly spins, and how long depends on what else the machine does. A first call on
few cells pays for imports and lazy set-up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import pandas as pd
import torch
from anndata import AnnData

import celltraj as ct
from benchmarks._report import mean_and_error, parser, report
from benchmarks.data import load_present
from benchmarks.peers import fit_ot_cfm
from celltraj.models import Training


def methods(n_steps: int) -> dict[str, Callable]:
    """Return the fits that are compared, all of ``n_steps`` optimiser steps."""
    neural = Training(max_steps=n_steps)
    return {
        "bridge_neural": partial(ct.tl.fit_bridge, training=neural, progress=False),
        "bridge_plug_in": partial(ct.tl.fit_bridge, training=None, progress=False),
        "ot_cfm": partial(fit_ot_cfm, max_steps=n_steps),
    }


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    options = parser(__doc__)
    options.add_argument("--repetitions", type=int, default=3)
    options.add_argument("--steps", type=int, default=1000)
    chosen = options.parse_args(argv)
    torch.set_num_threads(1)
    adata = load_present(["eb_pca5"])["eb_pca5"]
    for fit in methods(2).values():
        fit(ct.datasets.branching(n_cells=60), time_key="time")
    # the methods take turns, so that a busy machine slows all of them alike
    records = pd.DataFrame(
        {"method": name, "repetition": k, "cpu_s": cpu_seconds(fit, adata.copy(), seed=k)}
        for k in range(chosen.repetitions)
        for name, fit in methods(chosen.steps).items()
    )
    peer = records[records["method"] == "ot_cfm"].set_index("repetition")["cpu_s"]
    records["ratio"] = records["cpu_s"] / records["repetition"].map(peer)
    summary = {
        column: records.groupby("method")[column].apply(mean_and_error).unstack()
        for column in ("cpu_s", "ratio")
    }
    report("cost", records, flat(summary), chosen.out)


def cpu_seconds(fit: Callable, adata: AnnData, *, seed: int) -> float:
    """Return the CPU seconds of one fit."""
    start = time.process_time()
    fit(adata, time_key="time", seed=seed)
    return time.process_time() - start


def flat(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Join tables side by side under plain column names."""
    named = [table.add_prefix(f"{name}_") for name, table in tables.items()]
    return pd.concat(named, axis=1)


if __name__ == "__main__":
    main()
