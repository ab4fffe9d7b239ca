"""Slow modes: rates where they are known, arms without annotation, and what it costs.

``ou``: the three slowest rates of an Ornstein-Uhlenbeck process (1, 2 and 3) and of a rotation
(1 +- 2i and 2), of 5,000 and 2,000 cells. ``well``: the slowest rate of a double well
``(x^2 - 1)^2`` by features and by simulated crossings, over the one of its generator on a grid, and
the share of cells in the right well; cells are those of a snapshot that is not stationary.
``branching``: adjusted Rand index with the arms of the last time and of all times that have arms,
beside CellRank's GPCCA on the same plan where it is installed, with as many states; one gap, two
and all. ``spread``: the standard error of the slowest mode over its standard deviation over drawn
data sets. ``size``: 50,000 cells of five times through couplings, in a process of its own.
"""

from __future__ import annotations

import importlib.util
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import partial

import anndata as ad
import numpy as np
import pandas as pd
import scipy.linalg
import torch
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

import celltraj as ct
from benchmarks._apart import Meter, apart
from benchmarks._report import add_seeds, parser, report

SIGMAS = (0.8, 0.6, 0.5)
SILENT = {"progress": False}


class DoubleWell:
    """Roll down ``(x^2 - 1)^2 + |y|^2 / 2``, where x is the first variable and y the others.

    Parameters
    ----------
    sigma
        Diffusion, in [x]/sqrt([t]).
    """

    def __init__(self, sigma: float) -> None:
        self.sigma = sigma

    def drift(self, t: float, x: Tensor) -> Tensor:
        """Return the ``(n, d)`` drift, in [x]/[t]."""
        return torch.cat([-4 * x[:, :1] * (x[:, :1].square() - 1), -x[:, 1:]], 1)

    def diffusion(self, t: float, x: Tensor) -> Tensor:
        """Return ``sigma`` everywhere, ``(n, d)``, in [x]/sqrt([t])."""
        return torch.full_like(x, self.sigma)


def slow_rate(sigma: float, n: int = 2000) -> float:
    """Return the slowest rate of the double well, by its generator on a grid of ``n`` points."""
    x = np.linspace(-2.5, 2.5, n)
    noise, h = sigma**2 / 2, x[1] - x[0]
    well, between = (x**2 - 1) ** 2, (((x[1:] + x[:-1]) / 2) ** 2 - 1) ** 2
    right, left = (noise / h**2 * np.exp(-(between - at) / noise) for at in (well[:-1], well[1:]))
    diagonal = np.append(right, 0) + np.insert(left, 0, 0)
    pair = {"select": "i", "select_range": (0, 1), "eigvals_only": True}
    return float(scipy.linalg.eigh_tridiagonal(diagonal, -np.sqrt(right * left), **pair)[1])


def cells_of(x: np.ndarray) -> ad.AnnData:
    """Return cells as AnnData, of two times."""
    obs = pd.DataFrame({"time": np.arange(len(x)) % 2}, index=[f"c{i}" for i in range(len(x))])
    return ad.AnnData(x, obs=obs)


def metered(adata: ad.AnnData, model: object = None, **options: object) -> float:
    """Find slow modes of cells and return the CPU seconds that it took."""
    start = time.process_time()
    ct.tl.slow_modes(adata, model, **SILENT, **options)
    return time.process_time() - start


def ornstein_uhlenbeck(seed: int) -> Iterator[dict]:
    """Yield the rates of a pull and of a rotation."""
    rng = np.random.default_rng(seed)
    pull = torch.diag(torch.tensor([-1.0, -3.0])), [1.0, 2.0, 3.0], 5_000
    turn = torch.tensor([[-1.0, -2.0], [2.0, -1.0]]), [1.0, 1.0, 2.0], 2_000
    for name, (matrix, true, n) in {"pull": pull, "rotation": turn}.items():
        law = ct.models.OrnsteinUhlenbeck(matrix=matrix, shift=torch.zeros(2), sigma=2**0.5)
        adata = cells_of(rng.normal(size=(n, 2)) / np.sqrt(-np.diag(matrix.numpy())))
        seconds = metered(adata, law, n_sets=1, seed=seed)
        table = ct.get.slow_modes(adata)
        found = table["rate"].to_numpy()[:3]
        yield {
            "law": name,
            **{f"rate_{k + 1}": rate for k, rate in enumerate(found)},
            "frequency_1": table["frequency"][0],
            "worst_error": np.abs(found / true - 1).max(),
            "cpu_s": seconds,
        }


def double_wells(seed: int) -> Iterator[dict]:
    """Yield the slowest rate of wells, lower and lower noise, over the true one."""
    rng = np.random.default_rng(seed)
    for sigma in SIGMAS:
        x = rng.normal(size=(5_000, 2)) * [0.3, 0.5]
        x[:, 0] += np.where(rng.random(len(x)) < 0.5, -1, 1)
        adata, true = cells_of(x), slow_rate(sigma)
        seconds = metered(adata, DoubleWell(sigma), seed=seed)
        table = ct.get.slow_modes(adata).query("mode == 1").set_index("by")
        agreed = ((adata.obs["ct_modes_metastable"] == "1") == (x[:, 0] > 0)).mean()
        crossed = table.loc["crossings"]
        yield {
            "sigma": sigma,
            "true": true,
            "features": table.loc["features", "rate"] / true,
            "crossings": crossed["rate"] / true,
            "is_covered": crossed["lower"] <= true <= crossed["upper"],
            "n_crossings": ct.get.slow_modes(adata, kind="rates")["crossings"].sum(),
            "right_well": max(agreed, 1 - agreed),
            "cpu_s": seconds,
        }


