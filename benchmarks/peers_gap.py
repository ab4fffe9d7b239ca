"""Couple one gap by a stranger's solver, in the Python that has it, which needs no celltraj.

moscot: Klein et al., *Mapping cells through time and space with moscot* (2025); OTT's low-rank
Sinkhorn: Scetbon et al., *Low-rank Sinkhorn factorization* (2021). ``python -m benchmarks.peers_gap
NAME CELLS FOUND`` reads ``x``, ``y`` and ``epsilon``, a share of the mean cost, from an ``.npz``
file and writes the sums of the plan to another: whoever asked finds out how far they are off.
Threshold and iterations are the defaults of each program. Plans of low rank have their own default
epsilon: there it is that of the factors, and at the one of the plan all cells go everywhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

# before jax, which reads them once
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import numpy as np

from benchmarks._apart import twice

RANK = 50  # of low-rank plans; their time grows with it, and so does what they tell apart
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]  # P 1, P' 1 and P y
Solve = Callable[[np.ndarray, np.ndarray, float], Callable[[], Arrays]]


def _by_moscot(rank: int = -1, own_epsilon: float | None = None) -> Solve:
    """Return what solves by a ``TemporalProblem`` and, asked again, sums its plan."""
    import pandas as pd
    from anndata import AnnData
    from moscot.problems.time import TemporalProblem

    def solve(x: np.ndarray, y: np.ndarray, epsilon: float) -> Callable[[], Arrays]:
        times = pd.Categorical(np.repeat([0.0, 1.0], [len(x), len(y)]))
        obs = pd.DataFrame({"time": times}, index=np.arange(len(times)).astype(str))
        adata = AnnData(np.concatenate([x, y]), obs=obs)
        adata.obsm["cells"] = adata.X
        problem = TemporalProblem(adata).prepare(time_key="time", joint_attr="cells")
        epsilon = epsilon if own_epsilon is None else own_epsilon
        plan = problem.solve(epsilon=epsilon, rank=rank)[0.0, 1.0].solution
        ones = [np.ones(len(z), dtype=x.dtype) for z in (x, y)]
        return lambda: tuple(
            map(np.asarray, (plan.pull(ones[1]), plan.push(ones[0]), plan.pull(y)))
        )

    return solve


def _by_ott_low_rank() -> Solve:
    import jax
    from ott.geometry.pointcloud import PointCloud
    from ott.problems.linear.linear_problem import LinearProblem
    from ott.solvers.linear.sinkhorn_lr import LRSinkhorn

    solver = jax.jit(LRSinkhorn(rank=RANK))

    def solve(x: np.ndarray, y: np.ndarray, epsilon: float) -> Callable[[], Arrays]:
        plan = solver(LinearProblem(PointCloud(x, y, scale_cost="mean")))
        plan.g.block_until_ready()
        ones = [np.ones((1, len(z)), dtype=x.dtype) for z in (x, y)]
        return lambda: (
            np.asarray(plan.apply(ones[1], axis=1))[0],
            np.asarray(plan.apply(ones[0], axis=0))[0],
            np.asarray(plan.apply(y.T, axis=1)).T,
        )

    return solve


SOLVERS: dict[str, Callable[[], Solve]] = {
    "moscot": _by_moscot,
    f"moscot, rank {RANK}": lambda: _by_moscot(RANK, 1e-3),
    f"OTT low-rank Sinkhorn, rank {RANK}": _by_ott_low_rank,
}


def main(argv: list[str]) -> None:
    """Solve what is in one file, and write what was found to another."""
    name, given, found = argv
    solve = SOLVERS[name]()
    cells = np.load(Path(given))
    x, y, epsilon = cells["x"], cells["y"], float(cells["epsilon"])
    solve(x[:60], y[:60], epsilon)  # imports are not what grows
    sums, cost = twice(lambda: solve(x, y, epsilon))
    rows, columns, carried = sums()
    np.savez(Path(found), rows=rows, columns=columns, carried=carried, **cost)


if __name__ == "__main__":
    main(sys.argv[1:])
