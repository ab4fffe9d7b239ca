"""How often p values are small where there is nothing to find.

``correlations``, ``drivers``, ``conditions``, ``knockouts``: data without the effect that is
tested, in designs where cells are independent, where samples differ, and where all changes with
time. Every p value of a repetition counts; errors are over repetitions. ``benchmarks/README.md``
explains rows and columns.
"""

from __future__ import annotations

import logging
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import torch

import celltraj as ct
from benchmarks._report import parser, report
from benchmarks.null_designs import (
    COHORTS,
    DESIGNS,
    WIRINGS,
    Law,
    cells,
    cohort,
    wired,
)
from celltraj._errors import DataWarning
from celltraj._stats.correlation import correlations
from celltraj.tl._knock_outs import matched_sets, read_experiment, share_as_large
from celltraj.tl._knock_screen import random_genes, screen_p

LEVELS = (0.05, 0.01)
UNITS = {
    "cells of all times": {"time": "pooled"},
    "cells": {},
    "cells, exchanged": {"n_permutations": 199},
    "samples": {"sample_key": "sample"},
    "samples, signs": {"sample_key": "sample", "n_permutations": 1000},
}
STEPS = {"cells, exchanged": 1 / 200, "samples, signs": 2 / 2**8}
N_NULL = 19
N = {"8 cells": 8, "20 cells": 20, "100 cells": 100}
_ROUNDING = 1e-9


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    options = parser(__doc__)
    options.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    options.add_argument("--repeats", type=int, default=1000)
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args(argv)
    logging.getLogger("celltraj").setLevel(logging.WARNING)
    rows: list[dict] = []
    for task in chosen.tasks:
        for row in TASKS[task](chosen):
            rows.append({"task": task} | row)
            records = pd.DataFrame(rows)
            table = records.set_index(["task", "p", "design"])
            report("null_calibration", records, table, chosen.out)


def summary(p: list[np.ndarray], step: float = 0.0) -> dict[str, float]:
    """Return how often p values are at most .05 and .01, and how far their law is from uniform.

    Parameters
    ----------
    p
        The p values of each repetition.
    step
        Step of p values that take steps; ``level_05`` is the last of them up to .05, which uniform
        ones reach as often as it says.
    """
    found = {}
    known = [one[np.isfinite(one)] for one in map(np.ravel, p)]
    known = [one for one in known if len(one)]
    for level in LEVELS:
        rates = np.array([np.mean(one <= level + _ROUNDING) for one in known])
        name = f"{100 * level:02.0f}"
        found[f"rate_{name}"] = rates.mean()
        found[f"error_{name}"] = rates.std(ddof=1) / np.sqrt(len(rates))
        found[f"level_{name}"] = step * np.floor(level / step + _ROUNDING) if step else level
    every = np.sort(np.concatenate(known))
    # where p takes steps, the share of values up to each of them
    share = np.searchsorted(every, every + _ROUNDING, side="right") / len(every)
    return found | {"distance": np.abs(share - every).max(), "n_p": len(every)}


def correlation_p(n: int, repeats: int, seed: int) -> list[np.ndarray]:
    """Return p values of genes without a fate over few cells."""
    rng = np.random.default_rng(seed)
    pairs = ((rng.normal(size=(n, 10)), rng.normal(size=(n, 1))) for _ in range(repeats))
    return [correlations(x, y).p for x, y in pairs]


def driver_p(design: str, units: str, repeats: int, seed: int) -> list[np.ndarray]:
    """Return p values of genes without a fate in a design, and with units."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(repeats):
        adata = cells(rng, **DESIGNS[design])
        asked = {"key": "fate", "seed": int(rng.integers(2**31)), "progress": False}
        ct.tl.drivers(adata, **asked, **UNITS[units])
        found.append(ct.get.drivers(adata)["p"].to_numpy())
    return found


def condition_p(design: str, repeats: int, seed: int) -> list[np.ndarray]:
    """Return p values of conditions that do not differ."""
    rng = np.random.default_rng(seed)
    keys = {"sample_key": "sample", "condition_key": "condition"}
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # that so few samples have no smaller p
        for _ in range(repeats):
            adata = cohort(rng, **COHORTS[design])
            asked = {"of": "value", "seed": int(rng.integers(2**31))}
            ct.tl.compare_conditions(adata, **keys, **asked)
            found.append(ct.get.conditions(adata)["p"].to_numpy())
    return found


def knockout_p(
    design: str, repeats: int, seed: int, *, n_genes: int = 100
) -> dict[str, list[np.ndarray]]:
    """Return p values of every gene, by the rules of ``knockout`` and ``knockout_screen``.

    Each gene is knocked out once, and serves the others as a random gene.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, list[np.ndarray]] = {"knockout": [], "knockout_screen": []}
    for _ in range(repeats):
        adata, weights = wired(rng, n_genes=n_genes, **WIRINGS[design])
        asked = {"groupby": "kind", "level": 0.0, "time_key": "time", "seed": 0}
        experiment = read_experiment(adata, Law(weights), span=(0.0, None), **asked)
        genes = list(range(1, adata.n_vars))  # the first variable is the fate itself
        control = experiment.shares()[0]
        shifts = np.zeros((adata.n_vars, len(control)))
        for gene in genes:
            shifts[gene] = experiment.shares([gene])[0] - control
        sets = [matched_sets([gene], experiment, N_NULL, rng) for gene in genes]
        pairs = zip(genes, sets, strict=True)
        matched = [share_as_large(shifts[np.ravel(one)], shifts[gene]) for gene, one in pairs]
        found["knockout"].append(np.array(matched)[:, 0])
        random = random_genes(experiment, 4 * N_NULL, rng)
        screened = screen_p(experiment, genes, random, shifts[genes], shifts[random])
        found["knockout_screen"].append(screened[:, 0])
    return found


def _correlations(chosen: Namespace) -> Iterator[dict]:
    for name, n in N.items():
        p = correlation_p(n, chosen.repeats, chosen.seed)
        yield {"p": "Student", "design": name} | summary(p)


def _drivers(chosen: Namespace) -> Iterator[dict]:
    for design in DESIGNS:
        for units in UNITS:
            p = driver_p(design, units, max(2, chosen.repeats // 5), chosen.seed)
            yield {"p": units, "design": design} | summary(p, STEPS.get(units, 0.0))


def _conditions(chosen: Namespace) -> Iterator[dict]:
    for design, given in COHORTS.items():
        p = condition_p(design, chosen.repeats, chosen.seed)
        yield {"p": "relabelled samples", "design": design} | summary(p, float(given["step"]))


def _knockouts(chosen: Namespace) -> Iterator[dict]:
    for design in WIRINGS:
        repeats = max(2, chosen.repeats // 20)  # each with all genes
        for rule, p in knockout_p(design, repeats, chosen.seed).items():
            yield {"p": rule, "design": design} | summary(p, 1 / (1 + N_NULL))


TASKS: dict[str, Callable[[Namespace], Iterator[dict]]] = {
    "correlations": _correlations,
    "conditions": _conditions,
    "drivers": _drivers,
    "knockouts": _knockouts,
}


if __name__ == "__main__":
    main()