def arms(seed: int, n_cells: int) -> Iterator[dict]:
    """Yield how well the arms of ``branching`` are found, by couplings from several times on."""
    adata = ct.datasets.branching(n_cells=n_cells, seed=seed)
    ct.tl.couplings(adata, **SILENT)
    for source in (0.0, 2.0, 3.0):
        seconds = metered(adata, source=source, seed=seed)
        table = ct.get.slow_modes(adata)
        yield {
            "method": f"slow_modes from {source:g}",
            "n_sets": len(adata.obs["ct_modes_metastable"].cat.categories),
            **_rand(adata, adata.obs["ct_modes_metastable"].astype(str).to_numpy()),
            "time": table["time"][0],
            "cpu_s": seconds,
        }
    if importlib.util.find_spec("cellrank") is not None:
        yield from gpcca(adata)


def gpcca(adata: ad.AnnData) -> Iterator[dict]:
    """Yield the same of CellRank's macrostates on the same plan, two and three of them."""
    import cellrank

    for steps in ("connectivities", "all"):
        for k in (2, 3):
            start = time.process_time()
            ct.ex.to_cellrank(adata, self_transitions=steps, **SILENT)
            estimator = cellrank.estimators.GPCCA(cellrank.kernels.PrecomputedKernel(adata))
            estimator.compute_schur(n_components=10, method="brandts")
            estimator.compute_macrostates(n_states=k)
            labels = np.asarray(estimator.macrostates_memberships.X).argmax(1).astype(str)
            values = np.sort(np.abs(estimator.eigendecomposition["D"]))[::-1]
            yield {
                "method": f"GPCCA, {steps}, {k}",
                "n_sets": k,
                **_rand(adata, labels),
                "time": -1 / np.log(values[values < 1 - 1e-9][0]),
                "cpu_s": time.process_time() - start,
            }


def _rand(adata: ad.AnnData, labels: np.ndarray) -> dict[str, float]:
    """Return the adjusted Rand index with the arms, at the last time and at all from 2 on."""
    times, arm = adata.obs["time"].to_numpy(), adata.obs["arm"].to_numpy()
    known = (times >= 2) & (labels != "nan")
    return {
        "rand_last": adjusted_rand_score(arm[times == 4], labels[times == 4]),
        "rand_all": adjusted_rand_score(arm[known], labels[known]),
    }


def spread(seed: int) -> dict:
    """Return the slowest singular value of a drawn data set, and its standard error."""
    adata = ct.datasets.branching(n_cells=200, seed=1_000 + seed)
    ct.tl.couplings(adata, growth=None, **SILENT)
    found = {}
    for source in (1.0, 3.0):
        ct.tl.slow_modes(adata, source=source, n_sets=1, **SILENT)
        first = ct.get.slow_modes(adata).iloc[0]
        # the interval is one of the rate, normal in its logarithm
        half = np.log(first["upper"] / first["rate"]) / 1.96
        found |= {f"log_rate_{source:g}": np.log(first["rate"]), f"error_{source:g}": half}
    return found


def size(n_cells: int) -> dict:
    """Return what modes of many cells cost, in this process."""
    adata, rng = ct.datasets.branching(n_cells=n_cells // 5, seed=0), np.random.default_rng(0)
    at = [np.flatnonzero(adata.obs["time"] == t) for t in range(5)]
    adata = adata[np.concatenate([rng.choice(r, n_cells // 5, replace=False) for r in at])].copy()
    meter = Meter()
    _, coupled = meter(partial(ct.tl.couplings, adata, growth=None, **SILENT))
    _, cost = meter(partial(ct.tl.slow_modes, adata, **SILENT))
    labels = adata.obs["ct_modes_metastable"].astype(str).to_numpy()
    found = {"cells": adata.n_obs, "couplings_cpu_s": coupled["cpu_s"], **cost}
    return found | _rand(adata, labels)


def _run(
    chosen: Namespace, name: str, rows_of: Callable[[int], Iterator[dict]], by: list[str]
) -> None:
    rows = [{"seed": seed} | row for seed in chosen.seeds for row in rows_of(seed)]
    records = pd.DataFrame(rows)
    table = records.groupby(by, sort=False).mean(numeric_only=True).drop(columns="seed")
    report(f"dynamics_modes_{name}", records, table, chosen.out)


def _run_arms(chosen: Namespace) -> None:
    _run(chosen, "branching", partial(arms, n_cells=chosen.cells), ["method"])


def _run_spread(chosen: Namespace) -> None:
    records = pd.DataFrame([spread(seed) for seed in range(chosen.draws)])
    rows = {
        source: {
            "sd": records[f"log_rate_{source}"].std(),
            "standard_error": records[f"error_{source}"].mean(),
        }
        for source in ("1", "3")
    }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("source")
    report("dynamics_modes_spread", records, table, chosen.out)


def _run_size(chosen: Namespace) -> None:
    records = pd.DataFrame([apart(size, chosen.many)])
    report("dynamics_modes_size", records, records, chosen.out)


TASKS: dict[str, Callable[[Namespace], None]] = {
    "ou": lambda chosen: _run(chosen, "ou", ornstein_uhlenbeck, ["law"]),
    "well": lambda chosen: _run(chosen, "well", double_wells, ["sigma"]),
    "branching": _run_arms,
    "spread": _run_spread,
    "size": _run_size,
}


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    options = parser(__doc__)
    options.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    options.add_argument("--cells", type=int, default=200, help="founders of 'branching'")
    options.add_argument("--many", type=int, default=50_000, help="cells of 'size'")
    options.add_argument("--draws", type=int, default=20, help="data sets of 'spread'")
    add_seeds(options)
    chosen = options.parse_args(argv)
    for task in chosen.tasks:
        TASKS[task](chosen)


if __name__ == "__main__":
    main()
