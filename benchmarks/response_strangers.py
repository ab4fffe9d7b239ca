"""Programs of strangers on Kang: the treated cells of a donor left out, eight of them.

Each program runs in a Python of its own, ``--cellflow PYTHON``, ``--scgen PYTHON``; without one its
row is absent. It learns from the other donors and is told the untreated cells of the one that is
left out. ``ct.tl.cross_validate_response`` judges all rows by the same cells: W1, energy, predicted
over true variance, CPU seconds of a fit, and ``worst`` and ``best``, the ratios of W1 to that of
``neighbours`` over the donors. Results are written after each seed, with a csv by donor.

A program is called as ``PYTHON -m benchmarks.peers_... GIVEN FOUND``. GIVEN is an ``.npz`` file of
the training ``x`` ``(n, d)`` with its ``donor``, ``treated`` and ``cell_type``, of the untreated
``cells`` ``(m, d)`` to predict, of all those of their ``population``, and of the ``seed``. Cells
are centred and in units of the root mean variance of the training. FOUND has the cells ``x``
``(m, d)`` after treatment and the CPU seconds ``cpu_s`` of training and prediction.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import Tensor

import celltraj as ct
from benchmarks._report import add_seeds, parser, report
from benchmarks._timed import Timed
from benchmarks.response_tasks import DEFAULT, FLOWS
from celltraj._anndata import ResponseKeys, read_samples
from celltraj.models import Condition, MetaFlowMatching, Response, ResponseOptions, Training
from celltraj.models.evaluation import RESPONSE_COLUMNS, Responses, evaluate, response_folds
from celltraj.tl._response_spaces import ResponseSpaces

PROGRAMS = {"cellflow": "benchmarks.peers_cellflow", "scgen": "benchmarks.peers_scgen"}
NEIGHBOURS = "neighbours"
KEYS = {
    "population_key": "donor",
    "condition_key": "condition",
    "control": "CTRL",
    "use_rep": "X",
}
_NOTHING = ResponseOptions(encoder=None, n_kernels=0, base=0.0)


@dataclass
class Program:
    """Fit as ``ct.tl.fit_response`` does, by a program in another Python.

    Parameters
    ----------
    python
        The Python that has it.
    module
        What is called there.
    seconds
        CPU seconds of each training with its prediction, as the program counts them.
    """

    python: str
    module: str
    seconds: list[float] = field(default_factory=list)

    def __call__(
        self, adata: AnnData, *, seed: int, progress: bool = False, **keys: object
    ) -> MetaFlowMatching:
        """Return the response that asks the program once it knows which cells to predict."""
        training = Training(max_steps=1, batch_size=8, width=8)
        fitted = ct.tl.fit_response(
            adata, options=_NOTHING, training=training, seed=seed, progress=progress, **keys
        )
        of_it = {one.name: getattr(fitted, one.name) for one in fields(fitted)}
        return Stranger(**of_it, program=self, training=known(adata, seed))

    def ask(self, given: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return what the program predicts, and keep its seconds.

        Raises
        ------
        RuntimeError
            The program failed, or predicted something else than a finite state for each cell.
        """
        root = Path(__file__).parents[1]
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "given.npz"), Path(folder, "found.npz")
            np.savez(source, **given)
            command = [self.python, "-W", "ignore", "-m", self.module, str(source), str(target)]
            env = os.environ | {"PYTHONPATH": str(root)}
            run = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)
            if run.returncode != 0:
                why = (run.stderr.strip() or f"ended with {run.returncode}").splitlines()[-1]
                raise RuntimeError(f"{self.module} in {self.python} failed: {why}")
            with np.load(target) as found:
                x, cpu_s = found["x"].astype(float), float(found["cpu_s"])
        if x.shape != given["cells"].shape or not np.isfinite(x).all():
            raise RuntimeError(
                f"{self.module} must predict {given['cells'].shape} finite states; found "
                f"{x.shape}, {np.isfinite(x).mean():.0%} of them finite"
            )
        self.seconds.append(cpu_s)
        print(f"{self.module}: {cpu_s:.0f} CPU seconds", flush=True)
        return x


@dataclass(frozen=True, eq=False)
class Stranger(MetaFlowMatching):
    """Predict by a program; the network is that of a single step, which nobody asks.

    Parameters
    ----------
    program
        Who predicts.
    training
        Cells of the training and what the program is told of them.
    """

    program: Program = field(kw_only=True)
    training: Mapping[str, np.ndarray] = field(kw_only=True)

    def respond(
        self, cells: Tensor, condition: Condition, *, population: Tensor, **_told: object
    ) -> Response:
        """Return the cells that the program predicts, all with the same mass."""
        x = self.training["x"].astype(float)
        centre, unit = x.mean(0), np.sqrt(x.var(0).mean())
        asked = {"x": x, "cells": cells.numpy(), "population": population.numpy()}
        scaled = {name: ((y - centre) / unit).astype(np.float32) for name, y in asked.items()}
        found = self.program.ask({**self.training, **scaled})
        return Response(torch.from_numpy(centre + unit * found), None)


