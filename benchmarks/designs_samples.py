"""Samples as units: what intervals cover, what couplings within samples tell, what a report says.

``coverage``: two times, samples whose means scatter by as much as cells do, the change of the mean
and of a share; how often intervals of .95 by cell and by sample hold the truth. ``followed``: the
same with donors that are seen at both times. ``within``: donors that lie apart and two fates in
each; how far fates of couplings within donors and across them are from the truth. ``report``: how
often samples of one law, and of laws that differ, are said to differ. ``--out`` holds a file of
every record. One thread.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import anndata as ad
import numpy as np
import pandas as pd
import torch

import celltraj as ct
from benchmarks._report import parser, report
from celltraj._stats.interval import percentile_interval, student_interval
from celltraj._stats.units import Units
from celltraj.models.replicates.spread import samples_p

CELLS = 40
DRAWS = 200
SAMPLES = (3, 4, 6, 10)
SILENT = {"progress": False}


def study(
    n_samples: int, spread: float, seed: int, *, followed: bool
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return states, times and samples; the mean moves by one, and samples scatter."""
    rng = np.random.default_rng(seed)
    times = np.repeat([0.0, 1.0], n_samples * CELLS)
    sample = np.tile(np.repeat(np.arange(n_samples), CELLS), 2)
    own = rng.normal(0, spread, n_samples)
    if followed:  # what a donor has at both times, and at each by itself
        effect = np.concatenate([own, own]) + rng.normal(0, spread / 2, 2 * n_samples)
    else:
        effect = np.concatenate([own, rng.normal(0, spread, n_samples)])
    x = times + rng.normal(size=len(times)) + np.repeat(effect, CELLS)
    names = [f"s{k}" if followed else f"s{t:g}.{k}" for k, t in zip(sample, times, strict=True)]
    return x, times, names


