"""Do intervals of fates hold what clones became, and do tests of a law err as often as they say.

``larry``: fates of day 2 from two coordinates, brought to what clones became. Each row is a truth
and what its units are. ``clones``: the share of neutrophils among late cells of the clone, and as
units all cells whose clones have the same counts in all ten fates, since the file names no clones:
the clones of one unit are merged, never divided. ``smoothed``: the published truth, smoothed over
clones nearby, with groups of about 20 cells that lie together as units. Calibrated by one half of
the clones, judged by the other: coverage of 90 % intervals, squared errors, over divisions of the
first half.

``simulated``: clones whose fates are a known function of the state, 20 data sets of 300 clones of 1
to 20 cells: coverage over clones kept aside, and over 2,000 fresh ones.

``martingale``: how often the test of a law refuses the true one (size), and one whose drift is 20 %
too weak (power), at the 5 % level, on 300 clones of an Ornstein-Uhlenbeck process in two variables,
one to three cells each, that relax from (2, 0) or are stationary. ``ancestor``: the cell seen first
is the ancestor itself; ``sisters``: one or two sisters of it, .3 apart.
"""

from __future__ import annotations

import math
import time
import warnings
from argparse import Namespace

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from sklearn.cluster import KMeans

import celltraj as ct
from benchmarks._report import mean_and_error, parser, report
from benchmarks.fates_tasks import ARMS, AT, larry_cells
from celltraj._stats.calibration import Told, calibrated, judged
from celltraj.models import Midpoint, OrnsteinUhlenbeck
from celltraj.models.clonal.martingale import ClonePair, conditional_mean, martingale

LEVEL = 0.9
GROUP = 20  # cells of a unit of the smoothed truth
SCORES = ["coverage_before", "coverage", "error_before", "error", "error_constant", "width"]


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    options = parser(__doc__)
    options.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    options.add_argument("--cells", type=int, default=5000, help="of LARRY per day")
    options.add_argument("--repeats", type=int, default=20, help="divisions, or data sets")
    options.add_argument("--tests", type=int, default=200, help="data sets of 'martingale'")
    chosen = options.parse_args(argv)
    for task in chosen.tasks:
        try:
            TASKS[task](chosen)
        except FileNotFoundError as error:
            print(f"left out: {error}", flush=True)


def _larry(chosen: Namespace) -> None:
    """Report coverage and errors on the clones that calibration never saw, for both truths."""
    adata = _with_units(larry_cells(), chosen.cells)
    start = time.process_time()
    ct.tl.couplings(adata, use_rep="X", progress=False)
    ct.tl.fates(adata, groupby="fate", at=AT, progress=False)
    fates_s = time.process_time() - start
    rows = []
    for name in ("clones", "smoothed"):
        taught = (adata.obs["heldout"] == 0).to_numpy()
        adata.obs["taught"] = adata.obs[name].where(taught)
        for seed in range(chosen.repeats):
            start = time.process_time()
            options = {"truth": {ARMS[0]: "taught"}, "time": 2.0, "confidence": LEVEL}
            with warnings.catch_warnings(action="ignore"):  # of a constant, which is counted here
                ct.tl.calibrate(adata, unit_key=f"unit_{name}", seed=seed, **options)
            cost = {"calibrate_s": time.process_time() - start, "fates_s": fates_s}
            rows.append({"truth": name, "seed": seed} | _on_others(adata, name, ~taught) | cost)
    records = pd.DataFrame(rows)
    table = records.groupby("truth").mean().drop(columns="seed")
    report("dynamics_calibration_larry", records, table, chosen.out)


def _on_others(adata: AnnData, name: str, is_other: np.ndarray) -> dict[str, float]:
    """Return coverage and errors on the other half of the clones, units counting once."""
    mean, lower, upper = (
        ct.get.fates(adata, key="ct_fates_calibrated", end=end)[ARMS[0]].to_numpy()
        for end in ("mean", "lower", "upper")
    )
    truth = adata.obs[name].to_numpy()
    raw = ct.get.fates(adata)[ARMS[0]].to_numpy()
    here = is_other & np.isfinite(truth) & np.isfinite(mean) & (adata.obs["heldout"] == 1)
    constant = adata.obs["taught"].groupby(adata.obs[f"unit_{name}"]).mean().mean()
    found = {"coverage": (lower <= truth) & (truth <= upper), "width": upper - lower}
    errors = {"raw": raw, "calibrated": mean, "constant": constant}
    found |= {f"error_{key}": (value - truth) ** 2 for key, value in errors.items()}
    values = pd.DataFrame({key: one[here] for key, one in found.items()}).astype(float)
    values["unit"] = adata.obs[f"unit_{name}"].to_numpy()[here]
    units = values.groupby("unit").mean()
    scores = ct.get.calibration(adata).iloc[0]
    own = {"units": len(units), "coverage_aside": scores["coverage"]}
    return own | dict(units.mean()) | {"beats_constant": float(scores["beats_constant"])}