def known(adata: AnnData, seed: int) -> dict[str, np.ndarray]:
    """Return what a program is told of the training, in the units of the cells."""
    names = {key: adata.obs[key].astype(str).to_numpy(str) for key in ("donor", "cell_type")}
    treated = (adata.obs["condition"] != KEYS["control"]).to_numpy(bool)
    return {"x": np.asarray(adata.X), **names, "treated": treated, "seed": np.asarray(seed)}


def scores(
    adata: AnnData,
    pythons: Mapping[str, str],
    steps: int,
    seed: int,
    *,
    donors: Collection[str] | None = None,
) -> pd.DataFrame:
    """Return the scores of all donors, each left out, with CPU seconds of a fit.

    Parameters
    ----------
    adata
        Cells with ``obs["donor"]``, ``obs["condition"]`` and ``obs["cell_type"]``.
    pythons
        Python of each program.
    steps
        Steps of the default fit; 0 leaves it out.
    seed
        Seed of everything random.
    donors
        Those to leave out, each in turn; None for all.
    """
    fits: dict[str, Timed | Program] = {
        name: Program(python, PROGRAMS[name]) for name, python in pythons.items()
    }
    if steps:
        options = {"options": FLOWS[DEFAULT], "training": Training(max_steps=steps)}
        fits[DEFAULT] = Timed(partial(ct.tl.fit_response, progress=False, **options))
    if donors is None:
        table = ct.tl.cross_validate_response(adata, fit=fits, seed=seed, progress=False, **KEYS)
    else:
        table = _of_some(adata, fits, seed, donors)
    seconds = {name: np.mean(fit.seconds) for name, fit in fits.items()}
    return table.assign(cpu_s=table["method"].map(seconds))


def _of_some(
    adata: AnnData, fits: Mapping[str, Timed | Program], seed: int, donors: Collection[str]
) -> pd.DataFrame:
    """Return what ``ct.tl.cross_validate_response`` does, of some folds alone."""
    asked = {name: value for name, value in KEYS.items() if name != "use_rep"}
    samples = read_samples(adata, ResponseKeys.of(**asked))
    folds = response_folds("population", samples, None, adata.n_obs)
    chosen = [fold for fold in folds if fold.held_out in donors]
    if unknown := sorted(set(donors) - {fold.held_out for fold in folds}):
        raise ValueError(f"there are no donors {unknown}; pass some of those in obs['donor']")
    spaces = ResponseSpaces(adata, fits, asked | {"seed": seed}, None, KEYS["use_rep"])
    judge = Responses(samples, None, spaces.of, seed).judge
    return evaluate(chosen, judge, seed=seed, extra=RESPONSE_COLUMNS).frame


def by_donor(records: pd.DataFrame) -> pd.DataFrame:
    """Return W1, energy and variance of each method by donor, means over seeds, W1 also by ratio.

    Parameters
    ----------
    records
        Scores of one or more seeds.
    """
    wanted = ["W1", "energy", "variance_ratio"]
    chosen = records[records["metric"].isin(wanted)]
    table = chosen.pivot_table(index=["method", "population"], columns="metric", values="value")
    table = table.reindex(columns=wanted)
    reference = table.loc[NEIGHBOURS, "W1"].reindex(table.index.get_level_values("population"))
    return table.assign(over_neighbours=table["W1"] / reference.to_numpy())


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """Return the means over donors and seeds, nearest first in W1.

    Parameters
    ----------
    records
        Scores of one or more seeds.
    """
    donors = by_donor(records).groupby("method")
    table = donors[["W1", "energy", "variance_ratio"]].mean()
    table["best"] = donors["over_neighbours"].min()
    table["worst"] = donors["over_neighbours"].max()
    table["cpu_s"] = records.groupby("method")["cpu_s"].mean()
    return table.sort_values("W1")


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    options = parser(__doc__)
    for name in PROGRAMS:
        options.add_argument(f"--{name}", metavar="PYTHON", help=f"the Python that has {name}")
    options.add_argument("--steps", type=int, default=1000, help="of the default fit, 0 for none")
    options.add_argument("--donors", nargs="+", help="to leave out, by default all eight")
    add_seeds(options)
    chosen = options.parse_args(argv)
    told = {name: getattr(chosen, name) for name in PROGRAMS}
    pythons = {name: python for name, python in told.items() if python is not None}
    adata, parts = ct.datasets.kang_pca5(), []
    for seed in chosen.seeds:
        parts.append(scores(adata, pythons, chosen.steps, seed, donors=chosen.donors))
        records = pd.concat(parts, ignore_index=True)
        report("response_strangers", records, summary(records), chosen.out)
        by_donor(records).to_csv(chosen.out / "response_strangers.csv")


if __name__ == "__main__":
    main()
