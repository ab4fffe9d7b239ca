"""Learn known laws from few cells and from snapshots far apart: W1 and energy to held-out cells.

Even snapshots train and odd ones are held out, 1,000 cells each, whatever was trained on. All are
divided by the standard deviations of a draw of 1,000 cells at the training times. ``true law`` is
the law itself from the cells of the last training snapshot: what that many cells can tell, and the
unit of the shares ``(W1 - true law) / (mixture - true law)``, 0 as good as the law and 1 no better
than the cells of both neighbours together. W1 of a law is the mean over held-out times and seeds.

Learning curve: by cells a time. Horizon: 300 cells a time, snapshots further and further apart, as
many of them. A spacing tells where the mixture's W1 is more than 1.5 times the true law's. A row
holds at a spacing that tells if its share is below one half, its W1 nearer to the true law's than
to the mixture's. Its horizon is the largest spacing at which it holds, there and at every shorter
one that tells; in multiples of the shortest; 0 where it fails at the first, NaN where none tells.

What fails to fit or to run is named, and NaN. Every law is written as soon as it is ready.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from matplotlib.figure import Figure

import celltraj as ct
from benchmarks._failures import FAILURES
from benchmarks._report import add_seeds, mean_and_error, parser, report
from benchmarks.laws import ABSENT, LAWS, InUnits, Law
from celltraj._anndata import read_snapshots
from celltraj.models import Process
from celltraj.models._predict import predict
from celltraj.models.evaluation import (
    FLOOR,
    TIME_METRICS,
    Prediction,
    distances,
    exact_plans,
    split_half,
    trivial_predictions,
)
from celltraj.snapshots import Snapshots

HELD_OUT = 1000  # cells of every snapshot that is held out
AT_HORIZON = 300  # cells of every snapshot that trains, where spacings are compared
TELLS = 1.5  # W1 of the mixture over that of the true law
TRUE, MIXTURE = "true law", "mixture"
METHODS: dict[str, Callable[..., Process]] = {
    "flow": partial(ct.tl.fit_flow, progress=False),
    "bridge": partial(ct.tl.fit_bridge, progress=False),
}
_measured = partial(distances, metrics=TIME_METRICS)


@dataclass(frozen=True)
class Case:
    """Hold cells that train and cells held out, in units of their standard deviations.

    Parameters
    ----------
    train
        Snapshots that train, ``n`` cells each.
    truth
        Cells ``(1000, d)`` by held-out time.
    law
        What they follow.
    """

    train: Snapshots
    truth: dict[float, np.ndarray]
    law: InUnits

    @property
    def adata(self) -> AnnData:
        """Return the cells that train as a fit takes them."""
        return _adata(self.train.times, [x.numpy() for x in self.train.x])


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    options = parser(__doc__)
    options.add_argument("--laws", nargs="+", choices=list(LAWS), default=list(LAWS))
    options.add_argument(
        "--cells", type=int, nargs="*", default=[50, 100, 200, 500, 1000, 2000], help="a time"
    )
    options.add_argument(
        "--spacings", type=int, nargs="*", default=[1, 2, 4, 8], help="multiples of the shortest"
    )
    options.add_argument("--methods", nargs="*", choices=list(METHODS), default=list(METHODS))
    add_seeds(options)
    chosen = options.parse_args(argv)
    for name in ABSENT:
        print(f"left out: {name}, dysts is not installed")
    curves, horizons = [], []
    for name in chosen.laws:
        law = LAWS[name]()
        sizes = [(law.learned_at, n) for n in chosen.cells]
        curves += run(name, law, sizes, chosen.methods, chosen.seeds, "cells", chosen.out)
        spacings = [(multiple, AT_HORIZON) for multiple in chosen.spacings]
        horizons += run(name, law, spacings, chosen.methods, chosen.seeds, "spacing", chosen.out)
    if curves:
        report_shares(pd.concat(curves), chosen.out)
    if horizons:
        report_horizons(pd.concat(horizons), chosen.out)
    minutes, all_laws = cost(curves + horizons) / 60, len(LAWS) + len(ABSENT)
    print(
        f"\n{minutes:.1f} CPU minutes for each law and seed, in the mean; "
        f"{3 * all_laws * minutes:.0f} for all {all_laws} laws with three"
    )


def run(
    name: str,
    law: Law,
    sizes: list[tuple[int, int]],
    methods: list[str],
    seeds: list[int],
    by: str,
    out: Path,
) -> list[pd.DataFrame]:
    """Report one law by cells or by spacing, and return its records, seed by seed.

    ``sizes`` are pairs of a multiple of the shortest spacing and a number of cells.
    """
    parts = []
    for seed in seeds:
        for multiple, n in sizes:
            start = time.process_time()
            part = pd.DataFrame(score(draw(law, multiple, n, seed), methods, seed))
            told = {"law": name, "spacing": multiple, "cells": n, "seed": seed}
            parts.append(part.assign(**told, case_cpu_s=time.process_time() - start))
    if parts:
        records = pd.concat(parts, ignore_index=True)
        table = summarise(records, by)
        report(f"known_laws_{by}_{name}", records, table, out)
        draw_curves(f"{by}_{name}", table, by, out)
    return parts


def draw(law: Law, multiple: int, n: int, seed: int) -> Case:
    """Return ``n`` cells at each training time and 1,000 at each held-out one.

    The held-out cells are the same whatever ``n``, and so are the units.
    """
    times = law.times(multiple)
    truth = law.cells(times, HELD_OUT, _generator(seed, 0))
    train = law.cells(times, n, _generator(seed, n))
    units = torch.cat(truth[::2])
    centre, scale = units.mean(0), units.std(0)

    def standard(x: torch.Tensor) -> np.ndarray:
        return ((x - centre) / scale).numpy()

    adata = _adata(times[::2], [standard(x) for x in train[::2]])
    return Case(
        read_snapshots(adata, time_key="time", use_rep="X")[0],
        {t: standard(x) for t, x in zip(times[1::2], truth[1::2], strict=True)},
        InUnits.of(law, centre, scale, times[-1]),
    )


def _generator(*seeds: int) -> torch.Generator:
    """Return draws that differ for all numbers of cells and all seeds."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(seeds).generate_state(1)[0]))


