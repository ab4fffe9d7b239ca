"""Couplings that clones inform: fates beside what clones became, and what they cost.

``larry``: fates of day 2, r with the smoothed share of neutrophils on the cells to judge by whose
clones were not given. The file of LARRY names no clones. It has, for 1,527 cells of day 2, how many
late cells of their clone are neutrophils and monocytes, and these numbers are kept: later kin are
as many cells of day 6, drawn at random from the arms. Clones given are ``all``, a ``tenth`` of
those cells, each taken as a clone of its own (real clones may then be divided), or a
``tenth_units``: about as many cells, all with the same counts together (real clones are then merged
and never divided). ``2 6`` couples these days alone; ``2 4 6`` has day 4 between, where kin are
cells drawn as ancestors of those of day 6 by the coupling without clones. Rows:
``without`` clones; ``clones`` (``ct.tl.couple_clones``);
``clones_full`` with a strength of 1; ``alone``, the mean share of the 20 nearest cells that were
given, no coupling at all; ``labels``, where pairs of kin cost 3 epsilon less; ``regions``, where
pairs cost ``-epsilon log(p / q)`` with ``p`` the share of kin of nearby cells in the one of 30
clusters of the later cell, and ``q`` that of all cells.

``crossing``: two fates that cross, known for every cell; clones are given for a share of cells,
and fates judged on those without. ``null``: nothing crosses, so that clones go as transport has it:
how often they are followed all the same. ``size``: CPU seconds of 100,000 cells.
"""

from __future__ import annotations

import time
import warnings
from argparse import Namespace

import anndata as ad
import numpy as np
import pandas as pd
import torch
from sklearn.cluster import KMeans
from sklearn.neighbors import KNeighborsRegressor, NearestNeighbors

import celltraj as ct
from benchmarks._report import add_seeds, mean_and_error, parser, report
from benchmarks.fates_tasks import ARMS, AT, larry_cells
from celltraj._anndata import read_lineage
from celltraj.ot import DenseCost, SquaredEuclidean, solve

GIVEN = ("tenth", "tenth_units", "all")
DAYS = {"2 6": (2.0, 6.0), "2 4 6": (2.0, 4.0, 6.0)}
METHODS = ("without", "clones", "clones_full", "alone", "labels", "regions")
_WHOLE = ("labels", "regions")  # with a cost that is held whole, of two days alone
_MOST_KIN = 50  # of a clone on day 6
_N_GIVEN = 150  # cells of day 2, a tenth of those whose clones are known


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    options = parser(__doc__)
    add_seeds(options)
    options.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    options.add_argument("--cells", type=int, default=3000, help="of LARRY per day; 0 for all")
    options.add_argument("--given", nargs="+", choices=GIVEN, default=list(GIVEN))
    options.add_argument("--days", nargs="+", choices=list(DAYS), default=list(DAYS))
    options.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    chosen = options.parse_args(argv)
    for task in chosen.tasks:
        try:
            TASKS[task](chosen)
        except FileNotFoundError as error:
            print(f"left out: {error}", flush=True)


def _larry(chosen: Namespace) -> None:
    rows = []
    for given in chosen.given:
        for days in chosen.days:
            for seed in chosen.seeds:
                adata = larry_clones(chosen.cells, given, DAYS[days], seed)
                names = [m for m in chosen.methods if days == "2 6" or m not in _WHOLE]
                for method in names:
                    row = {"given": given, "days": days, "method": method, "seed": seed}
                    rows.append(row | larry_row(adata, method, seed))
                records = pd.DataFrame(rows)
                keys = ["given", "days", "method"]
                table = records.groupby(keys, sort=False).mean(numeric_only=True)
                table["r_error"] = records.groupby(keys, sort=False)["r"].sem()
                name = f"designs_clones_larry_{chosen.cells or 'all'}"
                report(name, records, table.drop(columns="seed"), chosen.out)


