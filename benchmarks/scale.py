"""What calls cost as cells grow: CPU seconds, peak memory and error, from a thousand cells on.

Five snapshots of ``n`` cells of eight groups that move apart in 50 variables, float32, on one
thread. All calls on one size are made one after the other in a process of its own, with the
defaults of the package but ``growth=None`` for couplings (whose growth is learned on 1,000 cells a
time whatever ``n`` is). The error of couplings is the L1 distance of both marginals from those
asked for, the worst gap. Memory is the peak above what the process held after import, cells
included. Rows named ``one gap`` couple the first gap by every solver, at the same epsilon
(``benchmarks/scale_gap.py``), each in a process of its own; ``--peers PYTHON`` names a Python that
has moscot and OTT, whose rows are left out without.

Whatever is ready is written, and left out where it stands in the file already. The slope of a call
is the power of n between two sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

import celltraj as ct
from benchmarks._apart import Meter, apart
from benchmarks._report import parser, report
from benchmarks.scale_gap import rows

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000, 200_000)
N_TIMES, N_VARIABLES, N_GROUPS = 5, 50, 8
PEERS_UP_TO = 10_000  # cells a side, beyond which a whole matrix and its passes take minutes
SILENT = {"progress": False}


def cells(n: int, seed: int = 0) -> AnnData:
    """Return ``n`` cells at each of five times, whose groups move apart."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(1)
    centres = 1.5 * fixed.normal(size=(N_GROUPS, N_VARIABLES))
    spread = np.linspace(1.5, 0.3, N_VARIABLES)
    x = np.empty((N_TIMES * n, N_VARIABLES), dtype=np.float32)
    group = rng.integers(0, N_GROUPS, N_TIMES * n)
    for k in range(N_TIMES):
        rows = slice(k * n, (k + 1) * n)
        noise = spread * rng.normal(size=(n, N_VARIABLES))
        x[rows] = centres[group[rows]] * (0.5 + 0.25 * k) + noise
    obs = pd.DataFrame(
        {"time": np.repeat(np.arange(float(N_TIMES)), n), "group": pd.Categorical(group)},
        index=np.arange(len(x)).astype(str),
    )
    return AnnData(x, obs=obs)


def calls(adata: AnnData) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what is measured, in the order in which one needs the other."""
    yield "couplings", lambda: ct.tl.couplings(adata, growth=None, **SILENT)
    yield "fates", lambda: ct.tl.fates(adata, groupby="group", **SILENT)
    yield "transitions", lambda: ct.tl.transitions(adata, groupby="group", **SILENT)
    yield "fit_flow", lambda: ct.tl.fit_flow(adata, **SILENT)
    yield "fit_bridge", lambda: ct.tl.fit_bridge(adata, **SILENT)


def run(n: int) -> list[dict[str, object]]:
    """Return what each call costs on ``n`` cells a time."""
    meter, adata, records = Meter(), cells(n), []
    warm = cells(60)
    for _, step in calls(warm):
        step()  # imports and compiled functions are not what grows
    for name, step in calls(adata):
        _, cost = meter(step)
        records.append({"call": name, "n": n, **cost, "error": _error(adata, name)})
    return records


def _error(adata: AnnData, call: str) -> float:
    """Return the error of the marginals of the couplings; that of no other call is a number."""
    if call != "couplings":
        return np.nan
    return float(ct.get.convergence(adata, key="couplings")["marginal_error"].max())


def gap(n: int, peers: str | None, known: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield the rows of one gap of ``n`` cells, of every solver, that are not known."""
    if n > PEERS_UP_TO:
        return
    adata = cells(n)
    x, y = (np.asarray(adata[adata.obs["time"] == t].X) for t in (0, 1))
    for row in rows(x, y, peers, set(known.loc[known["n"] == n, "call"])):
        yield {**row, "n": n}


def table(records: pd.DataFrame) -> pd.DataFrame:
    """Return CPU seconds, memory, error and slope by call and size."""
    found = records.sort_values(["call", "n"]).reset_index(drop=True)
    by = found.groupby("call", sort=False)
    grown = np.log(found["cpu_s"] / by["cpu_s"].shift())
    found["slope"] = grown / np.log(found["n"] / by["n"].shift())
    shown = ["cpu_s", "above_gb", "error", "plan_cost", "slope"]
    return found.set_index(["call", "n"])[shown]


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    options = parser(__doc__)
    options.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="cells a time")
    options.add_argument("--peers", metavar="PYTHON", help="a Python that has moscot and OTT")
    chosen = options.parse_args(argv)
    chosen.out.mkdir(parents=True, exist_ok=True)
    file: Path = chosen.out / "scale.csv"
    known = pd.read_csv(file) if file.exists() else pd.DataFrame({"call": [], "n": []})
    for n in chosen.sizes:
        if not ((known["n"] == n) & (known["call"] == "couplings")).any():
            known = _written(known, apart(run, n), file)
        for row in gap(n, chosen.peers, known):
            known = _written(known, [row], file)
    report("scale", known, table(known), chosen.out)


def _written(known: pd.DataFrame, found: list[dict[str, object]], file: Path) -> pd.DataFrame:
    """Return the records with these, which stand in the file from now on."""
    new = pd.DataFrame(found)
    print(new.to_string(index=False), flush=True)
    known = new if known.empty else pd.concat([known, new], ignore_index=True)
    known.to_csv(file, index=False)
    return known


if __name__ == "__main__":
    main()