def _adata(times: tuple[float, ...], x: list[np.ndarray]) -> AnnData:
    obs = pd.DataFrame({"time": np.repeat(times, [len(cells) for cells in x])}).rename(index=str)
    return AnnData(np.concatenate(x), obs=obs)


def score(case: Case, methods: list[str], seed: int) -> Iterator[dict]:
    """Yield W1 and energy of all rows at every held-out time, and the CPU seconds of fits."""
    predicted = {TRUE: (_predictions(case, case.law, seed), np.nan)}
    predicted |= {name: tried(case, name, seed) for name in methods}
    plans = exact_plans(case.train)
    for held_out, truth in case.truth.items():
        trivial = trivial_predictions(case.train, plans, held_out, seed=seed)
        rows = {FLOOR: split_half(truth, _measured, seed=seed)}
        rows |= {name: _measured(Prediction(x), truth) for name, x in trivial.items()}
        for name, (found, _) in predicted.items():
            failed = dict.fromkeys(TIME_METRICS, np.nan)
            rows[name] = _measured(found[held_out], truth) if found else failed
        for name, values in rows.items():
            cpu_s = predicted[name][1] if name in predicted else np.nan
            for metric, value in values.items():
                row = {"method": name, "held_out": held_out, "metric": metric, "value": value}
                yield row | {"cpu_s": cpu_s}


def tried(case: Case, name: str, seed: int) -> tuple[dict[float, Prediction], float]:
    """Return what a fitted model predicts by time, nothing if it fails, and CPU seconds of the fit.

    A failure is printed.
    """
    start = time.process_time()
    try:
        model = METHODS[name](case.adata, use_rep="X", seed=seed)
        seconds = time.process_time() - start
        return _predictions(case, model, seed), seconds
    except FAILURES as error:
        print(f"failed: {name}, {len(case.train.x[0])} cells, seed {seed}: {error}", flush=True)
        return {}, np.nan


