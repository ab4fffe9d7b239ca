"""What is asked of couplings and fates: data, truth and what each method says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from sklearn.neighbors import KNeighborsRegressor, NearestNeighbors

import celltraj as ct
from benchmarks._apart import Meter
from benchmarks.data import thin
from benchmarks.ot import clouds
from celltraj.models import Lineage, Process
from celltraj.ot import SquaredEuclidean, Unbalanced

PUBLISHED = ("pba", "wot", "fateid")
AT = 6.0  # day on which the arms are read
ARMS = ("Neutrophil", "Monocyte")
COUPLINGS: dict[str, dict] = {
    "couplings": {},
    "couplings_firm": {"tau": (0.95, 0.99)},
    "couplings_balanced": {"tau": (1.0, 1.0)},
}
SOFT = "couplings_soft"  # tau (.9, .9), epsilon a tenth of the mean cost of each gap
# the fates of a bridge are those of its couplings, whatever the drift
MODELS: dict[str, Callable] = {
    "bridge": partial(ct.tl.fit_bridge, training=None),
    "bridge_growth": partial(
        ct.tl.fit_bridge,
        training=None,
        growth=ct.models.LearnedGrowth(),
    ),
    "flow": ct.tl.fit_flow,
}
# stored couplings of Waddington-OT and the days they tie; how they were computed, as found by
# regressing their logarithms on the components of the two days
WOT = {"wot_tmap_10_105": (10, 10.5), "wot_tmap_105_11": (10.5, 11), "wot_tmap_10_11": (10, 11)}
WOT_EPSILON, WOT_TAU = 0.0041, (1 / 6, 0.99999)


def larry_cells() -> AnnData:
    """Return all cells with the arm they are on in ``obs["fate"]``, missing for most."""
    adata = ct.datasets.larry_spring()
    arm = adata.obs["arm"].astype(str)
    adata.obs["fate"] = pd.Categorical(arm.where(arm.isin(ARMS)))
    return adata


def judge(adata: AnnData, predicted: np.ndarray) -> dict[str, float]:
    """Return Pearson r with the truth on the cells to judge by, and on those not to.

    No method here but the supervised one has seen the others: they say whether a setting that was
    chosen by the first half is as good on the second. A cell of which a method says nothing counts
    as the mean of those of which it does; ``told`` is the share of the latter.
    """
    obs, found = adata.obs, {}
    for half, name in ((1, "r"), (0, "r_other_half")):
        judged = (obs["heldout"] == half).to_numpy()
        given, truth = predicted[judged], obs["truth_neutrophil"].to_numpy()[judged]
        is_told = np.isfinite(given)
        found[name] = _r(np.where(is_told, given, given[is_told].mean()), truth)
        if half == 1:
            found["error"] = (1 - found[name] ** 2) / np.sqrt(judged.sum())
            found |= {"n": int(judged.sum()), "told": float(is_told.mean())}
    return found


def _r(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def larry_known(adata: AnnData) -> Iterator[dict]:
    """Yield the rows that need no model: published, nearest arm, and what a supervised fit finds.

    The nearest arm: that of the nearest cell on one, or how much nearer the nearest neutrophil is
    than the nearest monocyte. Supervised: the mean truth of the 100 nearest cells not judged.
    """
    for name in PUBLISHED:
        yield {"method": f"{name} (published)"} | judge(adata, adata.obs[name].to_numpy(float))
    last = (adata.obs["time"] == AT).to_numpy()
    tips = [adata.X[last & (adata.obs["fate"] == arm).to_numpy()] for arm in ARMS]
    to_neutrophil, to_monocyte = (
        NearestNeighbors(n_neighbors=1).fit(tip).kneighbors(adata.X)[0][:, 0] for tip in tips
    )
    nearer = to_monocyte - to_neutrophil
    yield {"method": "nearest_arm (name)"} | judge(adata, (nearer > 0).astype(float))
    yield {"method": "nearest_arm (distance)"} | judge(adata, nearer)
    taught = (adata.obs["heldout"] == 0).to_numpy()
    truth = adata.obs["truth_neutrophil"].to_numpy()[taught]
    supervised = KNeighborsRegressor(min(100, taught.sum() // 10)).fit(adata.X[taught], truth)
    found = judge(adata, supervised.predict(adata.X))
    yield {"method": "supervised"} | found | {"r_other_half": float("nan")}


def larry_couplings(name: str, n_cells: int | None, seed: int) -> dict:
    """Return a row of couplings: r, and what couplings and fates cost, each by itself."""
    meter, adata = Meter(), larry_cells()
    adata = adata if n_cells is None else thin(adata, n_cells, seed=seed)
    if name == SOFT:
        lineage, coupling = meter(lambda: soft_couplings(adata))
        shares, fates = meter(lambda: lineage.fates(_arms(adata), AT))
        predicted = np.full(adata.n_obs, np.nan)
        first = (adata.obs["time"] == lineage.times[0]).to_numpy()
        predicted[first] = shares[0][:, 0].numpy()
    else:
        options = {"use_rep": "X", "progress": False, "seed": seed} | COUPLINGS[name]
        _, coupling = meter(lambda: ct.tl.couplings(adata, **options))
        _, fates = meter(lambda: ct.tl.fates(adata, groupby="fate", at=AT, progress=False))
        predicted = ct.get.fates(adata)[ARMS[0]].to_numpy()
    row = {"method": name, "cells": adata.n_obs, "seed": seed} | judge(adata, predicted)
    return row | _named("couplings", coupling) | _named("fates", fates)


def soft_couplings(adata: AnnData, *, tau: float = 0.9, share: float = 0.1) -> Lineage:
    """Couple with an epsilon of its own for each gap, which ``ct.tl.couplings`` has by default."""
    days = np.unique(adata.obs["time"])
    cells = [torch.from_numpy(np.asarray(adata.X[adata.obs["time"] == day], float)) for day in days]
    weights = [torch.full((len(x),), 1 / len(x), dtype=torch.float64) for x in cells]
    couplings = []
    for (x, a), (y, b) in pairwise(zip(cells, weights, strict=True)):
        cost = SquaredEuclidean(x, y)
        couplings.append(Unbalanced(tau, tau)(cost, a, b, epsilon=share * cost.mean()))
    sizes = tuple(1.0 for _ in days)
    return Lineage(tuple(map(float, days)), tuple(couplings), tuple(weights), sizes)


def _arms(adata: AnnData) -> torch.Tensor:
    fate = adata.obs["fate"][(adata.obs["time"] == AT).to_numpy()].to_numpy()
    return torch.from_numpy((fate[:, None] == np.array(ARMS, dtype=object)).astype(float))


def _named(step: str, cost: dict[str, float]) -> dict[str, float]:
    return {f"{step}_{key}": value for key, value in cost.items()}


def larry_model(name: str, n_cells: int, seed: int) -> dict:
    """Return a row of a model of the motion, fitted to some cells of each day."""
    meter, adata = Meter(), thin(larry_cells(), n_cells, seed=seed)
    fit = MODELS[name]
    model, cost = meter(lambda: fit(adata, use_rep="X", seed=seed, progress=False))
    _, fates = meter(lambda: _tell(adata, model, seed))
    row = {"method": name, "cells": adata.n_obs, "seed": seed}
    row |= judge(adata, ct.get.fates(adata)[ARMS[0]].to_numpy())
    return row | _named("couplings", cost) | _named("fates", fates)


def _tell(adata: AnnData, model: Process, seed: int) -> None:
    ct.tl.couplings(adata, model, use_rep="X", seed=seed, progress=False)
    ct.tl.fates(adata, groupby="fate", at=AT, progress=False)


def wot_agreement(adata: AnnData) -> Iterator[dict]:
    """Yield, by pair of days and setting, how our couplings agree with those of Waddington-OT.

    ``r_cell``: over cells and types, the shares of a cell's descendants; ``r_type``: over pairs of
    types, the mass between them; ``worst``: the largest error of a share in percentage points.
    """
    for key, days in WOT.items():
        pair = adata[adata.obs["time"].isin(days).to_numpy()].copy()
        ct.pp.pca_model(pair, n_comps=50, key_added="X_local")
        x, y = (pair.obsm["X_local"][(pair.obs["time"] == day).to_numpy()] for day in days)
        mean = SquaredEuclidean(*(torch.from_numpy(v.astype(float)) for v in (x, y))).mean()
        as_wot = {"epsilon": WOT_EPSILON * mean, "tau": WOT_TAU}
        for name, options in (("settings of WOT", as_wot), ("default", {})):
            start = time.process_time()
            ct.tl.couplings(pair, use_rep="X_local", progress=False, **options)
            row = {"pair": f"{days[0]:g} to {days[1]:g}", "method": name}
            row["cpu_s"] = time.process_time() - start
            yield row | _agreement(pair, days, np.asarray(adata.uns[key], float))


def _agreement(pair: AnnData, days: tuple[float, float], plan: np.ndarray) -> dict[str, float]:
    first, last = ((pair.obs["time"] == day).to_numpy() for day in days)
    ct.tl.fates(pair, groupby="cell_type", at=days[1], progress=False)
    ours = ct.get.fates(pair)[first]
    ct.tl.transitions(pair, groupby="cell_type", source=days[0], target=days[1], progress=False)
    between = ct.get.transitions(pair)
    types = pair.obs["cell_type"].astype(str).to_numpy()
    before, after = (
        (types[rows][:, None] == np.array(names)).astype(float)
        for rows, names in ((first, between.index), (last, between.columns))
    )
    shares = plan @ (types[last][:, None] == np.array(ours.columns)).astype(float)
    shares /= shares.sum(1, keepdims=True)
    joint = before.T @ plan @ after
    forward = joint / joint.sum(1, keepdims=True)
    return {
        "r_cell": _r(ours.to_numpy().ravel(), shares.ravel()),
        "r_type": _r(between.to_numpy().ravel(), forward.ravel()),
        "worst_cell": 100 * float(np.abs(ours.to_numpy() - shares).max()),
    }


def export(n: int, epsilon: float, seed: int) -> dict:
    """Return a row of a plan of ``n`` cells a side in 30 dimensions, written as a sparse matrix.

    ``export`` is ``ct.ex.to_cellrank``; ``entries`` is the share of all entries that hold 99.9 % of
    each row and are kept, ``matrix_gb`` what they weigh.
    """
    meter = Meter()
    x, y = clouds(n, np.random.default_rng(seed))
    obs = pd.DataFrame({"time": np.repeat([0.0, 1.0], n)}).rename(index=str)
    adata = AnnData(np.concatenate([x, y]).astype(np.float32), obs=obs)
    mean = SquaredEuclidean(torch.from_numpy(x), torch.from_numpy(y)).mean()
    couple = partial(ct.tl.couplings, use_rep="X", epsilon=epsilon * mean, progress=False)
    _, solving = meter(lambda: couple(adata))
    _, writing = meter(lambda: ct.ex.to_cellrank(adata, progress=False))
    plan = adata.obsp["T_fwd"]
    entries = plan.nnz - n  # the later cells stay where they are
    row = {"epsilon": epsilon, "cells": n, "seed": seed, "entries": entries / n**2}
    row |= {"matrix_gb": 8 * entries / 2**30}
    return row | _named("couplings", solving) | _named("export", writing)


def size(n_times: int, n_cells: int, seed: int) -> dict:
    """Return a row of couplings and fates of ``n_cells`` cells at ``n_times`` times together."""
    meter, adata = Meter(), course(n_times, n_cells // n_times, np.random.default_rng(seed))
    _, coupling = meter(lambda: ct.tl.couplings(adata, use_rep="X", progress=False))
    _, fates = meter(lambda: ct.tl.fates(adata, groupby="fate", progress=False))
    row = {"times": n_times, "cells": adata.n_obs, "seed": seed}
    return row | _named("couplings", coupling) | _named("fates", fates)


def course(n_times: int, n: int, rng: np.random.Generator) -> AnnData:
    """Return clusters in 30 dimensions that move and change in size; each is a fate."""
    n_clusters, dim = 10, 30
    scale = 1 / np.sqrt(1 + np.arange(dim) / 3)
    centres = 2.5 * scale * rng.normal(size=(n_clusters, dim))
    pace = 0.8 * scale * rng.normal(size=(n_clusters, dim)) / max(n_times - 1, 1)
    parts, fates = [], []
    for k in range(n_times):
        fates.append(rng.choice(n_clusters, n, p=rng.dirichlet(np.full(n_clusters, 3.0))))
        noise = 0.6 * scale * rng.normal(size=(n, dim))
        parts.append((centres + k * pace)[fates[-1]] + noise)
    obs = pd.DataFrame({"time": np.repeat(np.arange(float(n_times)), n)}).rename(index=str)
    obs["fate"] = pd.Categorical([f"cluster {k}" for k in np.concatenate(fates)])
    return AnnData(np.concatenate(parts).astype(np.float32), obs=obs)
