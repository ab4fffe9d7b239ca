"""Entropic transport against POT, OTT and regot: CPU seconds to an L1 marginal error, one thread.

Costs are squared distances of 30-dimensional clouds of 12 unequal clusters, divided by their mean;
``images`` and ``random`` are the three problems of Tang et al. (2024). Solvers that run Sinkhorn's
own sequence of sweeps are timed as sweeps needed x seconds per sweep, both measured here (``~``:
sweeps extrapolated from the rate at the cap). The others run, capped; a blank is a failure. Peers
that are not installed are left out. ``--growth`` instead measures time and memory with size.
"""

from __future__ import annotations

import itertools
import math
import os
import resource
import time
from collections.abc import Callable, Iterator

# before the libraries that read it are loaded
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import numpy as np
import ot as pot
import pandas as pd
import torch

from benchmarks._report import add_seeds, parser, report
from celltraj.ot import Balanced, DenseCost, SolverStats, SquaredEuclidean
from celltraj.ot._dual import Dual
from celltraj.ot._problem import Problem

try:
    import jax
    import jax.numpy as jnp
    from ott.geometry import geometry
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import acceleration, sinkhorn

    jax.config.update("jax_enable_x64", True)  # noqa: FBT003
except ImportError:
    jax = None
try:
    import regot
except ImportError:
    regot = None

TOLERANCES = (1e-6, 1e-9)
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]  # cost, a, b
Seconds = dict[float, float | None]


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    options = parser(__doc__)
    options.add_argument("--sizes", type=int, nargs="+", default=[1000])
    options.add_argument("--epsilons", type=float, nargs="+", default=[0.05, 0.01, 0.002, 0.0005])
    options.add_argument("--problems", nargs="+", default=["uniform", "lognormal"])
    options.add_argument("--cap", type=float, default=5.0, help="seconds a peer may take")
    options.add_argument("--growth", action="store_true")
    add_seeds(options)
    chosen = options.parse_args(argv)
    torch.set_num_threads(1)
    if chosen.growth:
        records = pd.DataFrame(grow(chosen.sizes, chosen.epsilons))
        report("ot_growth", records, slopes(records), chosen.out)
        return
    cases = itertools.product(chosen.problems, chosen.sizes, chosen.epsilons, chosen.seeds)
    records = pd.DataFrame(row for case in cases for row in compare(*case, cap=chosen.cap))
    ours = records[records.solver == "celltraj"].drop(columns=["solver", "extrapolated"])
    keys = ["problem", "n", "epsilon", "seed", "tol"]
    records = records.merge(ours, on=keys, suffixes=("", "_ours"))
    records["ratio"] = records.seconds / records.seconds_ours
    means = records.groupby(["tol", "solver", "epsilon"])[["seconds", "ratio"]].mean()
    report("ot", records, means.unstack("epsilon"), chosen.out)


def compare(name: str, n: int, epsilon: float, seed: int, *, cap: float) -> Iterator[dict]:
    """Yield the CPU seconds of every solver to every tolerance on one problem."""
    arrays = problem(name, n, seed)
    sweeps, extrapolated = count_sweeps(*arrays, epsilon, cap)
    timed: dict[str, Seconds] = {"celltraj": run(ours, arrays, epsilon, cap)}
    for solver, per_sweep in seconds_per_sweep(arrays, epsilon).items():
        timed[solver] = {
            tol: None if per_sweep is None or sweeps[tol] is None else per_sweep * sweeps[tol]
            for tol in TOLERANCES
        }
    timed |= {solver: run(fn, arrays, epsilon, cap) for solver, fn in runnable().items()}
    for solver, seconds in timed.items():
        for tol, value in seconds.items():
            yield {
                "problem": name, "n": n, "epsilon": epsilon, "seed": seed, "tol": tol,
                "solver": solver, "seconds": value, "extrapolated": tol in extrapolated,
            }  # fmt: skip


def problem(name: str, n: int, seed: int) -> Arrays:
    """Return cost and weights of a named problem."""
    rng = np.random.default_rng(seed)
    if name == "random":
        return rng.uniform(size=(n, n)), np.full(n, 1 / n), np.full(n, 1 / n)
    if name in ("image_l1", "image_l2"):
        return images(name, rng)
    x, y = clouds(n, rng)
    cost = ((x * x).sum(1)[:, None] + (y * y).sum(1) - 2 * x @ y.T).clip(0)
    weights = rng.normal(size=(2, n)) * (name == "lognormal")
    a, b = np.exp(weights) / np.exp(weights).sum(1, keepdims=True)
    return cost / cost.mean(), a, b / b.sum() * a.sum()


