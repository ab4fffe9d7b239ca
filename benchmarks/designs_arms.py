"""Courses under several doses with combinations of time and dose that are missing.

``lotka_volterra``: prey and predator, the dose changes the growth of the prey; ``double_well``: two
fates, the dose tilts the landscape. Twelve doses, six times, a hundred cells of each combination; a
third of the combinations, none at the first time, is left out together and foretold. W1 to these
cells over seeds: ``arms`` with doses as labels, ``arms (dose)`` told the dose, ``seen`` the same
model fitted with other cells of those combinations, beside the rows that need no model. Plug-in
drifts, one thread; CPU seconds of each fit. With ``--mmfm PYTHON`` Multi-Marginal Flow Matching is
judged by the same cells, see ``benchmarks._arms_mmfm``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import torch

import celltraj as ct
from benchmarks._arms_mmfm import PUBLISHED, ROWS, mmfm_scores
from benchmarks._report import add_seeds, parser, report

DOSES, TIMES = 12, 6
METHODS = ("arms", "arms (dose)", "seen")
FIT = partial(ct.tl.fit_arms, training=None, growth=None, progress=False)


def lotka_volterra(x: np.ndarray, strength: float) -> np.ndarray:
    """Return the drift of prey and predator, the prey growing by 0.6 to 1.4."""
    prey, predator = x.T
    growth = 1 + 0.4 * strength
    return np.column_stack(
        [growth * prey - 0.4 * prey * predator, 0.1 * prey * predator - 0.4 * predator]
    )


def double_well(x: np.ndarray, strength: float) -> np.ndarray:
    """Return the drift in two wells that the dose tilts, and of what follows them."""
    return np.column_stack([x[:, 0] - x[:, 0] ** 3 + 0.3 * strength, x[:, 0] - x[:, 1]])


# drift, centre and width of the first cells, noise, and time between snapshots
TASKS: dict[str, tuple[Callable[[np.ndarray, float], np.ndarray], float, float, float]] = {
    "lotka_volterra": (lotka_volterra, 0.3, 0.1, 0.8),
    "double_well": (double_well, 0.25, 0.2, 0.6),
}
CENTRES = {"lotka_volterra": (5.0, 4.0), "double_well": (0.0, 0.0)}


def study(task: str, *, n_doses: int, n_times: int, n_cells: int, seed: int) -> ad.AnnData:
    """Return cells of all combinations, none of them seen twice."""
    drift, width, sigma, gap = TASKS[task]
    rng = np.random.default_rng(seed)
    rows, states = [], []
    for k, strength in enumerate(np.linspace(-1, 1, n_doses)):
        for t in gap * np.arange(n_times):
            x = CENTRES[task] + width * rng.normal(size=(n_cells, 2))
            n_steps = round(t / 0.02)
            for _ in range(n_steps):
                step = t / n_steps
                x = x + step * drift(x, strength)
                x = x + sigma * step**0.5 * rng.normal(size=x.shape)
            states.append(x)
            rows += [(f"dose {k:02}", strength, round(float(t), 6))] * n_cells
    obs = pd.DataFrame(rows, columns=["condition", "dose", "time"])
    obs.index = [f"c{k}" for k in range(len(obs))]
    return ad.AnnData(np.concatenate(states).astype("float32"), obs=obs)


def missing(adata: ad.AnnData, *, share: float, seed: int) -> tuple[tuple[float, str], ...]:
    """Return combinations to leave out, so that each condition keeps a later time."""
    rng = np.random.default_rng(seed)
    pairs = adata.obs[["time", "condition"]].drop_duplicates()
    later = [tuple(one) for one in pairs[pairs["time"] > 0].to_numpy(dtype=object)]
    left = pairs[pairs["time"] > 0].groupby("condition").size().to_dict()
    chosen: list[tuple[float, str]] = []
    for k in rng.permutation(len(later)):
        t, name = later[k]
        if len(chosen) < round(share * len(pairs)) and left[name] > 1:
            left[name] -= 1
            chosen.append((float(t), str(name)))
    return tuple(sorted(chosen))


def with_others(
    adata: ad.AnnData, twin: ad.AnnData, pairs: tuple[tuple[float, str], ...]
) -> ad.AnnData:
    """Return the cells, with those of other draws in these combinations."""
    wanted = pd.MultiIndex.from_tuples(pairs)
    is_in = [
        pd.MultiIndex.from_frame(one.obs[["time", "condition"]]).isin(wanted)
        for one in (adata, twin)
    ]
    return ad.concat([adata[~is_in[0]], twin[is_in[1]]], index_unique="-")


def scores(
    task: str,
    seed: int,
    methods: Sequence[str],
    *,
    mmfm: tuple[str, Sequence[str]] | None = None,
    **sizes: int,
) -> pd.DataFrame:
    """Return held-out scores of these models, of all rows without one, and of MMFM.

    ``mmfm`` is its Python and the rows of it; None leaves it out.
    """
    drawn = partial(study, task, **sizes)
    adata = drawn(seed=seed)
    left_out = missing(adata, share=1 / 3, seed=seed)
    seconds: dict[str, float] = {}

    def timed(name: str, whole: ad.AnnData | None, options: dict[str, Any]) -> Any:
        def fit(cells: ad.AnnData, **given: Any) -> Any:
            start = time.process_time()
            arms = FIT(cells if whole is None else whole, **given | options)
            seconds[name] = time.process_time() - start
            tried = ", ".join(f"{own:g} {miss:.3f}" for own, miss in arms.candidates)
            print(f"{task} {seed} {name}: {arms.in_words}, own {arms.own} of {tried}", flush=True)
            return arms

        return fit

    by_dose = {"covariate_keys": ("dose",)}
    fits = {
        "arms": timed("arms", None, {}),
        "arms (dose)": timed("arms (dose)", None, by_dose),
        "seen": timed("seen", with_others(adata, drawn(seed=seed + 1000), left_out), {}),
    }
    table = ct.tl.cross_validate_arms(
        adata,
        condition_key="condition",
        hold_out=[left_out],
        fit={name: fits[name] for name in methods},
        seed=seed,
        progress=False,
    )
    parts = [table.assign(fit_cpu_s=table["method"].map(seconds))]
    if mmfm is not None:
        python, rows = mmfm
        parts.append(
            mmfm_scores(python, adata, left_out, seed, {name: ROWS[name] for name in rows})
        )
    found = pd.concat(parts, ignore_index=True)
    return found.assign(task=task, is_beyond=beyond(adata, left_out, found))


def beyond(
    adata: ad.AnnData, left_out: tuple[tuple[float, str], ...], records: pd.DataFrame
) -> np.ndarray:
    """Return which scores are of a time after all those of its condition in the training."""
    pairs = adata.obs[["time", "condition"]].drop_duplicates()
    kept = pairs[~pd.MultiIndex.from_frame(pairs).isin(list(left_out))]
    last = kept.groupby("condition")["time"].max()
    found: np.ndarray = (records["held_out"] > records["condition"].map(last)).to_numpy()
    return found


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """Return means over held-out combinations and seeds, with how much arms are ahead.

    ``between`` and ``beyond`` are W1 where the condition was seen later, and where it was not;
    ``trained`` is W1 at combinations that were trained on, where that is known.
    """
    w1 = records[records["metric"] == "W1"]
    cases = w1.pivot_table(
        index=["task", "seed", "held_out", "condition"], columns="method", values="value"
    )
    at_training = records[records["metric"] == "W1_trained"]
    trained = at_training.groupby(["task", "method"])["value"].mean()
    seconds = w1.groupby(["task", "method"])["fit_cpu_s"].mean()
    where = w1.pivot_table(index=["task", "method"], columns="is_beyond", values="value")
    rows = []
    for task, part in cases.groupby(level="task"):
        floor = part["floor"].mean()
        seen = part["seen"].mean() if "seen" in part else math.nan
        for name in part:
            gain = (part[name] - part["arms"]).dropna()
            error = gain.std() / len(gain) ** 0.5
            rows.append(
                {
                    "task": task,
                    "method": name,
                    "W1": part[name].mean(),
                    "excess": part[name].mean() - floor,
                    "over_seen": part[name].mean() / seen,
                    "behind_arms": gain.mean(),
                    "error": error,
                    "n": len(gain),
                    "between": where.get(False, {}).get((task, name), math.nan),
                    "beyond": where.get(True, {}).get((task, name), math.nan),
                    "trained": trained.get((task, name), math.nan),
                    "fit_cpu_s": seconds.get((task, name), math.nan),
                }
            )
    return pd.DataFrame(rows).set_index(["task", "method"])


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    options = parser(__doc__)
    options.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    options.add_argument("--doses", type=int, default=DOSES)
    options.add_argument("--times", type=int, default=TIMES)
    options.add_argument("--cells", type=int, default=100)
    options.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    options.add_argument("--mmfm", metavar="PYTHON", help="a Python for MMFM; set MMFM_HOME too")
    options.add_argument("--mmfm-rows", nargs="+", choices=list(ROWS), default=list(PUBLISHED))
    add_seeds(options)
    chosen = options.parse_args(argv)
    mmfm = (chosen.mmfm, chosen.mmfm_rows) if chosen.mmfm else None
    sizes = {"n_doses": chosen.doses, "n_times": chosen.times, "n_cells": chosen.cells}
    parts: list[pd.DataFrame] = []
    for seed in chosen.seeds:
        for task in chosen.tasks:
            parts.append(scores(task, seed, chosen.methods, mmfm=mmfm, **sizes))
            records = pd.concat(parts, ignore_index=True)
            report("designs_arms", records, summary(records), chosen.out)


if __name__ == "__main__":
    main()
