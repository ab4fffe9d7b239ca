"""What a second process is worth: couplings of five snapshots here, and on a cluster of this machine.

The cells are those of ``benchmarks/scale.py``. ``ct.tl.couplings`` solves its gaps one after the
other in this process on one thread, then on a ``dask.distributed.LocalCluster`` of ``--workers``
processes of one thread each, which have compiled their functions on a small table before. What
counts are seconds of a clock, cells sent to workers and plans sent back included, so that nothing
else should run beside it. The potentials of both must be the same bits.
"""

from __future__ import annotations

import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import torch
from anndata import AnnData

import celltraj as ct
from benchmarks._report import parser, report
from benchmarks.scale import SILENT, cells

WARM = 700  # cells a time, enough for draws of strata


def coupled(adata: AnnData) -> tuple[float, AnnData]:
    """Return the seconds that couplings of these cells take, and their copy that holds them."""
    begun = time.perf_counter()
    ct.tl.couplings(adata, growth=None, **SILENT)
    return time.perf_counter() - begun, adata


def same(here: AnnData, there: AnnData) -> bool:
    """Return whether both hold the same potentials, weights and masses, bit for bit."""
    return np.array_equal(here.obsm["couplings"], there.obsm["couplings"], equal_nan=True)


def run(n: int, n_workers: int) -> list[dict[str, object]]:
    """Return the seconds of one process and of a cluster on ``n`` cells a time."""
    from dask.distributed import Client, LocalCluster

    torch.set_num_threads(1)
    coupled(cells(WARM))
    alone, here = coupled(cells(n))
    with LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=None) as cluster:
        with Client(cluster), joblib.parallel_config(backend="dask"):
            coupled(cells(WARM))
            together, there = coupled(cells(n))
    rows = [("one process", alone), (f"{n_workers} workers", together)]
    equal = same(here, there)
    return [
        {"n": n, "where": where, "seconds": s, "faster": alone / s, "same": equal}
        for where, s in rows
    ]


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    options = parser(__doc__)
    options.add_argument("--sizes", type=int, nargs="+", default=[200_000], help="cells a time")
    options.add_argument("--workers", type=int, default=2, help="processes of the cluster")
    chosen = options.parse_args(argv)
    chosen.out.mkdir(parents=True, exist_ok=True)
    out: Path = chosen.out
    found = pd.DataFrame([row for n in chosen.sizes for row in run(n, chosen.workers)])
    report("speed_up", found, found.set_index(["n", "where"]), out)


if __name__ == "__main__":
    main()