def clouds(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return two clouds of ``n`` cells with 12 clusters that move and change in size."""
    scale = 1 / np.sqrt(1 + np.arange(30) / 3)
    centres = 2.5 * scale * rng.normal(size=(12, 30))
    shares = rng.dirichlet(np.full(12, 0.5))
    later = shares * np.exp(0.8 * rng.normal(size=12))
    moved = centres + 0.8 * scale * rng.normal(size=(12, 30))
    spread = rng.uniform(0.4, 0.9, size=12)

    def draw(means: np.ndarray, p: np.ndarray) -> np.ndarray:
        k = rng.choice(12, n, p=p / p.sum())
        return means[k] + rng.normal(size=(n, 30)) * scale * spread[k, None]

    return draw(centres, shares), draw(moved, later)


def images(name: str, rng: np.random.Generator, side: int = 28) -> Arrays:
    """Return two strokes on a grid of pixels, under the squared or the city-block distance."""
    axis = np.linspace(0, 1, side)
    pixels = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)

    def stroke() -> np.ndarray:
        path = np.cumsum(rng.normal(size=(40, 2)) * 0.08, 0)
        path += 0.5 - path.mean(0)
        nearest = ((pixels[:, None] - path) ** 2).sum(-1).min(1)
        ink = np.exp(-nearest / 0.0032) + 0.01
        return ink / ink.sum()

    gaps = pixels[:, None] - pixels[None]
    cost = (gaps**2).sum(-1) if name == "image_l2" else np.abs(gaps).sum(-1)
    a, b = stroke(), stroke()
    return cost / cost.max(), a, b / b.sum() * a.sum()


def count_sweeps(
    cost: np.ndarray, a: np.ndarray, b: np.ndarray, epsilon: float, cap: float
) -> tuple[dict[float, float | None], set[float]]:
    """Return Sinkhorn's sweeps to each tolerance, and the tolerances that were extrapolated."""
    given = Problem(DenseCost(torch.from_numpy(cost)), *map(torch.from_numpy, (a, b)), epsilon)
    dual = Dual(given, SolverStats())
    state = dual.evaluate(np.zeros(len(a)), np.zeros(len(b)))
    errors, start = [state.error], time.process_time()
    while errors[-1] > min(TOLERANCES) and time.process_time() - start < cap:
        state = dual.sweep(state)
        errors.append(state.error)
    logs, sweeps, extrapolated = np.log(errors), {}, set()
    half = len(logs) // 2
    rate = (logs[-1] - logs[half]) / max(len(logs) - 1 - half, 1)
    for tol in TOLERANCES:
        if errors[-1] <= tol:
            sweeps[tol] = float(np.flatnonzero(np.array(errors) <= tol)[0])
        else:
            extrapolated.add(tol)
            is_moving = rate < -1e-9
            sweeps[tol] = len(logs) + (math.log(tol) - logs[-1]) / rate if is_moving else None
    return sweeps, extrapolated


def seconds_per_sweep(arrays: Arrays, epsilon: float) -> dict[str, float | None]:
    """Return what one sweep costs the solvers that all run the same sequence."""
    cost, a, b = arrays
    tensors = [torch.from_numpy(v) for v in (a, b, cost)]

    def pot_kernel(n: int) -> np.ndarray:
        return pot.sinkhorn(a, b, cost, epsilon, numItermax=n, stopThr=0, warn=False)

    def pot_log(n: int) -> torch.Tensor:
        return pot.sinkhorn(
            *tensors, epsilon, method="sinkhorn_log", numItermax=n, stopThr=0, warn=False
        )

    with np.errstate(all="ignore"):
        kernel_fails = bool((np.exp(-cost / epsilon).sum(1) < 1e-300).any())
    timed = {
        "POT kernel": None if kernel_fails else slope(pot_kernel, 20, 220),
        "POT log (torch)": slope(pot_log, 3, 13),
    }
    if jax is not None:
        plain = {n: ott_compiled(arrays, epsilon, n, 0.0) for n in (10, 60)}
        timed["OTT log"] = slope(lambda n: plain[n](), 10, 60)
    return timed


def slope(call: Callable[[int], object], few: int, many: int) -> float:
    """Return the seconds that one more iteration takes."""
    call(few)
    seconds = []
    for n in (few, many):
        start = time.process_time()
        call(n)
        seconds.append(time.process_time() - start)
    return max(seconds[1] - seconds[0], 1e-9) / (many - few)


def run(solver: Callable, arrays: Arrays, epsilon: float, cap: float) -> Seconds:
    """Return the CPU seconds a solver takes, where its potentials are as good as it was asked."""
    cost, a, b = arrays
    seconds: Seconds = {}
    for tol in TOLERANCES:
        potentials, spent = solver(arrays, epsilon, tol, cap)
        with np.errstate(all="ignore"):
            plan = np.exp((potentials[0][:, None] + potentials[1] - cost) / epsilon)
            error = np.abs(plan.sum(1) - a).sum() + np.abs(plan.sum(0) - b).sum()
        seconds[tol] = spent if error <= tol else None
    return seconds


def runnable() -> dict[str, Callable]:
    """Return the solvers that are run and judged by their potentials."""
    solvers: dict[str, Callable] = {}
    if jax is not None:
        solvers["OTT momentum"] = lambda *given: ott_run(
            *given, momentum=acceleration.Momentum(start=100)
        )
        solvers["OTT Anderson"] = lambda *given: ott_run(
            *given, anderson=acceleration.AndersonAcceleration(memory=5)
        )
    if regot is not None:
        solvers["regot SSNS"] = regot_ssns
    return solvers


def ours(arrays: Arrays, epsilon: float, tol: float, cap: float):
    """Run ``ct.ot.solve`` twice; the first time numba may compile."""
    cost, a, b = (torch.from_numpy(v) for v in arrays)
    for _ in range(2):
        start = time.process_time()
        found = Balanced(0.9 * tol, throw=False)(DenseCost(cost), a, b, epsilon=epsilon)
        spent = time.process_time() - start
    return (found.f.numpy(), found.g.numpy()), spent


def ott_compiled(arrays: Arrays, epsilon: float, max_iters: int, tol: float, **options):
    """Return a compiled call of OTT's log-domain Sinkhorn."""
    solver = sinkhorn.Sinkhorn(threshold=tol, max_iterations=max_iters, **options)

    def call(cost, a, b):
        shape = geometry.Geometry(cost_matrix=cost, epsilon=epsilon)
        found = solver(linear_problem.LinearProblem(shape, a=a, b=b))
        return found.f, found.g

    given = [jnp.asarray(v) for v in arrays]
    compiled = jax.jit(call).lower(*given).compile()
    return lambda: [np.asarray(v) for v in compiled(*given)]


def ott_run(arrays: Arrays, epsilon: float, tol: float, cap: float, **options):
    """Run an accelerated OTT solver, compiled, for about ``cap`` seconds at most."""
    probe = ott_compiled(arrays, epsilon, 20, 0.0, **options)
    per_sweep = max(slope(lambda _: probe(), 0, 1), 1e-4)
    max_iters = max(50, int(cap / per_sweep) // 10 * 10)
    call = ott_compiled(arrays, epsilon, max_iters, 0.5 * tol, **options)
    start = time.process_time()
    potentials = call()
    return potentials, time.process_time() - start


def regot_ssns(arrays: Arrays, epsilon: float, tol: float, cap: float):
    """Run regot's safe sparse Newton; its tolerance is an L2 norm."""
    cost, a, b = arrays
    start = time.process_time()
    found = regot.sinkhorn_ssns(
        np.asfortranarray(cost), a, b, epsilon, tol=tol / math.sqrt(2 * len(a)), max_iter=200
    )
    spent = time.process_time() - start
    dual = np.asarray(found.dual)
    return (dual[: len(a)], np.append(dual[len(a) :], 0.0)), spent


def grow(sizes: list[int], epsilons: list[float]) -> Iterator[dict]:
    """Yield wall seconds, CPU seconds and peak memory of ``ct.ot.solve`` by size."""
    ours(problem("uniform", 50, 0), 0.01, 1e-3, 0.0)  # numba loads what it has compiled
    for epsilon, n in itertools.product(epsilons, sorted(sizes)):
        x, y = (torch.from_numpy(v) for v in clouds(n, np.random.default_rng(0)))
        cost, weights = SquaredEuclidean(x, y), torch.full((n,), 1 / n, dtype=torch.float64)
        start = time.perf_counter(), time.process_time()
        solver = Balanced(tol=1e-3, throw=False)
        found = solver(cost, weights, weights, epsilon=epsilon * cost.mean())
        yield {
            "n": n,
            "epsilon": epsilon,
            "wall": time.perf_counter() - start[0],
            "cpu": time.process_time() - start[1],
            "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
            "error": found.marginal_error,
        }


def slopes(records: pd.DataFrame) -> pd.DataFrame:
    """Return the records with the log-log slope of CPU time from the size before."""
    ordered = records.sort_values(["epsilon", "n"])
    steps = np.log(ordered[["n", "cpu"]]).groupby(ordered.epsilon).diff()
    return ordered.assign(slope=steps.cpu / steps.n).set_index(["epsilon", "n"])


if __name__ == "__main__":
    main()
