"""Fates, couplings and what they cost, beside what is known and what others publish.

``larry``: Pearson r between the predicted share of neutrophils and that of the clones of 10,087
cells of day 2, from two coordinates of all 130,887 cells; ``wot``: agreement with couplings that
Waddington-OT computed; ``export``: a plan as a sparse matrix; ``size``: couplings and fates of
many cells. Costs are those of each step in a process of its own: CPU seconds, peak GB, and GB above
what import takes. ``benchmarks/README.md`` explains rows and columns.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable
from functools import partial

import pandas as pd

import celltraj as ct
from benchmarks._apart import apart
from benchmarks._report import add_seeds, parser, report
from benchmarks.data import thin
from benchmarks.fates_tasks import (
    COUPLINGS,
    MODELS,
    SOFT,
    export,
    larry_cells,
    larry_couplings,
    larry_known,
    larry_model,
    size,
    wot_agreement,
)


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    options = parser(__doc__)
    options.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    options.add_argument("--thin", type=int, metavar="N", help="cells of LARRY per day at most")
    options.add_argument("--fitted", type=int, default=5000, help="cells per day of fitted models")
    options.add_argument("--cells", type=int, default=50_000, help="of all times of 'size'")
    options.add_argument("--side", type=int, default=20_000, help="cells a side of 'export'")
    options.add_argument("--methods", nargs="*", choices=METHODS, default=METHODS)
    add_seeds(options)
    chosen = options.parse_args(argv)
    for task in chosen.tasks:
        try:
            TASKS[task](chosen)
        except FileNotFoundError as error:
            print(f"left out: {error}", flush=True)


METHODS = [*COUPLINGS, SOFT, *MODELS]
EPSILONS = (0.05, 0.01, 0.002)  # of the mean cost of a plan that is exported


def _run_larry(chosen: Namespace) -> None:
    """Report known rows and couplings of all cells, and fits to some, after each row."""
    adata = larry_cells()
    # thinned results are others: their title says so, and they replace no file of the whole
    suffix = "" if chosen.thin is None else f"_at_most_{chosen.thin}_cells"
    cells = adata if chosen.thin is None else thin(adata, chosen.thin)
    rows = [{"cells": cells.n_obs} | row for row in larry_known(cells)]
    whole = [name for name in chosen.methods if name not in MODELS]
    calls = [partial(apart, larry_couplings, name, chosen.thin, 0) for name in whole]
    calls += [
        partial(apart, _on_some, name, chosen.fitted, seed)
        for seed in chosen.seeds
        for name in chosen.methods
    ]
    _step_by_step(f"fates_larry{suffix}", rows, calls, _by_method, chosen)


def _on_some(name: str, n_cells: int, seed: int) -> dict:
    """Return the row of a method on some cells of each day."""
    return (larry_model if name in MODELS else larry_couplings)(name, n_cells, seed)


def _by_method(records: pd.DataFrame) -> pd.DataFrame:
    """Return means over seeds by method and number of cells, best first."""
    grouped = records.groupby(["method", "cells"]).mean(numeric_only=True)
    return grouped.drop(columns="seed", errors="ignore").sort_values("r", ascending=False)


def _run_wot(chosen: Namespace) -> None:
    records = pd.DataFrame(wot_agreement(ct.datasets.reprogramming()))
    report("fates_wot", records, records.set_index(["method", "pair"]).sort_index(), chosen.out)


def _run_export(chosen: Namespace) -> None:
    calls = [
        partial(apart, export, chosen.side, epsilon, seed)
        for epsilon in EPSILONS
        for seed in chosen.seeds
    ]
    _step_by_step("fates_export", [], calls, partial(_over_seeds, keys=["epsilon"]), chosen)


def _run_size(chosen: Namespace) -> None:
    calls = [
        partial(apart, size, n_times, chosen.cells, seed)
        for n_times in (3, 2)
        for seed in chosen.seeds
    ]
    _step_by_step("fates_size", [], calls, partial(_over_seeds, keys=["times"]), chosen)


def _over_seeds(records: pd.DataFrame, *, keys: list[str]) -> pd.DataFrame:
    return records.groupby(keys, sort=False).mean().drop(columns="seed")


def _step_by_step(
    name: str,
    rows: Iterable[dict],
    calls: Iterable[Callable[[], dict]],
    table_of: Callable[[pd.DataFrame], pd.DataFrame],
    chosen: Namespace,
) -> None:
    """Report the table after each row: the longest of them take minutes."""
    found = list(rows)
    for call in calls:
        found.append(call())
        records = pd.DataFrame(found)
        report(name, records, table_of(records), chosen.out)


TASKS = {"larry": _run_larry, "wot": _run_wot, "export": _run_export, "size": _run_size}


if __name__ == "__main__":
    main()
