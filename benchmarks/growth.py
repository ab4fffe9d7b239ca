"""Growth: numbers of cells and rates where they are known, and held-out cells where they are not.

``circuit``: a gene circuit of which one kind of cell divides by a known law; ``null``: data of
constant numbers; ``gaussians``: one of two clusters becomes ten times as many;
``hematopoiesis`` and ``reprogramming``: W1 to cells of a time between two others, fitted without
it, beside displacement along transport. One thread; CPU seconds of each fit. Results are written
after each seed; ``benchmarks/README.md`` explains rows and columns.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable
from functools import partial

import pandas as pd
import torch

from benchmarks._report import add_seeds, mean_and_error, parser, report
from benchmarks.growth_held_out import (
    MODELS,
    WITH_PRIOR,
    Task,
    hematopoiesis_task,
    reprogramming_task,
    scores,
)
from benchmarks.growth_tasks import DRIFTS, RIVAL, gaussians, gene_circuit, null

FITS = [*MODELS, *WITH_PRIOR]
NULL = ("eb_pca5", "lotka_volterra")


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    options = parser(__doc__)
    options.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    options.add_argument("--drifts", nargs="+", choices=list(DRIFTS), default=list(DRIFTS))
    options.add_argument("--methods", nargs="*", choices=FITS, default=FITS)
    add_seeds(options)
    chosen = options.parse_args(argv)
    for task in chosen.tasks:
        try:
            TASKS[task](chosen)
        except FileNotFoundError as error:
            print(f"left out: {error}", flush=True)


def _run_circuit(chosen: Namespace) -> None:
    records = _with_each(chosen, "growth_circuit", gene_circuit, by_drift)
    rival = {f"N({t})": n for t, n in enumerate(RIVAL)}
    rival |= {"drift": "published", "fit_cpu_s": 151.0}
    rival["wrong_percent"] = 100 * (RIVAL[-2] / 690 - 1)
    table = by_drift(pd.concat([records, pd.DataFrame([rival])], ignore_index=True))
    report("growth_circuit", records, table, chosen.out)


def _run_null(chosen: Namespace) -> None:
    parts = []
    for name in NULL:
        try:
            parts += [null(name, drift, seed) for seed in chosen.seeds for drift in chosen.drifts]
        except FileNotFoundError as error:
            print(f"left out: {error}", flush=True)
    if parts:
        records = pd.DataFrame(parts)
        table = records.groupby(["data", "drift"]).mean().drop(columns="seed")
        report("growth_null", records, table, chosen.out)


def _run_gaussians(chosen: Namespace) -> None:
    _with_each(chosen, "growth_gaussians", gaussians, by_drift)


def _with_each(
    chosen: Namespace,
    name: str,
    row_of: Callable[[str, int], dict],
    table_of: Callable[[pd.DataFrame], pd.DataFrame],
) -> pd.DataFrame:
    """Report rows of each drift after each seed, and return them."""
    return _over_seeds(
        chosen, name, lambda seed: [row_of(drift, seed) for drift in chosen.drifts], table_of
    )


def _over_seeds(
    chosen: Namespace,
    name: str,
    rows_of: Callable[[int], Iterable[dict]],
    table_of: Callable[[pd.DataFrame], pd.DataFrame],
) -> pd.DataFrame:
    rows: list[dict] = []
    for seed in chosen.seeds:
        rows += [{"seed": seed} | row for row in rows_of(seed)]
        records = pd.DataFrame(rows)
        report(name, records, table_of(records), chosen.out)
    return records


def by_drift(records: pd.DataFrame) -> pd.DataFrame:
    """Return means over seeds by drift."""
    return records.groupby("drift", sort=False).mean().drop(columns="seed")


def _run_held_out(chosen: Namespace, *, name: str, task_of: Callable[[], Task]) -> None:
    task = task_of()
    _over_seeds(
        chosen, f"growth_{name}", lambda seed: scores(task, chosen.methods, seed), by_method
    )


def by_method(records: pd.DataFrame) -> pd.DataFrame:
    """Return W1 by method with its error over seeds, over the displacement of constant mass."""
    grouped = records.groupby("method")
    table = grouped["W1"].apply(mean_and_error).unstack()
    others = [c for c in ("W1_batch", "W1_simulated", "cpu_s") if c in records]
    table = table.join(grouped[others].mean())
    if "W1_batch" in table:
        table["over_floor"] = table["W1_batch"] / table.loc["floor", "W1_batch"]
    return table.sort_values("mean")


TASKS: dict[str, Callable[[Namespace], None]] = {
    "circuit": _run_circuit,
    "null": _run_null,
    "gaussians": _run_gaussians,
    "hematopoiesis": partial(_run_held_out, name="hematopoiesis", task_of=hematopoiesis_task),
    "reprogramming": partial(_run_held_out, name="reprogramming", task_of=reprogramming_task),
}


if __name__ == "__main__":
    main()
