"""Predict held-out snapshots: W1 and CPU seconds by data set and method, beside peers.

W1: the mean over held-out times; mean and standard error over seeds. ``cpu_s``: of all fits of one
seed, summed over folds, the mean over seeds; on one thread. Floor and trivial rows are always
there. One default configuration for all data sets. Every data set is written as soon as it is
ready, and last the share of the way from the floor to the best peer: below 1 is better than it.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from anndata import AnnData
from matplotlib.figure import Figure

import celltraj as ct
from benchmarks._report import add_seeds, mean_and_error, parser, report
from benchmarks._timed import Timed
from benchmarks.data import FOLDS, load_present, thin
from celltraj.models import (
    Brownian,
    BrownianBridgeInterpolant,
    EncodingDecodingInterpolant,
    FlowOptions,
    KineticInterpolant,
    LinearInterpolant,
    Penalties,
    SplineInterpolant,
    TrigonometricInterpolant,
)

OURS = ("bridge_", "flow", "selected")
BRIDGES: dict[str, dict] = {
    "bridge_neural": {},
    "bridge_plug_in": {"training": None},
    "bridge_brownian": {"reference": Brownian(), "growth": None},
}
# a further interpolant is a further entry
FLOWS: dict[str, dict] = {
    "flow": {},
    "flow_balanced": {"growth": None},
    "flow_soft": {"options": FlowOptions(coupling=ct.ot.Unbalanced(tau_a=0.97, tau_b=0.99))},
    "flow_likelihood": {
        "growth": None,
        "options": FlowOptions(penalties=Penalties(likelihood=1.0)),
    },
    "flow_spline": {"interpolant": SplineInterpolant()},
    "flow_monotone": {"interpolant": SplineInterpolant(smoothness=0.0)},
    "flow_brownian": {"interpolant": BrownianBridgeInterpolant()},
    "flow_linear": {"interpolant": LinearInterpolant()},
    "flow_kinetic": {"interpolant": KineticInterpolant()},
    "flow_trigonometric": {"interpolant": TrigonometricInterpolant()},
    "flow_encoding": {"interpolant": EncodingDecodingInterpolant()},
    "flow_minibatch": {
        "interpolant": BrownianBridgeInterpolant(),
        "options": FlowOptions(coupling=ct.ot.Minibatch(size=256)),
    },
}
METHODS: dict[str, Callable] = {
    name: partial(fit, progress=False, **options)
    for fit, named in ((ct.tl.fit_bridge, BRIDGES), (ct.tl.fit_flow, FLOWS))
    for name, options in named.items()
}
PEERS = {
    "i_cfm": "torchcfm",
    "ot_cfm": "torchcfm",
    "sf2m": "torchcfm",
    "otp_fm": "otpfm",
    "otp_fm_wide": "otpfm",
    "moscot": "moscot",
}
ABSENT = {name: package for name, package in PEERS.items() if not importlib.util.find_spec(package)}
if importlib.util.find_spec("torchcfm"):
    from benchmarks.peers import fit_i_cfm, fit_ot_cfm, fit_sf2m

    METHODS |= {"i_cfm": fit_i_cfm, "ot_cfm": fit_ot_cfm, "sf2m": fit_sf2m}
if importlib.util.find_spec("otpfm"):
    from benchmarks.peers_otpfm import EMBRYOID_BODIES, fit_otp_fm

    METHODS["otp_fm"] = fit_otp_fm
    METHODS["otp_fm_wide"] = partial(fit_otp_fm, settings=EMBRYOID_BODIES)
if importlib.util.find_spec("moscot"):
    from benchmarks.peers_moscot import fit_moscot

    METHODS["moscot"] = fit_moscot
if os.environ.get("WFRFM_HOME"):
    from benchmarks.peers_wfrfm import fit_wfr_fm

    METHODS["wfr_fm"] = fit_wfr_fm


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    options = parser(__doc__)
    options.add_argument("--data", nargs="+", choices=list(FOLDS), default=list(FOLDS))
    options.add_argument("--methods", nargs="*", choices=list(METHODS), default=list(METHODS))
    options.add_argument("--thin", type=int, metavar="N", help="cells per time at most")
    add_seeds(options)
    chosen = options.parse_args(argv)
    for name, package in ABSENT.items():
        print(f"left out: {name}, {package} is not installed")
    if "wfr_fm" not in METHODS:
        print("left out: wfr_fm, WFRFM_HOME names no checkout of its program")
    # thinned results are others: their title says so, and they replace no file of the whole
    suffix = "" if chosen.thin is None else f"_at_most_{chosen.thin}_cells"
    tables = {}
    for name, adata in load_present(chosen.data).items():
        cells = adata if chosen.thin is None else thin(adata, chosen.thin)
        records = score(cells, FOLDS[name], chosen.methods, chosen.seeds)
        tables[name] = summarise(records)
        report(f"held_out_{name}{suffix}", records, tables[name], chosen.out)
        draw(f"{name}{suffix}", tables[name], chosen.out)
    report_all(tables, suffix, chosen.out)


def report_all(tables: dict[str, pd.DataFrame], suffix: str, out: Path) -> None:
    """Report means, costs and shares of the way to the best peer, each by method and data set."""
    means, errors, seconds = (
        pd.DataFrame({name: table[column] for name, table in tables.items()})
        for column in ("mean", "error", "cpu_s")
    )
    both = means.join(errors, rsuffix=" +-").join(seconds, rsuffix=" cpu_s").sort_index(axis=1)
    report(f"held_out{suffix}", means.reset_index(), both, out)
    shares = relative(means)
    report(f"held_out_relative{suffix}", shares.reset_index(), shares, out)
    for name in means.columns[shares[means.columns].isna().all()]:
        print(f"left out of the mean: {name}, its best peer is not above the floor")


def score(
    adata: AnnData, folds: list[tuple[float, ...]], methods: list[str], seeds: list[int]
) -> pd.DataFrame:
    """Return the scores of all methods on all folds with every seed.

    ``cpu_s`` is that of all fits of the method with the seed, the same in each of their rows.
    """
    parts = []
    for seed in seeds:
        fits = {name: Timed(METHODS[name]) for name in methods}
        # silenced, fits behind Timed would be told to be silent too, and peers have no such option
        part = ct.tl.cross_validate(adata, fit=fits, hold_out=folds, seed=seed, progress=True)
        part["cpu_s"] = part["method"].map({name: sum(fit.seconds) for name, fit in fits.items()})
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def summarise(records: pd.DataFrame) -> pd.DataFrame:
    """Return W1 over seeds of the mean over held-out times, and CPU seconds, best first."""
    w1 = records[records["metric"] == "W1"]
    by_seed = w1.groupby(["method", "seed"])[["value", "cpu_s"]].mean()
    table = by_seed["value"].groupby("method").apply(mean_and_error).unstack()
    table["cpu_s"] = by_seed["cpu_s"].groupby("method").mean()
    return table.sort_values("mean")


def relative(means: pd.DataFrame) -> pd.DataFrame:
    """Return ``(W1 - floor) / (best peer - floor)`` by method and data set, and its mean over data.

    The best peer of a data set is the lowest row that is neither ours nor the floor, trivial rows
    included. Halves of a snapshot lie further apart than the whole ones compared here, in many
    dimensions further than a prediction: a best peer at or below the floor leaves no unit to
    measure in, so that data set is NaN and takes no part in the mean.
    """
    floor = means.loc["floor"]
    rows = means.drop(index="floor")
    peers = rows[~rows.index.str.startswith(OURS)]
    unit = (peers.min() - floor).where(lambda gap: gap > 0)
    shares = (rows - floor) / unit
    return shares.assign(mean=shares.mean(axis=1)).sort_values("mean")


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
