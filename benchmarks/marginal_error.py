"""Simulate a fitted bridge through all snapshots and compare with the cells it was given.

From the cells of the first snapshot to every later one; W1 to the training snapshot divided by the
floor between random halves of that snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import torch
from anndata import AnnData

import celltraj as ct
from benchmarks._report import add_seeds, mean_and_error, parser, report
from benchmarks.data import load_present, thin
from celltraj.models import Training

DATA = ["eb_pca5", "hesc_pca5", "lotka_volterra", "eb_phate2d"]
DRIFTS = {"neural": Training(), "plug_in": None}
MAX_CELLS = 1000


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    options = parser(__doc__)
    options.add_argument("--data", nargs="+", choices=DATA, default=DATA)
    add_seeds(options)
    chosen = options.parse_args(argv)
    for name, adata in load_present(chosen.data).items():
        records = pd.DataFrame(
            {"drift": drift, "seed": seed} | record
            for seed in chosen.seeds
            for drift in DRIFTS
            for record in marginal_errors(thin(adata, MAX_CELLS, seed=seed), drift, seed)
        )
        table = records.groupby(["drift", "time"])["ratio"].apply(mean_and_error).unstack()
        report(f"marginal_error_{name}", records, table, chosen.out)


def marginal_errors(adata: AnnData, drift: str, seed: int) -> Iterator[dict]:
    """Yield W1, floor and their ratio at each time after the first."""
    bridge = ct.tl.fit_bridge(adata, training=DRIFTS[drift], seed=seed, progress=False)
    observed = bridge.snapshots
    path = ct.models.simulate(
        bridge, observed.x[0], observed.times, generator=torch.Generator().manual_seed(seed)
    )
    for time, simulated, cells in zip(path.times[1:], path.x[1:], observed.x[1:], strict=True):
        distance = ct.metrics.wasserstein(simulated.numpy(), cells.numpy())
        floor = ct.metrics.split_half_floor(cells.numpy(), seed=seed)
        yield {"time": time, "W1": distance, "floor": floor, "ratio": distance / floor}


if __name__ == "__main__":
    main()
