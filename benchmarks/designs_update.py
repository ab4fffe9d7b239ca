"""A snapshot that arrives later: a model that goes on, beside one that is fitted anew.

The last snapshot is taken away, a flow fitted to the others, and then extended by ``ct.tl.update``.
W1 one gap ahead, from the cells of each snapshot to those of the next, in the mean over old gaps
and of the new one, with the CPU seconds of each: ``before``, ``refit`` (all snapshots, the
default), ``naive`` (the same network trained on the new gap alone, as many steps: it forgets),
``cells`` and ``model`` (what the network is to keep comes from old cells, or from itself alone).
``plug-in`` compares bridges with plug-in drifts on Brownian motion of one noise. Ratios are to the
refit of the same seed. One thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

import celltraj as ct
from benchmarks._report import add_seeds, parser, report
from celltraj._anndata import read_snapshots
from celltraj.metrics import wasserstein
from celltraj.models import simulate
from celltraj.models.course import Course, plans_of
from celltraj.models.flow.batches import PathBatches
from celltraj.models.networks import two_heads_loss
from celltraj.models.training.module import Job, train
from celltraj.models.update.flow import extended
from celltraj.models.update.options import schedule_of
from celltraj.ot import solve
from celltraj.snapshots import Snapshots

TASKS = ("lotka_volterra", "eb_pca5", "eb_phate2d")
MOST = 1000  # cells that are sent and compared
SILENT = {"progress": False}


def naive(flow: Any, snapshots: Snapshots, seed: int) -> Any:
    """Return the flow whose grown network was trained on the new gap and nothing else."""
    generator = torch.Generator().manual_seed(seed)
    grown, last = extended(flow, snapshots), slice(-2, None)
    ahead = Snapshots(snapshots.times[last], snapshots.x[last])
    course = Course(ahead, plans_of(ahead, flow.interpolant.sigma, solve), flow.interpolant)
    training = ct.models.Training()
    schedule = schedule_of(training, 0)
    batches = PathBatches(course, schedule.n_steps, schedule.batch_size, generator)
    job = Job(grown.heads, batches, two_heads_loss)
    heads, _ = train(job, training, schedule, progress=False)
    # without growth: what cells send over the gap is that of a balanced plan
    return ct.models.FlowMatching(heads, grown.times, grown.interpolant, grown.box, grown.noise)


def ahead(model: Any, snapshots: Snapshots, seed: int) -> list[float]:
    """Return W1 of cells sent over each gap to those of its end."""
    found = []
    for k, _ in snapshots.pairs():
        generator = torch.Generator().manual_seed(seed)
        x, y = snapshots.x[k], snapshots.x[k + 1]
        start = x[torch.randint(len(x), (MOST,), generator=generator)]
        times = snapshots.times[k : k + 2]
        path = simulate(model, start, times, n_steps=20, generator=generator)
        mass = torch.zeros(MOST) if path.log_mass is None else path.log_mass[-1]
        seen = y[torch.randperm(len(y), generator=generator)[:MOST]]
        weights = torch.softmax(mass.double(), 0).numpy()
        found.append(wasserstein(path.x[-1].numpy(), seen.numpy(), weights=weights))
    return found


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return a result and its CPU seconds."""
    start = time.process_time()
    return work(), time.process_time() - start


def flows(adata: AnnData, old: AnnData, new: AnnData, seed: int) -> Iterator[tuple]:
    """Yield name, model and CPU seconds of each flow."""
    given = {"seed": seed, **SILENT}
    whole = read_snapshots(adata, time_key="time", use_rep=None)[0]
    before, cost = timed(partial(ct.tl.fit_flow, old, **given))
    yield "before", before, cost
    yield "refit", *timed(partial(ct.tl.fit_flow, adata.copy(), **given))
    yield "naive", *timed(partial(naive, before, whole, seed))
    yield "cells", *timed(partial(ct.tl.update, adata.copy(), before, **given))
    yield "model", *timed(partial(ct.tl.update, new, before, replay="model", **given))


def bridges(adata: AnnData, old: AnnData, new: AnnData, seed: int) -> Iterator[tuple]:
    """Yield name, model and CPU seconds of each bridge with a plug-in drift."""
    snapshots = read_snapshots(old, time_key="time", use_rep=None)[0]
    sigma = ct.models.default_sigma(snapshots, generator=torch.Generator().manual_seed(seed))
    options = {"reference": ct.models.Brownian(), "sigma": sigma, "growth": None, "training": None}
    fit = partial(ct.tl.fit_bridge, seed=seed, **options, **SILENT)
    before, cost = timed(partial(fit, old))
    yield "plug-in before", before, cost
    yield "plug-in refit", *timed(partial(fit, adata.copy()))
    yield "plug-in update", *timed(partial(ct.tl.update, new, before, seed=seed, **SILENT))


def scores(task: str, seed: int, kinds: list[str]) -> list[dict[str, Any]]:
    """Return W1 and cost of each model."""
    adata = getattr(ct.datasets, task)()
    last = adata.obs["time"].max()
    is_new = (adata.obs["time"] == last).to_numpy()
    old, new = adata[~is_new].copy(), adata[is_new].copy()
    whole = read_snapshots(adata, time_key="time", use_rep=None)[0]
    records = []
    for kind in kinds:
        for name, model, seconds in {"flows": flows, "bridges": bridges}[kind](
            adata, old, new, seed
        ):
            w1 = ahead(model, whole, seed)
            record = {"task": task, "seed": seed, "method": name, "cpu_s": seconds}
            records.append(record | {"old": fmean(w1[:-1]), "new": w1[-1]})
            print(records[-1], flush=True)
    return records


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """Return means over seeds, and means and standard errors of ratios to the refit."""
    is_plug_in = records["method"].str.startswith("plug-in")
    family = np.where(is_plug_in, "plug-in refit", "refit")
    refit = records.set_index(["task", "seed", "method"])[["old", "new", "cpu_s"]]
    keys = pd.MultiIndex.from_arrays([records["task"], records["seed"], family])
    ratios = records[["old", "new", "cpu_s"]] / refit.reindex(keys).to_numpy()
    table = records.join(ratios.add_suffix("_ratio")).drop(columns="seed")
    grouped = table.groupby(["task", "method"], sort=False)
    errors = grouped[["old_ratio", "new_ratio"]].sem().add_suffix("_error")
    return grouped.mean().join(errors)


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    options = parser(__doc__)
    options.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    options.add_argument("--kinds", nargs="+", default=["flows", "bridges"])
    add_seeds(options)
    chosen = options.parse_args(argv)
    # what is loaded with the first training is no part of the cost of the first fit
    warm = ct.datasets.branching(n_cells=20, seed=0)
    ct.tl.fit_flow(warm, training=ct.models.Training(max_steps=2), **SILENT)
    found: list[dict[str, Any]] = []
    for seed in chosen.seeds:
        for task in chosen.tasks:
            found += scores(task, seed, chosen.kinds)
            records = pd.DataFrame(found)
            report("designs_update", records, summary(records), chosen.out)


if __name__ == "__main__":
    main()
