"""Growth that clones tell, beside the truth of simulated tissues.

Two states far apart, clones that stay in theirs, of a geometric number of cells of which two fifths
are sampled, and of the others each leaves a Poisson number. ``rates``: the difference of growth
between the states, estimated and true; ``plain`` is the same ratio with all earlier cells counted,
without strength or neighbours, which clones of unequal sizes before mislead. ``found``: share of
simulations with a strength above 0, at equal rates nominally .05 or less.
"""

from __future__ import annotations

import time
from argparse import Namespace

import numpy as np
import pandas as pd
import torch

from benchmarks._report import parser, report
from celltraj.models.clonal.growth import KinCounts, clonal_growth

SEEN = 0.4  # share of the cells that each sampling takes
SIZES = {"alike": (6.0, 6.0), "larger": (3.0, 9.0), "smaller": (9.0, 3.0)}
N_CLONES = (20, 60)  # of each state
RATES = (0.0, 0.5, 1.2)


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=40)
    options.add_argument("--clones", type=int, nargs="+", default=list(N_CLONES))
    options.add_argument("--rates", type=float, nargs="+", default=list(RATES))
    options.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    chosen = options.parse_args(argv)
    records = pd.DataFrame(_rows(chosen))
    groups = records.groupby(["clones", "sizes", "truth"], sort=False)
    table = groups[["found", "estimate", "plain", "cpu_s"]].mean()
    table["estimate_sd"] = groups["estimate"].std()
    table["where_found"] = records[records["found"]].groupby(groups.keys)["estimate"].mean()
    report("designs_clone_growth", records, table, chosen.out)


def _rows(chosen: Namespace) -> list[dict[str, object]]:
    rows = []
    for n_clones in chosen.clones:
        for sizes in chosen.sizes:
            for rate in chosen.rates:
                for seed in range(chosen.repeats):
                    row = {"clones": n_clones, "sizes": sizes, "truth": rate, "seed": seed}
                    rows.append(row | _row(rate, SIZES[sizes], n_clones, seed))
    return rows


def _row(
    rate: float, sizes: tuple[float, float], n_clones: int, seed: int
) -> dict[str, float | bool]:
    """Return the estimated difference of growth, and whether a strength was found."""
    counts, at = tissue(rate, sizes, n_clones, seed)
    start = time.process_time()
    found = clonal_growth(counts, generator=torch.Generator().manual_seed(seed))
    growth, is_fast = found(counts.x).numpy(), at == 1
    kin = counts.kin.numpy()
    return {
        "found": found.strength > 0,
        "estimate": growth[is_fast].mean() - growth[~is_fast].mean(),
        "plain": float(np.log(kin[is_fast].mean() / kin[~is_fast].mean())),
        "cpu_s": time.process_time() - start,
    }


def tissue(
    rate: float, sizes: tuple[float, float], n_clones: int, seed: int
) -> tuple[KinCounts, np.ndarray]:
    """Return clonal cells of a unit of time, with their kin, and the state of each."""
    rng = np.random.default_rng(seed)
    state = np.repeat([0, 1], n_clones)
    whole = rng.geometric(1 / np.asarray(sizes)[state])
    early = rng.binomial(whole, SEEN)
    late = rng.poisson((whole - early) * SEEN * np.exp(rate * state))
    seen = early > 0
    clone = np.repeat(np.arange(seen.sum()), early[seen])
    at = state[seen][clone]
    x = rng.normal(size=(len(clone), 2)) + 10 * at[:, None]
    parts = torch.from_numpy(x), torch.from_numpy(clone), torch.from_numpy(late[seen]).double()
    return KinCounts((0.0, 1.0), *parts, is_ancestor=False), at


if __name__ == "__main__":
    main()
