"""What the fit of a response costs as patients, drugs and doses grow: CPU seconds and memory.

``n`` patients, each with untreated cells, and ``n_drugs`` drugs at one of three doses, by turns, or
at each of them. Cells lie around a place of their patient in ``d`` variables and are moved by their
drug, the more the higher its dose. 300 patients under 20 drugs with 60 untreated and 30 treated
cells are 198,000 cells of 6,000 treated samples, which is the size of a large screen. Each size is
fitted in a process of its own, on one thread; ``--steps`` shortens the training and leaves the
rest as it is, and a row is written as soon as it is known. Memory is the peak above what the
process held after import, cells included. The slope is the power of the number of treatments.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

import celltraj as ct
from benchmarks._apart import Meter, apart
from benchmarks._report import parser, report

DOSES = (0.1, 1.0, 10.0)
N_UNTREATED, N_TREATED, N_VARIABLES = 60, 30, 20


def screen(n_patients: int, n_drugs: int, *, every_dose: bool = False, seed: int = 0) -> AnnData:
    """Return patients under drugs, each at one dose by turns or at every dose."""
    rng = np.random.default_rng(seed)
    drug, dose = (values.ravel() for values in np.indices((n_drugs, len(DOSES))))
    place = rng.normal(size=(n_patients, N_VARIABLES))
    shift = 2 * rng.normal(size=(n_drugs, N_VARIABLES)) / np.sqrt(N_VARIABLES)
    patients, drugs, doses = [], [], []
    for k in range(n_patients):
        given = np.ones(len(drug), dtype=bool) if every_dose else (drug + k) % len(DOSES) == dose
        counts = np.r_[N_UNTREATED, np.full(given.sum(), N_TREATED)]
        patients.append(np.full(counts.sum(), k))
        drugs.append(np.repeat(np.r_[-1, drug[given]], counts))
        doses.append(np.repeat(np.r_[np.nan, np.array(DOSES)[dose[given]]], counts))
    who, what, much = (np.concatenate(parts) for parts in (patients, drugs, doses))
    effect = np.where(what < 0, 0.0, much / (1 + much))[:, None]
    x = place[who] + rng.normal(size=(len(who), N_VARIABLES)) + effect * shift[what]
    names = np.array([*(f"drug {k}" for k in range(n_drugs)), "control"])  # -1 is the last
    obs = pd.DataFrame(
        {"patient": pd.Categorical(who.astype(str)), "drug": names[what], "dose": much},
        index=np.arange(len(who)).astype(str),
    )
    return AnnData(x.astype(np.float32), obs=obs)


def costs(size: tuple[int, int], steps: int | None, every_dose: bool) -> dict[str, object]:  # noqa: FBT001
    """Return what one fit costs in this process, and what predicting one patient does."""
    fit: Callable[..., Any] = partial(
        ct.tl.fit_response,
        population_key="patient",
        condition_key="drug",
        control="control",
        dose_key="dose",
        use_rep="X",
        progress=False,
    )
    fit(screen(2, 2), training=ct.models.Training(max_steps=2))  # what is compiled does not grow
    meter, adata = Meter(), screen(*size, every_dose=every_dose)
    model, cost = meter(lambda: fit(adata, training=ct.models.Training(max_steps=steps)))
    new = screen(1, 1, seed=1)
    asked = ct.models.Condition(("drug 0",), (1.0,))
    _, told = meter(lambda: ct.tl.predict_response(new, model, condition=asked, progress=False))
    treatments = adata.obs.loc[adata.obs["drug"] != "control"]
    return {
        "patients": size[0],
        "drugs": size[1],
        "treatments": len(treatments.drop_duplicates()),
        "cells": adata.n_obs,
        "steps": len(model.losses),
        **cost,
        "predict_cpu_s": told["cpu_s"],
    }


def table(records: pd.DataFrame) -> pd.DataFrame:
    """Return what each size costs, and the power of the treatments by which it grew."""
    found = records.sort_values(["steps", "treatments"]).reset_index(drop=True)
    by = found.groupby("steps", sort=False)
    grown = [np.log(found[name] / by[name].shift()) for name in ("cpu_s", "treatments")]
    found["slope"] = grown[0] / grown[1]
    shown = ["cells", "cpu_s", "above_gb", "peak_gb", "predict_cpu_s", "slope"]
    return found.set_index(["treatments", "steps"])[shown]


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    options = parser(__doc__)
    options.add_argument("--patients", type=int, nargs="+", default=[30, 100, 300])
    options.add_argument("--drugs", type=int, default=20)
    options.add_argument("--steps", type=int, help="of the training; by default those of a fit")
    options.add_argument("--every-dose", action="store_true", help="each drug at all three doses")
    chosen = options.parse_args(argv)
    chosen.out.mkdir(parents=True, exist_ok=True)
    file: Path = chosen.out / "response_size.csv"
    known = [pd.read_csv(file)] if file.exists() else []
    for n in chosen.patients:
        row = apart(costs, (n, chosen.drugs), chosen.steps, chosen.every_dose)
        known.append(pd.DataFrame([row]))
        print(known[-1].to_string(index=False), flush=True)
        pd.concat(known, ignore_index=True).to_csv(file, index=False)
    records = pd.concat(known, ignore_index=True)
    report("response_size", records, table(records), chosen.out)


if __name__ == "__main__":
    main()
