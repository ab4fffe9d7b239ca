"""Predict held-out snapshots: W1 by data set and method, beside floor and trivial rows.

The mean over held-out times; mean and standard error over seeds. One default configuration for all
data sets. Every data set is written as soon as it is ready.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
from anndata import AnnData
from matplotlib.figure import Figure

import celltraj as ct
from benchmarks._report import add_seeds, mean_and_error, parser, report
from benchmarks.data import FOLDS, load_present
from celltraj.models import LinearInterpolant, PlugInDrift

METHODS: dict[str, Callable] = {
    "bridge_neural": partial(ct.tl.fit_bridge, progress=False),
    "flow_spline": partial(ct.tl.fit_flow, progress=False),
    "flow_linear": partial(ct.tl.fit_flow, interpolant=LinearInterpolant(), progress=False),
    "bridge_plug_in": partial(ct.tl.fit_bridge, drift=PlugInDrift(), progress=False),
}
if importlib.util.find_spec("torchcfm"):
    from benchmarks.peers import fit_ot_cfm

    METHODS["ot_cfm"] = fit_ot_cfm


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    options = parser(__doc__)
    options.add_argument("--data", nargs="+", choices=list(FOLDS), default=list(FOLDS))
    options.add_argument("--methods", nargs="*", choices=list(METHODS), default=list(METHODS))
    add_seeds(options)
    chosen = options.parse_args(argv)
    if "ot_cfm" not in METHODS:
        print("left out: ot_cfm, torchcfm is not installed")
    columns = {}
    for name, adata in load_present(chosen.data).items():
        records = score(adata, FOLDS[name], chosen.methods, chosen.seeds)
        columns[name] = summarise(records)
        report(f"held_out_{name}", records, columns[name], chosen.out)
        draw(name, columns[name], chosen.out)
    means = pd.DataFrame({name: table["mean"] for name, table in columns.items()})
    errors = pd.DataFrame({name: table["error"] for name, table in columns.items()})
    both = means.join(errors, rsuffix=" +-").sort_index(axis=1)
    report("held_out", means.reset_index(), both, chosen.out)


def score(
    adata: AnnData, folds: list[tuple[float, ...]], methods: list[str], seeds: list[int]
) -> pd.DataFrame:
    """Return the scores of all methods on all folds with every seed."""
    fits = {name: METHODS[name] for name in methods}
    return pd.concat(
        [
            ct.tl.cross_validate(adata, fit=fits, hold_out=folds, seed=seed, progress=False)
            for seed in seeds
        ],
        ignore_index=True,
    )


def summarise(records: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard error over seeds of the mean over held-out times, best first."""
    by_seed = records.groupby(["method", "seed"])["value"].mean()
    return by_seed.groupby("method").apply(mean_and_error).unstack().sort_values("mean")


def draw(name: str, table: pd.DataFrame, out: Path) -> None:
    """Draw one dot per method, the floor as a dashed line."""
    figure = Figure(figsize=(5, 0.35 * len(table) + 1), layout="constrained")
    ax = figure.subplots()
    rows = table.drop(index="floor").iloc[::-1]
    ax.errorbar(rows["mean"], rows.index, xerr=rows["error"].fillna(0), fmt="o", color="C0")
    ax.axvline(table.loc["floor", "mean"], color="black", ls="--", lw=1, label="floor")
    ax.set(xlabel="W1 to the held-out cells", title=name, xlim=(0, None))
    ax.legend(frameon=False)
    figure.savefig(out / f"held_out_{name}.png", dpi=150)


if __name__ == "__main__":
    main()
