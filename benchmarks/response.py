"""Responses of populations never seen, beside trivial rows and our re-implementation of peers.

``letters``: W1 on the unseen letter over that of no change, CPU seconds of a fit; ``encoder``: CPU
milliseconds of a step of a pooled graph encoder; ``interacting``: W1 above the floor for
populations whose cells interact; ``kang`` and ``glioblastoma``: a donor or patient left out;
``composition``: a pair of drugs left out. ``benchmarks/README.md`` explains rows and columns.
Results are written after each seed.
"""

from __future__ import annotations

import itertools
import time
from argparse import Namespace
from collections.abc import Callable, Iterable
from dataclasses import replace
from statistics import median

import pandas as pd
import torch
from torch import Tensor

import celltraj as ct
from benchmarks._report import add_seeds, mean_and_error, parser, report
from benchmarks.peers_response import (
    Average,
    GraphNetwork,
    PeerTraining,
    by_matrix,
    by_messages,
    nearest,
)
from benchmarks.response_held_out import compare, composition, glioblastoma, kang, summarise
from benchmarks.response_tasks import (
    DEFAULT,
    FLOOR,
    FLOWS,
    METHODS,
    NO_CHANGE,
    NO_PHI,
    TRUE_LAW,
    Task,
    fitted_records,
    interacting_task,
    letters_task,
    lost_by,
    trivial_records,
)
from celltraj.models import PooledGraphEncoder, ResponseOptions, Training
from celltraj.models.evaluation import CONTROLS, OTHER_CELL, OTHER_EMBEDDING, OTHER_NEIGHBOURHOOD

_SHORT = 50  # times fewer steps, in which a fit is mostly couplings


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    options = parser(__doc__)
    options.add_argument("what", choices=list(TABLES))
    options.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    options.add_argument("--steps", type=int, help="of each fit, in place of those of the table")
    options.add_argument("--minutes", type=float, help="CPU minutes of a longer fit of the letters")
    add_seeds(options)
    chosen = options.parse_args(argv)
    if chosen.minutes is not None and (chosen.what != "letters" or DEFAULT not in chosen.methods):
        options.error("--minutes needs the letters and the method 'default'")
    TABLES[chosen.what](chosen)


def _over_seeds(
    chosen: Namespace,
    records_of: Callable[[int], pd.DataFrame],
    table_of: Callable[[pd.DataFrame], pd.DataFrame],
) -> None:
    """Report the table after each seed; other steps are in the title, and replace no result."""
    suffix = "" if chosen.steps is None else f"_{chosen.steps}_steps"
    parts = []
    for seed in chosen.seeds:
        parts.append(records_of(seed))
        records = pd.concat(parts, ignore_index=True)
        report(f"response_{chosen.what}{suffix}", records, table_of(records), chosen.out)


def _size(chosen: Namespace) -> PeerTraining:
    return PeerTraining() if chosen.steps is None else PeerTraining(max_steps=chosen.steps)


def _run_letters(chosen: Namespace) -> None:
    task, size = letters_task(), _size(chosen)
    _over_seeds(
        chosen,
        lambda seed: letters(task, chosen.methods, size, seed, minutes=chosen.minutes),
        over_no_change,
    )


def _run_interacting(chosen: Namespace) -> None:
    task, size = interacting_task(), _size(chosen)
    _over_seeds(chosen, lambda seed: scores(task, chosen.methods, size, seed), above_floor)


def _run_encoder(chosen: Namespace) -> None:
    adata = ct.datasets.letters(letters="A", n_rotations=1)
    cells = torch.from_numpy(adata.X[adata.obs["condition"] == "blurred"])
    _over_seeds(chosen, lambda seed: encoder(cells, 50, seed), _by_row)


def _run_kang(chosen: Namespace) -> None:
    adata, training = ct.datasets.kang_pca5(), Training(max_steps=chosen.steps)
    names = [name for name in chosen.methods if name in FLOWS]
    _over_seeds(chosen, lambda seed: kang(adata, names, training, seed), summarise)


