"""Refine references: W1 to held-out snapshots, recovered parameters and CPU time, beside peers.

Family known (Lotka-Volterra, repressilator, vortex) or not (affine, landscape, network; in the
rows named inner a training snapshot chooses the round). Rows of
``ct.tl.cross_validate`` and the true process, where there is one, stand beside them; OT-CFM where
torchcfm is installed. Every row is written as soon as it is ready.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

import celltraj as ct
from benchmarks._report import add_seeds, parser, report
from benchmarks._timed import Timed
from benchmarks.data import FOLDS, load_present
from celltraj.models import (
    Bridge,
    BridgeOptions,
    LotkaVolterra,
    NeuralReference,
    OrnsteinUhlenbeck,
    PotentialLandscape,
    Process,
    Reference,
    Refinement,
    Repressilator,
    Vortex,
)

_FIT = partial(ct.tl.fit_bridge, training=None, progress=False)


def _by_inner_time(adata: AnnData, *, reference: Reference, **options: object) -> Bridge:
    """Fit with the round chosen by the middle one of the inner training times."""
    inner = np.unique(adata.obs[options["time_key"]])[1:-1]
    chosen = float(inner[len(inner) // 2])
    inside = BridgeOptions(refinement=Refinement(hold_out=chosen))
    return _FIT(adata, reference=reference, options=inside, **options)


_FLEXIBLE = {
    "affine": partial(_FIT, reference=OrnsteinUhlenbeck()),
    "landscape": partial(_FIT, reference=PotentialLandscape()),
    "network": partial(_FIT, reference=NeuralReference()),
    "affine, inner": partial(_by_inner_time, reference=OrnsteinUhlenbeck()),
    "landscape, inner": partial(_by_inner_time, reference=PotentialLandscape()),
    "network, inner": partial(_by_inner_time, reference=NeuralReference()),
}
# sigma is part of what is known of a simulated system; elsewhere it follows the default
MODELS: dict[str, dict[str, Callable]] = {
    "lotka_volterra": {"refined": partial(_FIT, reference=LotkaVolterra(), sigma=0.1)},
    "repressilator": {"refined": partial(_FIT, reference=Repressilator(), sigma=0.1)},
    "gulf_vortex": {"refined": partial(_FIT, reference=Vortex())},
    "hesc_pca5": _FLEXIBLE,
    "eb_pca5": _FLEXIBLE,
}
TRUTH = {
    "lotka_volterra": LotkaVolterra(1.0, 0.4, 0.4, 0.1, sigma=0.1),
    "repressilator": Repressilator(10.0, 3.0, 1.0, 1.0, sigma=0.1),
}


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    options = parser(__doc__)
    options.add_argument("--data", nargs="+", choices=list(MODELS), default=list(MODELS))
    add_seeds(options)
    chosen = options.parse_args(argv)
    for name, adata in load_present(chosen.data).items():
        records = pd.concat([score(name, adata, seed) for seed in chosen.seeds])
        w1 = records[records["metric"] == "W1"]
        by_seed = w1.groupby(["method", "seed"])[["value", "cpu_s"]].mean()
        table = by_seed.groupby("method").agg(["mean", "sem"])
        table.columns = ["W1", "error", "cpu_s", "cpu_error"]
        table["estimates"] = records.groupby("method")["estimates"].first()
        report(f"refinement_{name}", records, table.sort_values("W1"), chosen.out)


def score(name: str, adata: AnnData, seed: int) -> pd.DataFrame:
    """Return the scores of all methods on the folds of one data set."""
    fits = dict(MODELS[name])
    fits["bridge"] = _FIT
    if name in TRUTH:
        fits["true process"] = partial(_known, TRUTH[name])
    if importlib.util.find_spec("torchcfm"):
        from benchmarks.peers import fit_ot_cfm

        fits["ot_cfm"] = fit_ot_cfm
    timed = {method: Timed(fit) for method, fit in fits.items()}
    parts = []
    for fold in FOLDS[name]:
        part = ct.tl.cross_validate(adata, fit=timed, hold_out=[fold], seed=seed, progress=False)
        part["cpu_s"] = part["method"].map({m: t.seconds[-1] for m, t in timed.items()})
        part["estimates"] = part["method"].map({m: t.estimates for m, t in timed.items()})
        w1 = part[part["metric"] == "W1"].set_index("method")["value"]
        print(w1.groupby("method").mean().round(3).to_dict(), flush=True)
        parts.append(part)
    return pd.concat(parts)


def _known(process: Process, adata: AnnData, **options: object) -> Process:
    return process


if __name__ == "__main__":
    main()