def larry_clones(n_cells: int, given: str, days: tuple[float, ...], seed: int) -> ad.AnnData:
    """Return cells of some days with the clones that are given in ``obs["clone"]``."""
    adata, rng = larry_cells(), np.random.default_rng(seed)
    names = list(map(str, adata.uns["clonal_fate_names"]))
    clonal = np.nan_to_num(np.asarray(adata.obsm["clonal_fate"], float))
    counts = clonal[:, [names.index(arm) for arm in ARMS]]
    is_known = counts.sum(1) > 0
    kept = []
    for day in days:
        rows = np.flatnonzero((adata.obs["time"] == day).to_numpy())
        known, others = rows[is_known[rows]], rng.permutation(rows[~is_known[rows]])
        kept += [known, others[: n_cells - len(known)] if n_cells else others]
    kept = np.sort(np.concatenate(kept))
    units = np.array([" ".join(map(str, row.astype(int))) for row in clonal[kept]])
    adata, counts, is_known = adata[kept].copy(), counts[kept], is_known[kept]
    adata.obs["share"] = np.where(is_known, counts[:, 0] / np.maximum(counts.sum(1), 1), np.nan)
    chosen = _chosen(is_known, units, given, rng)
    clones = np.full(adata.n_obs, None, dtype=object)
    clones[chosen] = units[chosen] if given == "tenth_units" else [f"clone {i}" for i in chosen]
    _, first = np.unique(clones[chosen].astype(str), return_index=True)
    _draw_kin(adata, clones, chosen[first], counts, rng)
    adata.obs["clone"] = clones
    adata.obs["is_given"] = np.isin(np.arange(adata.n_obs), chosen)
    if len(days) == 3:
        _place_between(adata, days[1], rng)
    return adata


def _chosen(
    is_known: np.ndarray, units: np.ndarray, given: str, rng: np.random.Generator
) -> np.ndarray:
    """Return the rows of day 2 whose clones are given."""
    known = np.flatnonzero(is_known)
    if given == "all":
        return known
    if given == "tenth":
        return rng.choice(known, _N_GIVEN, replace=False)
    found: list[int] = []
    for unit in rng.permutation(np.unique(units[known])):
        rows = known[units[known] == unit]
        if len(found) + len(rows) <= 1.2 * _N_GIVEN:
            found += rows.tolist()
    return np.array(found)


