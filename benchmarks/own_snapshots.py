"""Simulate a model through its own snapshots and compare with the cells it was fitted to.

Nothing is held out. At most 1,000 cells of the first snapshot, drawn at random, are simulated to
every later one, with their mass. ``ratio``: W1 to the snapshot, cells weighted by their mass, over
the floor between random halves of it; of at most 2,000 of its cells, so that a half has no more
cells than are simulated. ``share``: ``(sum m)^2 / (n sum m^2)`` of the masses ``m`` of n cells,
the part of them that counts. Of each data set and model: the largest ratio of all times (the mean
over seeds, with its standard error; but the first, where cells were put), that time, ratio and
share at the last time, and CPU seconds of a fit. A fit or simulation that fails is named, and NaN.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

import celltraj as ct
from benchmarks._failures import FAILURES
from benchmarks._report import add_seeds, parser, report
from benchmarks.data import FOLDS, load_present, thin
from celltraj._anndata import read_snapshots
from celltraj.models import FittedProcess
from celltraj.snapshots import Snapshots

SIMULATED = 1000
JUDGED = 2000
METHODS: dict[str, Callable[..., FittedProcess]] = {
    "flow": partial(ct.tl.fit_flow, progress=False),
    "bridge": partial(ct.tl.fit_bridge, progress=False),
    "flow_balanced": partial(ct.tl.fit_flow, growth=None, progress=False),
}


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    options = parser(__doc__)
    options.add_argument("--data", nargs="+", choices=list(FOLDS), default=list(FOLDS))
    options.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    options.add_argument("--thin", type=int, metavar="N", help="cells per time at most")
    add_seeds(options)
    chosen = options.parse_args(argv)
    # thinned results are others: their title says so, and they replace no file of the whole
    suffix = "" if chosen.thin is None else f"_at_most_{chosen.thin}_cells"
    records, tables = [], {}
    for name, adata in load_present(chosen.data).items():
        cells = adata if chosen.thin is None else thin(adata, chosen.thin)
        parts = [pd.DataFrame(score(cells, chosen.methods, seed)) for seed in chosen.seeds]
        found = pd.concat(parts, ignore_index=True)
        tables[name] = summarise(found)
        report(f"own_snapshots_{name}{suffix}", found, tables[name], chosen.out)
        records.append(found.assign(data=name))
    whole = pd.concat(tables, names=["data"])
    report(f"own_snapshots{suffix}", pd.concat(records, ignore_index=True), whole, chosen.out)


def score(adata: AnnData, methods: list[str], seed: int) -> Iterator[dict]:
    """Yield what is measured of each method at each time; one row of NaN for what fails."""
    snapshots, _ = read_snapshots(adata, time_key="time", use_rep=None)
    truth = judged(snapshots, seed)
    floors = [ct.metrics.split_half_floor(cells, seed=seed) for cells in truth]
    for name in methods:
        start = time.process_time()
        try:
            model = METHODS[name](adata.copy(), seed=seed)
            told = {"method": name, "seed": seed, "cpu_s": time.process_time() - start}
            x, mass = through(model, snapshots, seed)
        except FAILURES as error:
            print(f"failed: {name}, seed {seed}: {error}", flush=True)
            missing = dict.fromkeys(("time", "W1", "floor", "ratio", "share", "cpu_s"), np.nan)
            yield {"method": name, "seed": seed} | missing
            continue
        rows = measure(x, mass, truth, floors)
        for at, row in zip(snapshots.times, rows, strict=True):
            yield told | {"time": at} | row


def judged(snapshots: Snapshots, seed: int) -> list[np.ndarray]:
    """Return at most 2,000 cells of each snapshot, drawn at random."""
    rng = np.random.default_rng(seed)
    return [x.numpy()[rng.permutation(len(x))[:JUDGED]] for x in snapshots.x]


def through(model: FittedProcess, snapshots: Snapshots, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return states ``(T, n, d)`` and masses ``(T, n)`` of cells of the first snapshot."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(snapshots.x[0]), generator=generator)[:SIMULATED]
    path = ct.models.simulate(model, snapshots.x[0][rows], snapshots.times, generator=generator)
    mass = snapshots.weights[0][rows].expand(len(path.times), -1)
    if path.log_mass is not None:
        mass = mass * path.log_mass.exp()
    return path.x.numpy(), mass.numpy()


def measure(
    x: np.ndarray, mass: np.ndarray, truth: Sequence[np.ndarray], floors: Sequence[float]
) -> list[dict[str, float]]:
    """Return W1, floor, their ratio and the effective share at each of T times.

    Parameters
    ----------
    x
        ``(T, n, d)`` simulated states.
    mass
        ``(T, n)`` their masses, in any unit.
    truth
        ``T`` clouds ``(m_k, d)``.
    floors
        ``(T,)`` W1 between halves of each cloud, in [x].

    Examples
    --------
    >>> import numpy as np
    >>> from benchmarks.own_snapshots import measure
    >>> x = np.array([[[0.0], [4.0]]])
    >>> measure(x, np.array([[3.0, 1.0]]), [np.array([[0.0], [4.0]])], [2.0])
    [{'W1': 1.0, 'floor': 2.0, 'ratio': 0.5, 'share': 0.8}]
    """
    rows = []
    for cells, weights, true, floor in zip(x, mass, truth, floors, strict=True):
        distance = ct.metrics.wasserstein(cells, true, weights=weights)
        share = effective_share(weights)
        rows.append({"W1": distance, "floor": floor, "ratio": distance / floor, "share": share})
    return rows


def effective_share(mass: np.ndarray) -> float:
    """Return ``(sum m)^2 / (n sum m^2)``: 1 for equal masses, 1 / n where one cell has all."""
    return float(mass.sum() ** 2 / (len(mass) * np.square(mass).sum()))


def summarise(records: pd.DataFrame) -> pd.DataFrame:
    """Return the largest ratio, its time, and ratio and share at the end, by method.

    NaN where a fit failed with any seed.
    """
    return pd.DataFrame(
        {name: _summary(part) for name, part in records.groupby("method", sort=False)}
    ).T.rename_axis("method")


def _summary(records: pd.DataFrame) -> pd.Series:
    names = ["largest", "error", "at", "ratio_end", "share_end", "cpu_s"]
    if records["ratio"].isna().any():
        return pd.Series(np.nan, index=names)
    # the first snapshot is where cells were put, not where the model led them
    by_time = records[records["time"] > records["time"].min()].groupby("time")
    ratio, share = by_time["ratio"].mean(), by_time["share"].mean()
    at = ratio.idxmax()
    error = by_time["ratio"].sem()[at]
    values = ratio[at], error, at, ratio.iloc[-1], share.iloc[-1], records["cpu_s"].mean()
    return pd.Series(values, index=names)


if __name__ == "__main__":
    main()
