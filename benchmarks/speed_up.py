"""What a second process is worth: couplings here, and on a cluster of two on this machine.

The cells are those of ``benchmarks/scale.py``, at ``--times`` times. ``ct.tl.couplings`` solves its
gaps one after the other in this process on one thread, then on a ``dask.distributed.LocalCluster``
of ``--workers`` processes of one thread each, which have compiled their functions on a small table
before; of two times, the only gap is solved by strata. What counts are seconds of a clock, cells
sent to workers and plans sent back included, so that nothing else should run beside it. The
potentials of both must be the same bits.

What the machine itself allows is measured beside it: as many processes, that know nothing of each
other, each couple all cells at once. Where cores share a memory bus each takes longer than alone.
"""

from __future__ import annotations

import time
from multiprocessing import get_context
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from dask.distributed import Client, LocalCluster

import celltraj as ct
from benchmarks._report import parser, report
from benchmarks.scale import SILENT, cells

WARM = 700  # cells a time, enough for draws of strata


def coupled(adata: AnnData) -> tuple[float, AnnData]:
    """Return the seconds that couplings of these cells take, and their copy that holds them."""
    begun = time.perf_counter()
    ct.tl.couplings(adata, growth=None, **SILENT)
    return time.perf_counter() - begun, adata


def first_times(n: int, n_times: int) -> AnnData:
    """Return ``n`` cells at each of the first times."""
    adata = cells(n)
    return adata[adata.obs["time"] < n_times].copy()


def beside(barrier: Barrier, n: int, n_times: int, seconds: Queue) -> None:
    """Put the seconds of one of several processes that couple the same cells at once."""
    torch.set_num_threads(1)
    coupled(cells(WARM))
    adata = first_times(n, n_times)
    barrier.wait()
    seconds.put(coupled(adata)[0])


def ceiling(alone: float, n: int, n_times: int, n_workers: int) -> float:
    """Return how much faster independent processes are than one after the other."""
    spawn = get_context("spawn")
    barrier, seconds = spawn.Barrier(n_workers), spawn.Queue()
    arguments = (barrier, n, n_times, seconds)
    processes = [spawn.Process(target=beside, args=arguments) for _ in range(n_workers)]
    for process in processes:
        process.start()
    slowest = max(seconds.get() for _ in processes)
    for process in processes:
        process.join()
    return n_workers * alone / slowest


def run(n: int, n_times: int, n_workers: int) -> dict[str, object]:
    """Return the seconds of one process and of a cluster on ``n`` cells a time."""
    torch.set_num_threads(1)
    coupled(cells(WARM))
    alone, here = coupled(first_times(n, n_times))
    options = {"n_workers": n_workers, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**options) as cluster, Client(cluster), joblib.parallel_config("dask"):
        coupled(cells(WARM))
        together, there = coupled(first_times(n, n_times))
    one, other = (adata.obsm["couplings"] for adata in (here, there))
    return {
        "n": n,
        "times": n_times,
        "one_s": alone,
        "cluster_s": together,
        "faster": alone / together,
        "ceiling": ceiling(alone, n, n_times, n_workers),
        "same": np.array_equal(one, other, equal_nan=True),
    }


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    options = parser(__doc__)
    options.add_argument("--sizes", type=int, nargs="+", default=[200_000], help="cells a time")
    options.add_argument("--times", type=int, nargs="+", default=[5, 2], help="of five")
    options.add_argument("--workers", type=int, default=2, help="processes of the cluster")
    chosen = options.parse_args(argv)
    out: Path = chosen.out
    rows = [run(n, t, chosen.workers) for n in chosen.sizes for t in chosen.times]
    found = pd.DataFrame(rows)
    report("speed_up", found, found.set_index(["n", "times"]), out)


if __name__ == "__main__":
    main()
