"""Populations whose cells influence each other: what becomes of those that were not seen.

The law of ``ct.datasets.interacting_populations``: cells are drawn to the mean of their population
and move where it is dense. A few replicates are seen at five times, 200 cells each, none twice;
twelve other populations are foretold from their first cells alone, and so are those of the
replicates that have two parts, with one part taken away. W1 to their cells at the end, in the mean
over populations: ``mean field`` by the fitted law, ``state alone`` by the same fit where nothing
around a cell counts (a :class:`celltraj.models.KernelReference` of all replicates together, its
ridge chosen by leaving each out), ``true law`` by the law that made the data, ``floor`` between two
draws. Plug-in drifts, one thread; CPU seconds of the fit, bridges included.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

import celltraj as ct
from benchmarks._report import add_seeds, parser, report
from celltraj.models.mean_field.courses import PopulationCourses
from celltraj.models.mean_field.fit import MeanFieldSettings, fit_mean_field
from celltraj.snapshots import Snapshots

TIMES = (0.0, 0.25, 0.5, 0.75, 1.0)
N_TEST, SIGMA, STEP = 12, 0.1, 0.02
Cloud = tuple[np.ndarray, float]


def cloud(rng: np.random.Generator) -> Cloud:
    """Return centres and spread of a population, as the data set draws them."""
    centre, spread = rng.uniform(-2, 2, 2), rng.uniform(0.3, 1.2)
    angle = rng.uniform(0, 2 * np.pi)
    offset = 1.5 * spread * np.array([np.cos(angle), np.sin(angle)])
    two = rng.random() < 0.5
    return (np.array([centre + offset, centre - offset]) if two else centre[None]), spread


def moved(x: np.ndarray, t: float, rng: np.random.Generator) -> np.ndarray:
    """Return cells after a time under the true law."""
    for _ in range(round(t / STEP)):
        noise = SIGMA * STEP**0.5 * rng.standard_normal(x.shape)
        x = x + STEP * ct.datasets.interaction_drift(x) + noise
    return x


def cells(of: Cloud, t: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw cells of a population and move them: a snapshot."""
    centres, spread = of
    start = centres[rng.integers(len(centres), size=n)]
    return moved(start + spread * rng.standard_normal((n, 2)), t, rng)


def fitted(
    clouds: Sequence[Cloud], n: int, rng: np.random.Generator
) -> dict[str, tuple[Any, float]]:
    """Return each law, as a function of cells and generator, and the CPU seconds of its fit."""
    courses = PopulationCourses(
        {
            f"replicate {k:02}": Snapshots(
                TIMES, tuple(torch.tensor(cells(one, t, n, rng)) for t in TIMES)
            )
            for k, one in enumerate(clouds)
        }
    )
    settings = {
        "mean field": MeanFieldSettings(growth=None),
        "state alone": MeanFieldSettings(growth=None, own=(0.0,)),
    }
    found: dict[str, tuple[Any, float]] = {}
    for name, one in settings.items():
        start = time.process_time()
        fit = fit_mean_field(courses, one)
        found[name] = fit, time.process_time() - start
        print(f"{len(clouds)} {name}: {fit.in_words}, own {fit.own:g}", flush=True)
    return found


def foretold(fit: Any, x: np.ndarray, seed: int) -> np.ndarray:
    """Return cells at the end by a fitted law, through the process that a user gets."""
    process = fit.of(x, start=TIMES[0], stop=TIMES[-1], seed=seed)
    path = ct.models.simulate(
        process,
        torch.as_tensor(x),
        (TIMES[0], TIMES[-1]),
        generator=torch.Generator().manual_seed(seed),
    )
    return path.x[-1].numpy()


def scores(n_replicates: int, n: int, seed: int) -> pd.DataFrame:
    """Return W1 of every row for each population that is foretold."""
    rng = np.random.default_rng(seed)
    seen = [cloud(rng) for _ in range(n_replicates)]
    fits = fitted(seen, n, rng)
    halves = [(one[0][:1], one[1]) for one in seen if len(one[0]) > 1]
    tasks = {"unseen": [cloud(rng) for _ in range(N_TEST)], "one part removed": halves}
    rows = []
    for task, clouds in tasks.items():
        for k, one in enumerate(clouds):
            first, last, other = (cells(one, t, n, rng) for t in (0.0, 1.0, 1.0))
            ends: dict[str, Callable[[], np.ndarray]] = {
                "no change": lambda first=first: first,
                **{
                    name: lambda first=first, fit=fit: foretold(fit, first, seed)
                    for name, (fit, _) in fits.items()
                },
                "true law": lambda first=first: moved(first, 1.0, rng),
                "floor": lambda other=other: other,
            }
            for name, end in ends.items():
                rows.append(
                    (task, n_replicates, seed, k, name, ct.metrics.wasserstein(end(), last))
                )
    table = pd.DataFrame(rows, columns=["task", "replicates", "seed", "population", "method", "W1"])
    return table.assign(fit_cpu_s=table["method"].map({k: s for k, (_, s) in fits.items()}))


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """Return means over populations and seeds, with their standard error over populations."""
    by = records.groupby(["task", "replicates", "method"], sort=False)
    return by.agg(
        W1=("W1", "mean"), error=("W1", "sem"), n=("W1", "size"), fit_cpu_s=("fit_cpu_s", "mean")
    )


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    options = parser(__doc__)
    options.add_argument("--replicates", type=int, nargs="+", default=[16, 4])
    options.add_argument("--cells", type=int, default=200)
    add_seeds(options)
    chosen = options.parse_args(argv)
    parts: list[pd.DataFrame] = []
    for seed in chosen.seeds:
        for n_replicates in chosen.replicates:
            parts.append(scores(n_replicates, chosen.cells, seed))
            records = pd.concat(parts, ignore_index=True)
            report("designs_mean_field", records, summary(records), chosen.out)


if __name__ == "__main__":
    main()