def _draw_kin(
    adata: ad.AnnData,
    clones: np.ndarray,
    chosen: np.ndarray,
    counts: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Give later cells the clone of an earlier one, as many of each arm as it had or in its shares.

    Of each clone at most so many as there are cells for in both arms.
    """
    free = {arm: _shuffled(adata, arm, rng) for arm in ARMS}
    wanted = counts[chosen].astype(int)
    for most in range(_MOST_KIN, 0, -1):
        drawn = np.stack([_at_most(row, most, rng) for row in wanted])
        if all(n <= len(free[arm]) for n, arm in zip(drawn.sum(0), ARMS, strict=True)):
            break
    else:
        raise ValueError("too few late cells for kin; take more cells")
    for i, row in zip(chosen, drawn, strict=True):
        for arm, n in zip(ARMS, row, strict=True):
            clones[free[arm][:n]] = clones[i]
            free[arm] = free[arm][n:]


def _at_most(row: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Return how many of each arm are among at most so many of a clone, drawn."""
    return rng.multivariate_hypergeometric(row, min(most, row.sum()))


def _shuffled(adata: ad.AnnData, arm: str, rng: np.random.Generator) -> np.ndarray:
    late = ((adata.obs["time"] == AT) & (adata.obs["fate"] == arm)).to_numpy()
    return rng.permutation(np.flatnonzero(late))


def _place_between(adata: ad.AnnData, day: float, rng: np.random.Generator) -> None:
    """Give kin of day 6 ancestors on the day between, by the coupling without clones."""
    late = adata[(adata.obs["time"] >= day).to_numpy()].copy()
    ct.tl.couplings(late, use_rep="X", progress=False)
    plan = read_lineage(late, "couplings").lineage.couplings[0].to_sparse(mass=1e-3).tocsc()
    before = np.flatnonzero((adata.obs["time"] == day).to_numpy())
    after = np.flatnonzero((adata.obs["time"] == AT).to_numpy())
    clones = adata.obs["clone"].to_numpy(dtype=object)
    for j in np.flatnonzero(pd.notna(clones[after])):
        part = slice(plan.indptr[j], plan.indptr[j + 1])
        mass = plan.data[part]
        if len(mass):
            i = before[rng.choice(plan.indices[part], p=mass / mass.sum())]
            clones[i] = clones[after[j]]
    adata.obs["clone"] = clones


def larry_row(adata: ad.AnnData, method: str, seed: int) -> dict[str, float]:
    """Return r with the smoothed truth and with clones that were not given."""
    start, found = time.process_time(), {}
    if method == "alone":
        given = adata.obs["is_given"].to_numpy()
        near = KNeighborsRegressor(20).fit(adata.X[given], adata.obs["share"].to_numpy()[given])
        predicted = near.predict(adata.X)
    elif method in _WHOLE:
        predicted = _by_whole_cost(adata, method)
    else:
        found = _couple(adata, method, seed)
        ct.tl.fates(adata, groupby="fate", at=AT, progress=False)
        predicted = ct.get.fates(adata)[ARMS[0]].to_numpy()
    is_other = ~adata.obs["is_given"].to_numpy() if adata.obs["is_given"].mean() < 0.04 else True
    cells = {"r": "truth_neutrophil", "r_clones": "share"}
    for name, column in cells.items():
        truth = adata.obs[column].to_numpy(float)
        here = is_other & (adata.obs["heldout"] == 1).to_numpy() & np.isfinite(truth)
        told = here & np.isfinite(predicted)
        values = np.where(told, predicted, predicted[told].mean())
        found[name] = float(np.corrcoef(values[here], truth[here])[0, 1])
        found["n" + name[1:]] = int(here.sum())
    return found | {"cpu_s": time.process_time() - start}


def _couple(adata: ad.AnnData, method: str, seed: int) -> dict[str, float]:
    if method == "without":
        ct.tl.couplings(adata, use_rep="X", progress=False)
        return {}
    strength = 1.0 if method == "clones_full" else None
    options = {"use_rep": "X", "progress": False, "seed": seed, "strength": strength}
    with warnings.catch_warnings(action="ignore"):  # of a strength of 0, which is a row
        ct.tl.couple_clones(adata, clone_key="clone", **options)
    table = adata.uns["celltraj"]["couplings"].get("strengths")
    if table is None:
        return {"strength": 1.0}
    chosen = table[table["is_chosen"].astype(bool)]
    return {"strength": chosen["strength"].mean(), "scale": chosen["scale"].mean()}


def _by_whole_cost(adata: ad.AnnData, method: str) -> np.ndarray:
    """Return fates under a cost that knows kin pair by pair, or by regions of the later day."""
    early, late = ((adata.obs["time"] == day).to_numpy() for day in (2.0, AT))
    x, y = (torch.from_numpy(adata.X[rows].astype(float)) for rows in (early, late))
    plain = SquaredEuclidean(x, y)
    cost, epsilon = plain.dense(), 0.05 * plain.mean()
    clones = adata.obs["clone"].to_numpy(dtype=object)
    if method == "labels":
        ours, theirs = clones[early], clones[late]
        for i in np.flatnonzero(pd.notna(ours)):
            cost[i, torch.from_numpy(theirs == ours[i])] -= 3 * epsilon
    else:
        cost -= epsilon * _log_odds(x.numpy(), y.numpy(), clones[early], clones[late])
    a, b = (torch.full((len(one),), 1 / len(one), dtype=torch.float64) for one in (x, y))
    plan = solve(DenseCost(cost), a, b, epsilon=epsilon).to_dense()
    fate = adata.obs["fate"][late].to_numpy(dtype=object)
    shares = plan @ torch.from_numpy((fate[:, None] == np.array(ARMS, object)).astype(float))
    predicted = np.full(adata.n_obs, np.nan)
    predicted[early] = (shares[:, 0] / shares.sum(1)).numpy()
    return predicted


def _log_odds(x: np.ndarray, y: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> torch.Tensor:
    """Return how much likelier than by chance kin of nearby cells are in the region of a cell."""
    labels = KMeans(30, n_init=1, random_state=0).fit_predict(y)
    chance = np.bincount(labels, minlength=30) / len(y)
    rows = [i for i in np.flatnonzero(pd.notna(ours)) if (theirs == ours[i]).any()]
    seen = np.stack(
        [np.bincount(labels[theirs == ours[i]], minlength=30).astype(float) for i in rows]
    )
    seen /= seen.sum(1, keepdims=True)
    near = NearestNeighbors(n_neighbors=min(30, len(rows))).fit(x[rows])
    distance, place = near.kneighbors(x)
    weight = np.exp(-0.5 * (distance / np.median(distance[:, -1])) ** 2)
    shares = (weight[..., None] * seen[place]).sum(1) + chance
    shares /= (weight.sum(1) + 1)[:, None]
    return torch.from_numpy(np.log(shares / chance)[:, labels])


def crossing(n: int, n_clones: int, share: float, seed: int) -> ad.AnnData:
    """Return cells of two times whose clones cross over, which no snapshot tells."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(-1, 1, n_clones)
    early, late = rng.integers(n_clones, size=(2, n))
    x = np.column_stack([np.zeros(n), place[early]]) + 0.05 * rng.normal(size=(n, 2))
    y = np.column_stack([np.full(n, 2.0), -place[late]]) + 0.25 * rng.normal(size=(n, 2))
    obs = pd.DataFrame({"time": np.repeat([0.0, 1.0], n)}).rename(index="c{}".format)
    clones = np.concatenate([early, late])
    obs["clone"] = pd.Series([f"clone {c}" for c in clones], index=obs.index, dtype=object)
    obs.loc[~(rng.permutation(n_clones) < share * n_clones)[clones], "clone"] = None
    obs["fate"] = np.where(
        np.arange(2 * n) < n, None, np.where(np.append(x, y, 0)[:, 1] > 0, "up", "down")
    )
    obs["truth"] = np.concatenate([-place[early], np.full(n, np.nan)])
    return ad.AnnData(np.concatenate([x, y]).astype(np.float32), obs=obs)


def _crossing(chosen: Namespace) -> None:
    rows = []
    for share in (1.0, 0.3, 0.1):
        for seed in chosen.seeds:
            adata = crossing(1000, 300, share, seed)
            judged = adata.obs["truth"].notna() & (adata.obs["clone"].isna() | (share == 1))
            for method in ("without", "clones"):
                start = time.process_time()
                found = _couple(adata, method, seed)
                ct.tl.fates(adata, groupby="fate", progress=False)
                told = ct.get.fates(adata)["up"][judged]
                r = float(np.corrcoef(told, adata.obs["truth"][judged])[0, 1])
                row = {"share": share, "method": method, "seed": seed, "r": r} | found
                rows.append(row | {"cpu_s": time.process_time() - start})
    records = pd.DataFrame(rows)
    table = records.groupby(["share", "method"], sort=False).mean(numeric_only=True)
    report("designs_clones_crossing", records, table.drop(columns="seed"), chosen.out)


def _null(chosen: Namespace) -> None:
    """Report how often clones are followed that transport foretells without them."""
    rows = []
    for n_clones in (15, 60):
        for seed in range(10 * len(chosen.seeds)):
            adata = crossing(400, n_clones, 1.0, seed)
            states = adata.X.copy()
            states[400:, 1] *= -1
            adata.X = states
            found = _couple(adata, "clones", seed)
            rows.append({"n_clones": n_clones, "seed": seed, "followed": found["strength"] > 0})
    records = pd.DataFrame(rows)
    table = records.groupby("n_clones")["followed"].apply(mean_and_error).unstack()
    report("designs_clones_null", records, table, chosen.out)


def _size(chosen: Namespace) -> None:
    rows = []
    for n in (5000, 50_000):
        adata = crossing(n, n // 10, 0.3, 0)
        for method in ("without", "clones"):
            start = time.process_time()
            found = _couple(adata, method, 0)
            row = {"cells": 2 * n, "method": method, "cpu_s": time.process_time() - start}
            ct.tl.fates(adata, groupby="fate", progress=False)
            told = ct.get.fates(adata)["up"][adata.obs["truth"].notna()]
            row["r"] = float(np.corrcoef(told, adata.obs["truth"].dropna())[0, 1])
            rows.append(row | found)
    records = pd.DataFrame(rows)
    table = records.set_index(["cells", "method"])
    report("designs_clones_size", records, table, chosen.out)


TASKS = {"larry": _larry, "crossing": _crossing, "null": _null, "size": _size}


if __name__ == "__main__":
    main()