def _predictions(case: Case, model: Process, seed: int) -> dict[float, Prediction]:
    return {t: Prediction(*predict(model, case.train, t, seed=seed)) for t in case.truth}


def summarise(records: pd.DataFrame, by: str) -> pd.DataFrame:
    """Return means over held-out times and seeds by metric and method, a column per size.

    Columns with ``+-`` are standard errors over seeds. NaN where any fit failed.
    """
    by_seed = _means(records, ["metric", "method", by, "seed"])
    keys = ["metric", "method", by]
    found = by_seed.groupby(keys, sort=False).apply(mean_and_error).unstack()
    found.loc[by_seed.isna().groupby(keys).any().reindex(found.index)] = np.nan
    means, errors = (found[column].unstack(by) for column in ("mean", "error"))
    table = means.rename(columns=str).join(errors.rename(columns="{} +-".format))
    order = means.columns[-1]
    return table.loc[means.sort_values(["metric", order]).index]


def _means(records: pd.DataFrame, keys: list[str]) -> pd.Series:
    """Return means of the values by ``keys``; NaN where one of them is."""
    groups = records.groupby(keys, sort=False)["value"]
    return groups.agg(lambda values: values.mean(skipna=False))


def shares(w1: pd.DataFrame) -> pd.DataFrame:
    """Return ``(W1 - true law) / (mixture - true law)`` of a table with methods as rows.

    NaN where the mixture does not tell.
    """
    true, mixture = w1.loc[TRUE], w1.loc[MIXTURE]
    unit = (mixture - true).where(mixture > TELLS * true)
    return (w1 - true) / unit


def horizon(w1: pd.DataFrame) -> pd.Series:
    """Return the horizon of every row of a table with methods as rows and spacings as columns.

    See the head of this file.
    """
    share = shares(w1.sort_index(axis=1))
    telling = share.loc[:, share.loc[MIXTURE].notna()]
    if telling.empty:
        return pd.Series(np.nan, index=w1.index)
    n_held = (telling < 0.5).cummin(axis=1).sum(axis=1)
    reached = np.array([0.0, *telling.columns])
    return pd.Series(reached[n_held], index=w1.index)


def report_shares(records: pd.DataFrame, out: Path) -> None:
    """Report the mean over laws of the shares of W1, by method and number of cells."""
    w1 = _means(records[records["metric"] == "W1"], ["method", "law", "cells"])
    share = shares(w1.unstack(["law", "cells"]))
    table = share.T.groupby("cells").mean().T.rename(columns=str)
    long = share.unstack().rename("share").reset_index()
    report("known_laws_cells", long, table.sort_values(table.columns[-1]), out)


def report_horizons(records: pd.DataFrame, out: Path) -> None:
    """Report the horizon of every method by law, in multiples of the shortest spacing."""
    w1 = records[records["metric"] == "W1"]
    table = pd.DataFrame(
        {
            law: horizon(_means(part, ["method", "spacing"]).unstack("spacing"))
            for law, part in w1.groupby("law", sort=False)
        }
    )
    report("known_laws_spacing", table.reset_index(), table, out)


def cost(parts: list[pd.DataFrame]) -> float:
    """Return CPU seconds of all cases of one law with one seed, the mean over laws and seeds."""
    spent = pd.Series([part["case_cpu_s"].iloc[0] for part in parts])
    courses = {(part["law"].iloc[0], part["seed"].iloc[0]) for part in parts}
    return float(spent.sum() / max(len(courses), 1))


def draw_curves(name: str, table: pd.DataFrame, by: str, out: Path) -> None:
    """Draw W1 by cells or spacing, one line per method."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    ax = figure.subplots()
    means = table.loc["W1", [column for column in table if "+-" not in column]]
    for method, values in means.iterrows():
        style = "k--" if method in (TRUE, FLOOR) else "o-"
        ax.loglog(means.columns.astype(int), values, style, ms=3, label=method)
    ax.set(xlabel=f"{by}", ylabel="W1 to the held-out cells", title=name)
    ax.legend(frameon=False, fontsize=7)
    figure.savefig(out / f"known_laws_{name}.png", dpi=150)


if __name__ == "__main__":
    main()