def _with_units(adata: AnnData, n_cells: int) -> AnnData:
    """Return some cells of each day, all of day 2 whose clone was seen among them, with units."""
    clonal = np.nan_to_num(np.asarray(adata.obsm["clonal_fate"], float))
    names = list(map(str, adata.uns["clonal_fate_names"]))
    both = clonal[:, [names.index(arm) for arm in ARMS]]
    is_seen = both.sum(1) > 0
    rng, kept = np.random.default_rng(0), [np.flatnonzero(is_seen)]
    for day in np.unique(adata.obs["time"]):
        rows = np.flatnonzero((adata.obs["time"] == day).to_numpy() & ~is_seen)
        n = n_cells - (is_seen.sum() if day == adata.obs["time"].min() else 0)
        kept.append(rng.choice(rows, n, replace=False))
    adata = adata[np.sort(np.concatenate(kept))].copy()
    clonal = np.nan_to_num(np.asarray(adata.obsm["clonal_fate"], float))
    both = clonal[:, [names.index(arm) for arm in ARMS]]
    is_seen = both.sum(1) > 0
    shares = np.full(adata.n_obs, np.nan)
    shares[is_seen] = both[is_seen, 0] / both[is_seen].sum(1)
    adata.obs["clones"] = shares
    counts = pd.Series([str(row.astype(int).tolist()) for row in clonal], index=adata.obs_names)
    adata.obs["unit_clones"] = counts.where(is_seen)
    adata.obs["smoothed"] = adata.obs["truth_neutrophil"]
    has = adata.obs["smoothed"].notna().to_numpy()
    groups = KMeans(has.sum() // GROUP, n_init=1, random_state=0).fit_predict(adata.X[has])
    units = pd.Series(None, index=adata.obs_names, dtype=object)
    units[has] = [f"{g}" for g in groups]
    adata.obs["unit_smoothed"] = units
    return adata


def clones(n: int, rng: np.random.Generator) -> Told:
    """Return fates of clones of 1 to 20 cells whose shares are a known function of the state.

    Predictions are too sure and shifted: ``m = 1 / (1 + exp(-(4 x + 1)))`` for cells ``x`` of a
    clone around ``z``, 5 descendants of which have the fate with ``1 / (1 + exp(-1.5 z))``.
    """
    cells = rng.integers(1, 21, n)
    z = rng.normal(0, 1.5, n)
    y = rng.binomial(5, 1 / (1 + np.exp(-1.5 * z))) / 5
    unit = np.repeat(np.arange(n), cells)
    x = z[unit] + rng.normal(0, 0.5, len(unit))
    m = 1 / (1 + np.exp(-(4 * x + 1)))
    return Told(m[:, None], y[unit][:, None], unit)


def _simulated(chosen: Namespace) -> None:
    rows = []
    for seed in range(chosen.repeats):
        rng = np.random.default_rng(seed)
        told = clones(300, rng)
        start = time.process_time()
        found, aside, constant = calibrated(
            told, confidence=LEVEL, noun="clones", generator=np.random.default_rng(seed)
        )
        cost = time.process_time() - start
        row: dict[str, float] = {"seed": seed, "cpu_s": cost}
        for name, one in (("aside", aside), ("fresh", clones(2000, rng))):
            verdict = judged(one, found, constant)
            row |= {f"{key}_{name}": float(getattr(verdict, key)[0]) for key in SCORES[1:]}
        rows.append(row)
    records = pd.DataFrame(rows)
    table = records.drop(columns="seed").apply(mean_and_error).T
    report("dynamics_calibration_simulated", records, table, chosen.out)


def relaxing(n: int, start: float, sisters: int, generator: torch.Generator) -> ClonePair:
    """Return clones of ``dX = -X dt + dW`` at times 0 and 1; without sisters, of ancestors."""

    def normal(shape: torch.Size) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    x = normal(torch.Size((n, 2))) * 0.7 + torch.tensor([start, 0.0])
    clone1 = torch.arange(n).repeat_interleave(torch.randint(1, 4, (n,), generator=generator))
    clone0, x0, origin = torch.arange(n), x, x[clone1]
    if sisters:
        clone0 = clone0.repeat_interleave(sisters)
        x0 = x[clone0] + 0.3 * normal(x[clone0].shape)
        origin = origin + 0.3 * normal(origin.shape)
    spread = math.sqrt((1 - math.exp(-2)) / 2)
    x1 = math.exp(-1) * origin + spread * normal(origin.shape)
    return ClonePair((0.0, 1.0), x0, x1, clone0, clone1, sisters == 0)


def _martingale(chosen: Namespace) -> None:
    rows = []
    laws = {"size": 1.0, "power": 0.8}
    for start in (2.0, 0.0):
        for sisters, name in enumerate(("ancestor", "sisters, 1", "sisters, 2")):
            generator = torch.Generator().manual_seed(0)
            found: dict[str, list[bool]] = {key: [] for key in laws}
            begin = time.process_time()
            for _ in range(chosen.tests):
                pair = relaxing(300, start, sisters, generator)
                for key, pull in laws.items():
                    law = OrnsteinUhlenbeck(
                        matrix=-pull * torch.eye(2), shift=torch.zeros(2), sigma=1.0
                    )
                    mean = conditional_mean(
                        law,
                        pair.x0,
                        pair.times,
                        n_draws=16,
                        solver=Midpoint(n_steps=10),
                        generator=generator,
                    )
                    found[key].append(martingale(pair, mean, generator=generator).p <= 0.05)
            seconds = (time.process_time() - begin) / (2 * chosen.tests)
            shares = {key: float(np.mean(one)) for key, one in found.items()}
            row = {"start": start, "seen": name, "tests": chosen.tests, "cpu_s": seconds}
            rows.append(row | shares)
    records = pd.DataFrame(rows)
    table = records.set_index(["start", "seen"])
    report("dynamics_calibration_martingale", records, table, chosen.out)


TASKS = {"larry": _larry, "simulated": _simulated, "martingale": _martingale}


if __name__ == "__main__":
    main()
