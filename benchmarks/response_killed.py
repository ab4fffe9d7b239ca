"""Share killed in a line that was never treated, beside the truth of a simulated screen.

One drug of ``ct.datasets.drug_screen`` kills cells of one state, the more the higher its dose, so
that a line loses as many cells as it has of that state. Each line is left out in turn; what is
counted are the cells that the screen left. Rows: the response with ``survival_key``, under balanced
and unbalanced couplings; the geometric mean over the lines of the training; nobody killed. The
error is the mean absolute one over lines and doses, and ``bias`` the mean; the truth is that of the
state of each untreated cell and has no sampling error, the counts of the training have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

import celltraj as ct
from benchmarks._report import add_seeds, parser, report
from celltraj.ot import Solver

KEYS: dict[str, Any] = {
    "population_key": "population",
    "condition_key": ["drug_1", "drug_2"],
    "dose_key": ["dose_1", "dose_2"],
    "control": "control",
}
COUPLINGS: dict[str, Solver] = {"unbalanced": ct.ot.Unbalanced(), "balanced": ct.ot.solve}


def counted(seed: int, n_lines: int) -> AnnData:
    """Return a screen of single drugs with the number of cells of every sample."""
    adata = ct.datasets.drug_screen(n_lines=n_lines, n_drugs=4, n_cells=150, n_vars=5, seed=seed)
    adata = adata[adata.obs["drug_2"].isna()].copy()
    sample = ["population", "drug_1", "dose_1"]
    by = adata.obs.groupby(sample, observed=True, dropna=False)
    adata.obs["count"] = by["state"].transform("size").astype(float)
    return adata


def truth(adata: AnnData, line: str, dose: float) -> float:
    """Return the share of the untreated cells of a line that the killing drug kills."""
    law = adata.uns["truth"]
    drug = list(law["drugs"]).index(law["killing_drug"])
    effect = 1 / (1 + (law["half_dose"][drug] / dose) ** law["hill"][drug])
    own = (adata.obs["population"] == line) & (adata.obs["drug_1"] == "control")
    return float(
        law["killed_share"] * effect * (adata.obs["state"][own] == law["killed_state"]).mean()
    )


def records(seed: int, n_lines: int, steps: int) -> Iterator[dict[str, object]]:
    """Yield predicted and true shares for each line left out and each dose."""
    adata = counted(seed, n_lines)
    drug = adata.uns["truth"]["killing_drug"]
    doses = sorted(adata.obs.loc[adata.obs["drug_1"] == drug, "dose_1"].unique())
    asked = [ct.models.Condition((drug,), (float(dose),)) for dose in doses]
    for line in adata.obs["population"].unique():
        kept = adata[adata.obs["population"] != line].copy()
        new = adata[(adata.obs["population"] == line) & (adata.obs["drug_1"] == "control")].copy()
        found = {"nobody": np.zeros(len(doses)), "geometric mean": _mean(kept, drug, doses)}
        for name, coupling in COUPLINGS.items():
            model = ct.tl.fit_response(
                kept.copy(),
                **KEYS,
                options=ct.models.ResponseOptions(survival_key="count", coupling=coupling),
                training=ct.models.Training(max_steps=steps),
                seed=seed,
                progress=False,
            )
            told = ct.tl.predict_response(new, model, condition=asked, progress=False)
            found[f"response, {name}"] = ct.get.killed(told)["killed"].to_numpy()
        for name, values in found.items():
            for dose, value in zip(doses, values, strict=True):
                yield {
                    "seed": seed,
                    "line": line,
                    "dose": dose,
                    "method": name,
                    "killed": value,
                    "truth": truth(adata, line, dose),
                }


def _mean(adata: AnnData, drug: str, doses: list[float]) -> np.ndarray:
    """Return the share killed by the geometric mean of the survival of the lines of a training."""
    usual = adata.obs[adata.obs["drug_1"] == "control"].groupby("population", observed=True)
    treated = adata.obs[adata.obs["drug_1"] == drug]
    lived = treated.groupby(["dose_1", "population"], observed=True)["count"].first().unstack()
    survival = np.exp(np.log(lived / usual["count"].first()).mean(axis=1)).loc[doses]
    return np.asarray(1 - survival, dtype=float)


def table(records: pd.DataFrame) -> pd.DataFrame:
    """Return the errors of each method, with the standard error over lines."""
    found = records.assign(miss=records["killed"] - records["truth"])
    found["error"] = found["miss"].abs()
    by_line = found.groupby(["method", "seed", "line"])[["error", "miss"]].mean()
    by = by_line.groupby("method")
    return pd.DataFrame(
        {"error": by["error"].mean(), "se": by["error"].sem(), "bias": by["miss"].mean()}
    )


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    options = parser(__doc__)
    options.add_argument("--lines", type=int, default=8)
    options.add_argument("--steps", type=int, default=3000)
    add_seeds(options)
    chosen = options.parse_args(argv)
    rows = [row for seed in chosen.seeds for row in records(seed, chosen.lines, chosen.steps)]
    found = pd.DataFrame(rows)
    report("response_killed", found, table(found), chosen.out)


if __name__ == "__main__":
    main()
