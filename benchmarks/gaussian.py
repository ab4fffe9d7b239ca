"""Gaussian snapshots, where the bridge is known: error of marginals and of the drift.

``kl``: mean over s = .1, ..., .9 of KL(moments of 2,000 cells of the bridge | closed form);
``kl_exact`` the same with exact samples: what that many cells cost. ``kl_many`` with ten times as
many draws from the same bridge: what remains of the snapshots' own sampling error. ``drift_error``:
mean |b_hat - b|^2 / mean |b|^2 on points of the closed-form marginals at those times, for bridges
and for flows that are run with the noise of the reference: with Brownian bridges as paths they are
the same process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

import celltraj as ct
from benchmarks._report import add_seeds, mean_and_error, parser, report
from benchmarks.closed_form import GaussianBridge, gaussian_kl
from celltraj.models import BrownianBridgeInterpolant, Process, Training

FRACTIONS = tuple(k / 10 for k in range(1, 10))
SIGMA = 1.0
DRIFTS = {"neural": Training(), "plug_in": None}
FLOWS: dict[str, dict] = {"brownian": {"interpolant": BrownianBridgeInterpolant()}}


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    options = parser(__doc__)
    options.add_argument("--dims", type=int, nargs="+", default=[2, 5, 20])
    options.add_argument("--cells", type=int, default=2000)
    add_seeds(options)
    chosen = options.parse_args(argv)
    records = pd.DataFrame(
        record
        for dim in chosen.dims
        for seed in chosen.seeds
        for record in compare(dim, chosen.cells, seed)
    )
    grouped = records.groupby(["dim", "quantity"])["value"]
    report("gaussian", records, grouped.apply(mean_and_error).unstack(), chosen.out)


def compare(dim: int, n_cells: int, seed: int) -> Iterator[dict]:
    """Yield every quantity for one draw of snapshots."""
    adata = ct.datasets.gaussian_snapshots(n_cells, dim, sigma=SIGMA, seed=seed)
    truth = GaussianBridge(*(adata.uns[key] for key in ("m0", "S0", "m1", "S1", "sigma")))
    bridges = {
        name: ct.tl.fit_bridge(adata, sigma=SIGMA, training=drift, seed=seed, progress=False)
        for name, drift in DRIFTS.items()
    }
    flows = {name: fit_flow(adata, seed, options) for name, options in FLOWS.items()}
    # the snapshots were drawn from this seed; points that judge the fit must be others
    rng = np.random.default_rng([seed, 1])
    generator = torch.Generator().manual_seed(seed)
    any_bridge = next(iter(bridges.values()))  # the marginals depend on the couplings alone

    def draw(s: float, n: int) -> np.ndarray:
        return any_bridge.sample(s, n, generator=generator).numpy()

    values = {
        "kl": mean_kl(truth, lambda s: draw(s, n_cells)),
        "kl_many": mean_kl(truth, lambda s: draw(s, 10 * n_cells)),
        "kl_exact": mean_kl(truth, lambda s: truth.sample(s, n_cells, rng)),
    }
    points = {s: truth.sample(s, n_cells, rng) for s in FRACTIONS}
    processes = bridges | {f"flow_{name}": flow for name, flow in flows.items()}
    values |= {
        f"drift_error_{name}": drift_error(process, truth, points)
        for name, process in processes.items()
    }
    for quantity, value in values.items():
        yield {"dim": dim, "quantity": quantity, "seed": seed, "value": value}


def fit_flow(adata: AnnData, seed: int, options: dict) -> Process:
    """Return the flow as an SDE with the noise of the reference, under the balanced coupling."""
    flow = ct.tl.fit_flow(
        adata,
        sigma=SIGMA,
        seed=seed,
        progress=False,
        **options,
    )
    return flow.with_noise(SIGMA)


def mean_kl(truth: GaussianBridge, sample: Callable[[float], np.ndarray]) -> float:
    """Return the mean over s of KL(moments of ``sample(s)`` | closed form)."""
    cells = {s: sample(s) for s in FRACTIONS}
    divergences = [
        gaussian_kl(x.mean(0), np.cov(x.T), truth.mean(s), truth.covariance(s))
        for s, x in cells.items()
    ]
    return float(np.mean(divergences))


def drift_error(process: Process, truth: GaussianBridge, points: dict[float, np.ndarray]) -> float:
    """Return mean |b_hat - b|^2 / mean |b|^2 over all ``points``."""
    wrong = true = 0.0
    for s, x in points.items():
        expected = truth.drift(s, x)
        wrong += ((process.drift(s, torch.from_numpy(x)).numpy() - expected) ** 2).sum()
        true += (expected**2).sum()
    return float(wrong / true)


if __name__ == "__main__":
    main()
