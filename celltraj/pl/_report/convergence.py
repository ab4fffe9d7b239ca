"""How far solvers and trainings came, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import COUPLINGS, convergence_of
from celltraj.models.own_snapshots import FURTHEST, Passage


def convergence_table(adata: AnnData, key: str, record: Mapping[str, Any]) -> pd.DataFrame | None:
    """Return one row for each gap, None of what has no gaps."""
    field = "gaps" if record["kind"] == COUPLINGS.kind else "convergence"
    return convergence_of(adata, key).dropna(axis=1, how="all") if field in record else None


def convergence_in_words(key: str, table: pd.DataFrame) -> Iterator[str]:
    """Say whether solvers reached their tolerance, and whether the law meets its snapshots."""
    if "converged" in table:
        n = int(table["converged"].astype(bool).sum())
        worst = f"; largest marginal error {table['marginal_error'].max():.1e}"
        yield f"“{key}”: the solver converged in {n} of {len(table)} gaps{worst}."
    elif "n_iters" not in table and "W1" not in table:
        yield f"“{key}”: how it was computed is not known here, as of plans of other packages."
    if passages := _passages(table):
        n = sum(one.is_met for one in passages)
        yield (
            f"“{key}”: cells simulated from the first snapshot meet {n} of the {len(passages)} "
            f"later ones, that is, they are at most {FURTHEST:g} x as far (W1) from its cells as "
            "random halves of these are from each other (floor), and at least half of them carry "
            "the mass (effective)."
        )


def missed_in_words(key: str, table: pd.DataFrame) -> Iterator[str]:
    """Say which gaps deserve a warning."""
    if "converged" in table:
        for gap in table[~table["converged"].astype(bool)].itertuples():
            yield (
                f"“{key}”: the solver did not converge between {gap.t0:g} and {gap.t1:g}; its "
                f"marginal error is {gap.marginal_error:.1e}"
            )
    for one in _passages(table):
        if not one.is_met:
            yield (
                f"“{key}” does not pass through its own snapshot at {one.time:g}: simulated cells "
                f"are {one.ratio:.2g} x as far from it as its random halves from each other, and "
                f"{one.effective:.0%} of them carry the mass"
            )


def losses_in_words(key: str, history: pd.DataFrame) -> str:
    """Say how the loss fell: means of its first and its last tenth."""
    tenth = max(1, len(history) // 10)
    first, last = history["loss"].iloc[:tenth].mean(), history["loss"].iloc[-tenth:].mean()
    return (
        f"“{key}”: the training loss went from {first:.4g} to {last:.4g}, means of the first and "
        f"the last {tenth:,} of {len(history):,} steps."
    )


def _passages(table: pd.DataFrame) -> list[Passage]:
    """Return how the law met its snapshots, none where that was not asked."""
    needed = ("t1", "W1", "floor", "effective")
    if any(name not in table for name in needed):
        return []
    return [Passage(*map(float, row)) for row in table[[*needed]].itertuples(index=False)]