def _run_glioblastoma(chosen: Namespace) -> None:
    adata, training = ct.datasets.glioblastoma(), Training(max_steps=chosen.steps)
    names = [name for name in chosen.methods if name in FLOWS]
    _over_seeds(chosen, lambda seed: glioblastoma(adata, names, training, seed), summarise)


def _run_composition(chosen: Namespace) -> None:
    # twice the usual cells: half of them judge
    adata, training = ct.datasets.drug_screen(n_cells=400), Training(max_steps=chosen.steps)
    _over_seeds(chosen, lambda seed: composition(adata, training, seed), compare)


TABLES = {
    "letters": _run_letters,
    "encoder": _run_encoder,
    "interacting": _run_interacting,
    "kang": _run_kang,
    "glioblastoma": _run_glioblastoma,
    "composition": _run_composition,
}


def scores(task: Task, methods: Iterable[str], size: PeerTraining, seed: int) -> pd.DataFrame:
    """Return W1 by method and population, trivial rows first."""
    fitted = [fitted_records(task, name, size, seed) for name in methods]
    return pd.concat([trivial_records(task, seed), *fitted], ignore_index=True)


def letters(
    task: Task,
    methods: Iterable[str],
    size: PeerTraining,
    seed: int,
    *,
    minutes: float | None = None,
) -> pd.DataFrame:
    """Return the same, with a default fit of some CPU minutes where that is asked for."""
    records = scores(task, methods, size, seed)
    if minutes is None:
        return records
    cost = float(records.loc[records["method"] == DEFAULT, "cpu_s"].iloc[0])
    longer = replace(size, max_steps=_steps_in(minutes, task, size, seed, cost))
    row = f"{DEFAULT}, {minutes:g} minutes"
    return pd.concat([records, fitted_records(task, DEFAULT, longer, seed, row=row)])


