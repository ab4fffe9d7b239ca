"""Coverage of intervals for populations that nobody was told of, beside what they promise.

``kang``: every donor in turn is new, and the other seven are calibrated by jackknife+ (each pair of
donors is left out by one fit, which serves both). ``simulated``: populations whose cells interact;
24 teach the response, 16 calibrate it (split conformal), 40 are new. ``coverage`` is the share of
readouts (shift of a mean, share above a gate) that lie within their interval, ``worst`` that of the
population with the least, ``width`` the mean width of an interval over the standard deviation of
the readout between populations, ``n`` how many readouts there were. With ``n`` calibrated
populations the promise is ``confidence`` for ``split``, and ``2 confidence - 1`` for jackknife+.
"""

from __future__ import annotations

import itertools
from typing import Any

import pandas as pd
import torch
from anndata import AnnData

import celltraj as ct
from benchmarks._report import add_seeds, parser, report
from celltraj.models.evaluation import Prediction, Reading

CONFIDENCE = 0.8
_LEARN, _CALIBRATE, _NEW = 24, 16, 40
_KEYS = ["population", "readout", "variable"]
KANG: dict[str, Any] = {
    "population_key": "donor",
    "condition_key": "condition",
    "control": "CTRL",
    "use_rep": "X",
}
INTERACTING: dict[str, Any] = {
    "population_key": "population",
    "condition_key": "condition",
    "control": "before",
    "use_rep": "X",
}


def _fit(adata: AnnData, seed: int, steps: int | None, **keys: Any) -> Any:
    training = ct.models.Training(max_steps=steps)
    return ct.tl.fit_response(
        adata.copy(), training=training, seed=seed, progress=False, key_added="response", **keys
    )


def kang(adata: AnnData, seed: int, steps: int | None) -> pd.DataFrame:
    """Return the intervals of each donor, found by fits without it and another one."""
    names = adata.obs["donor"].astype(str)
    donors, models = sorted(names.unique()), {}
    for one, other in itertools.combinations(donors, 2):
        models[one, other] = _fit(adata[~names.isin([one, other])], seed, steps, **KANG)
        print(f"fitted without {one}, {other}", flush=True)
    parts = []
    for new in donors:
        folds = {d: models[min(d, new), max(d, new)] for d in donors if d != new}
        parts.append(
            ct.tl.response_intervals(
                adata, folds, condition="STIM", confidence=CONFIDENCE, seed=seed, progress=False
            )
        )
    return pd.concat(parts, ignore_index=True)


def simulated(seed: int, steps: int | None, *, n_cells: int = 200) -> pd.DataFrame:
    """Return the intervals of forty new populations; their treated cells only judge."""
    n = _LEARN + _CALIBRATE + _NEW
    adata = ct.datasets.interacting_populations(n_populations=n, n_cells=n_cells, seed=seed)
    names = pd.unique(adata.obs["population"].astype(str))
    learned, new = names[:_LEARN], names[_LEARN + _CALIBRATE :]
    of = adata.obs["population"].astype(str)
    model = _fit(adata[of.isin(learned)], seed, steps, **INTERACTING)
    is_answer = of.isin(new) & (adata.obs["condition"] == "after")
    found = ct.tl.response_intervals(
        adata[~is_answer].copy(),
        model,
        condition="after",
        confidence=CONFIDENCE,
        seed=seed,
        progress=False,
    )
    answers = _observed(adata[of.isin(new)].copy(), model)
    return found.drop(columns="observed").merge(answers, on=_KEYS, validate="one_to_one")


def _observed(adata: AnnData, model: Any) -> pd.DataFrame:
    """Return what the treated cells of populations show, read as intervals read it."""
    reading = Reading(model.source.variables)
    rows = []
    for name, obs in adata.obs.groupby("population", observed=True):
        x = adata[obs.index].X
        is_after = (obs["condition"] == "after").to_numpy()
        shown = reading.of(x[~is_after], Prediction(x[is_after]))
        rows += [(str(name), what.kind, what.variable, value) for what, value in shown.items()]
    return pd.DataFrame(rows, columns=[*_KEYS, "observed"])


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """Return coverage by task, of readouts and of the worst population, and relative widths."""
    is_in = records["observed"].between(records["low"], records["high"])
    records = records.assign(held=is_in, width=records["high"] - records["low"])
    spread = records.groupby(["task", "seed", "readout", "variable"])["observed"].transform("std")
    records = records.assign(relative=records["width"] / spread)
    rows = []
    for task, part in records.groupby("task"):
        by_population = part.groupby(["seed", "population"])["held"].mean()
        rows.append(
            {
                "task": task,
                "method": part["method"].iloc[0],
                "calibrated": part["n_populations"].iloc[0],
                "coverage": part["held"].mean(),
                "error": by_population.sem(),
                "worst": by_population.min(),
                "width": part["relative"].mean(),
                "n": len(part),
            }
        )
    return pd.DataFrame(rows).set_index("task")


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    options = parser(__doc__)
    options.add_argument("--tasks", nargs="+", choices=("kang", "simulated"), default=["simulated"])
    options.add_argument("--steps", type=int, help="of each fit, in place of the default")
    add_seeds(options)
    chosen = options.parse_args(argv)
    parts: list[pd.DataFrame] = []
    for seed in chosen.seeds:
        for task in chosen.tasks:
            parts.append(_intervals(task, seed, chosen.steps).assign(task=task, seed=seed))
            records = pd.concat(parts, ignore_index=True)
            report("response_coverage", records, summary(records), chosen.out)


def _intervals(task: str, seed: int, steps: int | None) -> pd.DataFrame:
    if task == "kang":
        return kang(ct.datasets.kang_pca5(), seed, steps)
    return simulated(seed, steps)


if __name__ == "__main__":
    main()