def moved(x: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the change of the mean, and the share of later cells above zero."""
    late = x[times == 1]
    return np.array([late.mean() - x[times == 0].mean(), (late > 0).mean()])


def truth(spread: float, *, followed: bool) -> np.ndarray:
    """Return both over all samples that there could be."""
    variance = 1 + spread**2 * (1.25 if followed else 1.0)
    return np.array([1.0, 0.5 * (1 + math.erf(1 / math.sqrt(2 * variance)))])


def coverage(n_studies: int, *, followed: bool) -> pd.DataFrame:
    """Return whether each interval of each study held the truth."""
    rows = []
    for n_samples in SAMPLES:
        for spread in (0.0, 1.0):
            true = truth(spread, followed=followed)
            for seed in range(n_studies):
                x, times, names = study(n_samples, spread, seed, followed=followed)
                for unit, samples in (("cell", None), ("sample", names)):
                    units = Units.of(times, samples)
                    rng = np.random.default_rng(seed)
                    drawn = [units.draw(rng).rows for _ in range(DRAWS)]
                    draws = np.array([moved(x[one], times[one]) for one in drawn])
                    ends = {
                        "student": student_interval(moved(x, times), draws, units.n_least, 0.95)[
                            1:
                        ],
                        "percentile": percentile_interval(draws, 0.95),
                    }
                    for kind, (low, high) in ends.items():
                        held = (low <= true) & (true <= high)
                        for name, is_in, width in zip(
                            ("change", "share"), held, high - low, strict=True
                        ):
                            rows.append((n_samples, spread, unit, kind, name, is_in, width))
    columns = ["samples", "spread", "unit", "interval", "of", "held", "width"]
    return pd.DataFrame(rows, columns=columns)


def donors(apart: float, seed: int, *, n_donors: int = 4, n_cells: int = 60) -> ad.AnnData:
    """Return donors that lie ``apart``, in each of which cells above the middle go up.

    The place of a donor is in the direction in which fates part, as a difference of their
    cell states is.
    """
    rng = np.random.default_rng(seed)
    rows, x = [], []
    place = rng.normal(0, apart, n_donors)
    for t in (0.0, 1.0, 2.0):
        for k in range(n_donors):
            start = rng.uniform(-1, 1, n_cells)
            y = start + np.sign(start) * t
            x.append(np.column_stack([t + 0.1 * rng.normal(size=n_cells), place[k] + y]))
            rows += [(t, f"d{k}", "up" if one > 0 else "down") for one in start]
    obs = pd.DataFrame(rows, columns=["time", "donor", "fate"])
    obs.index = [f"c{k}" for k in range(len(obs))]
    return ad.AnnData(np.concatenate(x), obs=obs)


def within(n_studies: int) -> pd.DataFrame:
    """Return how far the fates of the first cells are from what they become."""
    rows = []
    for apart in (0.0, 0.5, 1.0, 2.0):
        for seed in range(n_studies):
            adata = donors(apart, seed)
            first = (adata.obs["time"] == 0).to_numpy()
            up = (adata.obs["fate"] == "up").to_numpy()[first]
            own = adata.obs["donor"].to_numpy()
            ct.tl.couplings(adata, growth=None, key_added="across", **SILENT)
            ct.tl.couple_samples(adata, sample_key="donor", key_added="within", **SILENT)
            for key in ("across", "within"):
                ct.tl.fates(adata, groupby="fate", key=key, key_added=f"f_{key}", **SILENT)
                found = ct.get.fates(adata, key=f"f_{key}")["up"].to_numpy()[first]
                ct.tl.fates(adata, groupby="donor", key=key, key_added=f"d_{key}", **SILENT)
                kept = ct.get.fates(adata, key=f"d_{key}")[list(np.unique(own))].to_numpy()[first]
                stays = kept[np.arange(first.sum()), np.unique(own[first], return_inverse=True)[1]]
                miss = float(np.abs(found - up).mean())
                rows.append((apart, key, seed, miss, float(stays.mean())))
    return pd.DataFrame(rows, columns=["apart", "couplings", "seed", "miss", "stays"])


def reports(n_studies: int) -> pd.DataFrame:
    """Return the p value of each study, of samples that differ by this much."""
    rows = []
    for spread in (0.0, 0.25, 0.5, 1.0):
        for seed in range(n_studies):
            rng = np.random.default_rng(seed)
            parts = [rng.normal(size=(CELLS, 5)) for _ in range(4)]
            parts = [one + rng.normal(0, spread / math.sqrt(5), 5) for one in parts]
            p = samples_p(parts, n_permutations=199, rng=rng)
            rows.append((spread, seed, p <= 0.05))
    return pd.DataFrame(rows, columns=["spread", "seed", "said"])


def summed(records: pd.DataFrame, by: Sequence[str], values: Sequence[str]) -> pd.DataFrame:
    """Return means, standard errors of the first of them, and numbers of studies."""
    groups = records.astype(dict.fromkeys(values, float)).groupby(list(by), sort=False)
    found = groups[list(values)].mean()
    found["error"], found["n"] = groups[values[0]].sem(), groups.size()
    return found


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    parts: dict[str, tuple[Callable[[int], pd.DataFrame], list[str], list[str]]] = {
        "coverage": (
            lambda n: coverage(n, followed=False),
            ["of", "samples", "spread", "unit", "interval"],
            ["held", "width"],
        ),
        "followed": (
            lambda n: coverage(n, followed=True),
            ["of", "samples", "spread", "unit", "interval"],
            ["held", "width"],
        ),
        "within": (within, ["apart", "couplings"], ["miss", "stays"]),
        "report": (reports, ["spread"], ["said"]),
    }
    options = parser(__doc__)
    options.add_argument("--parts", nargs="+", choices=list(parts), default=list(parts))
    options.add_argument("--studies", type=int, default=200)
    chosen = options.parse_args(argv)
    for name in chosen.parts:
        made, by, values = parts[name]
        records = made(chosen.studies)
        report(f"designs_samples_{name}", records, summed(records, by, values), chosen.out)


if __name__ == "__main__":
    main()
