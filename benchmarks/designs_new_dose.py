"""Courses of a dose of which no cell was seen, foretold from those of other doses.

The studies of ``designs_arms`` with all combinations, but for three doses of which nothing is
shown: two between others, and the highest. Cells of the first time of the nearest dose move on by
the law of the new one (``new dose``), found from the covariate alone. W1 to its cells at each later
time beside the law of the nearest dose that was seen (``nearest law``), the cells of that dose
(``nearest cells``) and the first cells as they were (``no change``); ``floor`` are random halves.
Plug-in drifts, one thread; CPU seconds of the fit.
"""

from __future__ import annotations

import time
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import torch

import celltraj as ct
from benchmarks._report import add_seeds, parser, report
from benchmarks.designs_arms import DOSES, FIT, TASKS, TIMES, study

HIDDEN = (3, 8, DOSES - 1)


def moved(start: ad.AnnData, law: object, stop: float, seed: int) -> np.ndarray:
    """Return cells of the first time, moved by a law."""
    path = ct.tl.simulate(
        start, law, start=0.0, stop=stop, n_times=2, use_rep="X", seed=seed, progress=False
    )
    return np.asarray(path.X[path.obs["time"] == stop])


def scores(task: str, seed: int) -> pd.DataFrame:
    """Return W1 of all rows at all later times of the hidden doses."""
    adata = study(task, n_doses=DOSES, n_times=TIMES, n_cells=100, seed=seed)
    doses = np.sort(adata.obs["dose"].unique())
    hidden = doses[list(HIDDEN)]
    seen = adata[~adata.obs["dose"].isin(hidden)].copy()
    begin = time.process_time()
    arms = FIT(seen, condition_key="condition", covariate_keys="dose")
    seconds = time.process_time() - begin
    print(f"{task} {seed}: {arms.in_words}, {arms.likeness.kind}, own {arms.own}", flush=True)
    rows = []
    for dose in hidden:
        left = np.setdiff1d(doses, hidden)
        near = seen[seen.obs["dose"] == left[np.abs(left - dose).argmin()]]
        start = near[near.obs["time"] == 0].copy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ct.FitWarning)  # the highest dose is extrapolated
            law = arms.law(covariates={"dose": float(dose)})
        own = adata[adata.obs["dose"] == dose]
        for t in np.sort(adata.obs["time"].unique())[1:]:
            truth = np.asarray(own.X[own.obs["time"] == t])
            half = np.random.default_rng(seed).permutation(len(truth)) % 2 == 0
            found = {
                "new dose": moved(start, law, float(t), seed),
                "nearest law": moved(
                    start, arms.law(near.obs["condition"].iloc[0]), float(t), seed
                ),
                "nearest cells": np.asarray(near.X[near.obs["time"] == t]),
                "no change": np.asarray(start.X),
            }
            made = {name: ct.metrics.wasserstein(x, truth) for name, x in found.items()}
            made["floor"] = ct.metrics.wasserstein(truth[half], truth[~half])
            where = {"task": task, "seed": seed, "dose": dose, "time": t, "fit_cpu_s": seconds}
            rows += [where | {"method": name, "W1": value} for name, value in made.items()]
    return pd.DataFrame(rows)


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """Return means over seeds and times, of each hidden dose and of all."""
    by_dose = records.pivot_table(index=["task", "method"], columns="dose", values="W1")
    by_dose.columns = [f"dose {one:.2f}" for one in by_dose.columns]
    return by_dose.assign(all=records.groupby(["task", "method"])["W1"].mean())


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    options = parser(__doc__)
    options.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    add_seeds(options)
    chosen = options.parse_args(argv)
    parts: list[pd.DataFrame] = []
    for seed in chosen.seeds:
        for task in chosen.tasks:
            parts.append(scores(task, seed))
            records = pd.concat(parts, ignore_index=True)
            report("designs_new_dose", records, summary(records), chosen.out)


if __name__ == "__main__":
    main()