def _steps_in(minutes: float, task: Task, size: PeerTraining, seed: int, cost: float) -> int:
    """Return the steps that fill some minutes, couplings included, from what ``size`` has cost."""
    few = replace(size, max_steps=max(1, size.max_steps // _SHORT))
    start = time.process_time()
    METHODS[DEFAULT](task, few, seed)
    once = time.process_time() - start
    of_a_step = (cost - once) / (size.max_steps - few.max_steps)
    more = (60 * minutes - cost) / of_a_step if of_a_step > 0 else 0
    return size.max_steps + max(0, round(more))


def _by_seed(records: pd.DataFrame) -> pd.DataFrame:
    """Return W1 by seed and method, the mean over populations, in the order of the records."""
    means = records.groupby(["seed", "method"], sort=False)["W1"].mean()
    return means.unstack("method")[records["method"].unique()]


def over_no_change(records: pd.DataFrame) -> pd.DataFrame:
    """Return W1 and its ratio to that of no change, CPU cost, and what the controls cost."""
    means = _by_seed(records)
    ratio = means.div(means[NO_CHANGE], axis=0)
    table = pd.DataFrame({"W1": means.mean(), "ratio": ratio.mean(), "error": ratio.sem()})
    return table.join(_costs(records)).join(_lost(records))


def above_floor(records: pd.DataFrame) -> pd.DataFrame:
    """Return W1 above the floor and above the true law, each also over that without phi."""
    means = _by_seed(records)
    table = pd.DataFrame({"W1": means.mean(), "error": means.sem()})
    for row in (FLOOR, TRUE_LAW):
        above = means.sub(means[row], axis=0).mean()
        table[f"above_{row}"] = above
        table[f"ratio_{row}"] = above / above.get(NO_PHI, float("nan"))
    return table.join(_costs(records)).join(_lost(records))


def _costs(records: pd.DataFrame) -> pd.DataFrame:
    costs = records.groupby("method")[["cpu_s", "steps"]].mean()
    return pd.DataFrame(
        {"cpu_s": costs["cpu_s"], "ms_per_step": 1e3 * costs["cpu_s"] / costs["steps"]}
    )


def _lost(records: pd.DataFrame) -> pd.DataFrame:
    """Return intervals of the W1 that the wrong embedding, and neighbourhood, cost each method."""
    names = [name for name in records["method"].unique() if not name.endswith(CONTROLS)]
    parts = {
        "embedding": OTHER_EMBEDDING,
        "neighbourhood": OTHER_NEIGHBOURHOOD,
        "cell": OTHER_CELL,
    }
    columns = [f"lost_{part}_{end}" for part in parts for end in ("low", "high")]
    intervals = [
        [end for control in parts.values() for end in lost_by(records, name, control)]
        for name in names
    ]
    return pd.DataFrame(intervals, names, columns)


def encoder(cells: Tensor, n_neighbours: int, seed: int, *, n_steps: int = 20) -> pd.DataFrame:
    """Return CPU milliseconds of an optimiser step of graph encoders of one population, by row.

    ``step_ms`` is the median over steps, ``once_ms`` what is computed once for a population.
    """
    g, width = torch.Generator().manual_seed(seed), PeerTraining().width
    rows: list[tuple[str, float, float]] = []
    for name, averaging in (("messages", by_messages), ("matrix", by_matrix)):
        rows += _peer_steps(name, averaging, cells.float()[None], n_neighbours, n_steps, g)
    for ours in (PooledGraphEncoder(width=width), PooledGraphEncoder()):
        share = n_neighbours / len(cells)
        rows += _our_steps(replace(ours, share=share), cells, n_steps, g)
    return pd.DataFrame(rows, columns=["row", "step_ms", "once_ms"]).assign(seed=seed)


def _peer_steps(
    name: str,
    averaging: Callable[[Tensor], Average],
    x: Tensor,
    n_neighbours: int,
    n_steps: int,
    generator: torch.Generator,
) -> list[tuple[str, float, float]]:
    """Return a row with a new graph in each step, and one with the same graph in all of them."""
    network = GraphNetwork(x.shape[2], PeerTraining().width, generator=generator)

    def graph() -> Average:
        return averaging(nearest(x, n_neighbours))

    cached = graph()
    return [
        (f"peer_{name}, new graph", _step_ms(network, lambda: network(x, graph()), n_steps), 0.0),
        (
            f"peer_{name}",
            _step_ms(network, lambda: network(x, cached), n_steps),
            _cpu_ms(graph, n_steps),
        ),
    ]


def _our_steps(
    ours: PooledGraphEncoder, cells: Tensor, n_steps: int, generator: torch.Generator
) -> list[tuple[str, float, float]]:
    """Return a row of all cells, and one of as many as a training looks at in a step."""
    network = ours.build(cells.shape[1], generator=generator)
    features = ours.features(cells)[None]

    def step_ms(n: int) -> float:
        part = features[:, :n]
        mask = torch.ones(part.shape[:2], dtype=torch.bool)
        return _step_ms(network, lambda: network(part, mask), n_steps)

    once = _cpu_ms(lambda: ours.features(cells), n_steps)
    return [
        (f"graph, width {ours.width}, {n} cells", step_ms(n), once)
        for n in (len(cells), min(len(cells), ResponseOptions().n_context))
    ]


def _step_ms(network: torch.nn.Module, embed: Callable[[], Tensor], n_steps: int) -> float:
    optimiser = torch.optim.Adam(network.parameters())

    def step() -> None:
        optimiser.zero_grad()
        embed().square().sum().backward()
        optimiser.step()

    return _cpu_ms(step, n_steps)


def _cpu_ms(run: Callable[[], object], n: int) -> float:
    run()  # a first call pays for lazy set-up
    times = [time.process_time()]
    for _ in range(n):
        run()
        times.append(time.process_time())
    return 1e3 * median(b - a for a, b in itertools.pairwise(times))


def _by_row(records: pd.DataFrame) -> pd.DataFrame:
    grouped = records.groupby("row", sort=False)
    table = grouped["step_ms"].apply(mean_and_error).unstack()
    return table.join(grouped["once_ms"].mean())


if __name__ == "__main__":
    main()
