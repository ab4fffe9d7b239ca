"""Couple two slices by moscot's ``SpatioTemporalProblem``, in the Python that has it.

Klein et al., *Mapping cells through time and space with moscot* (2025). ``python -m
benchmarks.peers_space CELLS FOUND`` reads features ``x``, ``y``, places ``u``, ``v`` and ``alpha``,
``epsilon``, ``tau_a`` from an ``.npz`` file and writes the plan and the CPU seconds of a second
call, once all is compiled. All else is moscot's default.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

# before jax, which reads them once
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import numpy as np


def couple(given: dict[str, np.ndarray]) -> np.ndarray:
    """Return moscot's plan ``(n, m)``."""
    import pandas as pd
    from anndata import AnnData
    from moscot.problems.spatiotemporal import SpatioTemporalProblem

    x, y, u, v = (given[name] for name in ("x", "y", "u", "v"))
    times = pd.Categorical(np.repeat([0.0, 1.0], [len(x), len(y)]))
    obs = pd.DataFrame({"time": times}, index=np.arange(len(times)).astype(str))
    adata = AnnData(np.concatenate([x, y]), obs=obs)
    adata.obsm["cells"], adata.obsm["spatial"] = adata.X, np.concatenate([u, v])
    problem = SpatioTemporalProblem(adata)
    problem = problem.prepare(time_key="time", spatial_key="spatial", joint_attr="cells")
    options = {name: float(given[name]) for name in ("alpha", "epsilon", "tau_a")}
    solved = problem.solve(**options)
    return np.asarray(solved[0.0, 1.0].solution.transport_matrix, dtype=float)


def main(argv: list[str]) -> None:
    """Couple the slices of one file and write the plan to another."""
    cells, found = map(Path, argv)
    with np.load(cells) as file:
        given = dict(file)
    couple(given)  # compiles
    start = time.process_time()
    plan = couple(given)
    np.savez(found, plan=plan, cpu_s=time.process_time() - start)


if __name__ == "__main__":
    main(sys.argv[1:])
