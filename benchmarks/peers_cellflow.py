"""Predict a donor that was never treated by CellFlow, in the Python that has it.

Klein et al., *CellFlow enables generative single-cell phenotype modeling with flow matching*
(2025); ``pip install cellflow-tools requests``. ``python -m benchmarks.peers_cellflow GIVEN FOUND``
reads and writes what ``benchmarks.response_strangers`` says. The treatment is a yes or no, the
donor a sample covariate told by the mean of its untreated cells, and cells are matched within
donors. Fixed before any score was seen: networks 256 wide (by default up to 4,096, at two to three
CPU seconds a step), 1,000 steps of 256 cells, Adam at 1e-3 (by default 5e-5, of every twentieth
step, which is meant for many more steps). All else is its default.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

# before jax, which reads them once
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

import numpy as np

WIDTH = (256, 256, 256)
N_STEPS, BATCH, RATE = 1000, 256, 1e-3
NEW = "left out"


def predict(given: dict[str, np.ndarray]) -> np.ndarray:
    """Return the treated cells ``(m, d)`` that CellFlow makes of ``cells``."""
    import optax
    import pandas as pd
    from anndata import AnnData
    from cellflow.model import CellFlow

    def annotated(x: np.ndarray, donor: np.ndarray, treated: np.ndarray) -> AnnData:
        obs = pd.DataFrame({"stim": treated, "control": ~treated}, index=map(str, range(len(x))))
        obs["donor"] = pd.Categorical(donor, categories=list(told))
        adata = AnnData(x, obs=obs, obsm={"cells": x})
        adata.uns["donors"] = told
        return adata

    x, donor, treated = (given[name] for name in ("x", "donor", "treated"))
    told = {str(name): x[(donor == name) & ~treated].mean(0) for name in np.unique(donor)}
    told[NEW] = given["population"].mean(0)
    flow = CellFlow(annotated(x, donor, treated), solver="otfm")
    flow.prepare_data(
        sample_rep="cells",
        control_key="control",
        perturbation_covariates={"stim": ["stim"]},
        sample_covariates=["donor"],
        sample_covariate_reps={"donor": "donors"},
        split_covariates=["donor"],
    )
    flow.prepare_model(
        time_encoder_dims=WIDTH,
        hidden_dims=WIDTH,
        decoder_dims=WIDTH,
        optimizer=optax.adam(RATE),
        seed=int(given["seed"]),
    )
    flow.train(num_iterations=N_STEPS, batch_size=BATCH, valid_freq=N_STEPS + 1)
    cells = given["cells"]
    names = np.full(len(cells), NEW)
    before = annotated(cells, names, np.zeros(len(cells), bool))
    asked = annotated(cells[:1], names[:1], np.ones(1, bool)).obs
    (found,) = flow.predict(before, covariate_data=asked, sample_rep="cells").values()
    return np.asarray(found)


def main(argv: list[str]) -> None:
    """Learn from one file and write what is predicted to another."""
    source, target = map(Path, argv)
    with np.load(source) as file:
        given = dict(file)
    start = time.process_time()
    x = predict(given)
    np.savez(target, x=x, cpu_s=time.process_time() - start)


if __name__ == "__main__":
    main(sys.argv[1:])
