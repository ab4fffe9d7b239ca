"""Predict a donor that was never treated by scGen, in the Python that has it.

Lotfollahi et al., *scGen predicts single-cell perturbation responses* (2019); scgen 2.1.0 needs
scvi-tools 0.19 and packages of its time, see ``benchmarks/README.md``. ``python -m
benchmarks.peers_scgen GIVEN FOUND`` reads and writes what ``benchmarks.response_strangers`` says.
Its autoencoder, made for thousands of genes, sees the components in their place; cell types of the
training, which it asks for, balance the mean shift. Fixed before any score was seen: 256 hidden
units (by default 800), 30 epochs of batches of 128 (its tutorial: at most 100 of 32). All else is
its default.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch, which reads it once

import numpy as np

N_EPOCHS, BATCH, WIDTH = 30, 128, 256


def predict(given: dict[str, np.ndarray]) -> np.ndarray:
    """Return the treated cells ``(m, d)`` that scGen makes of ``cells``."""
    import pandas as pd
    import scgen
    import scvi
    import torch
    from anndata import AnnData

    torch.set_num_threads(1)
    scvi.settings.seed = int(given["seed"])
    treated, types = given["treated"], given["cell_type"]

    def annotated(x: np.ndarray, condition: np.ndarray, types: np.ndarray) -> AnnData:
        obs = {"condition": np.where(condition, "treated", "control"), "cell_type": types}
        return AnnData(x, obs=pd.DataFrame(obs, index=list(map(str, range(len(x))))))

    train = annotated(given["x"], treated, types)
    scgen.SCGEN.setup_anndata(train, batch_key="condition", labels_key="cell_type")
    model = scgen.SCGEN(train, n_hidden=WIDTH)
    model.train(max_epochs=N_EPOCHS, batch_size=BATCH, use_gpu=False)
    cells = given["cells"]
    # what type the new cells are is not looked at: any known one will do
    before = annotated(cells, np.zeros(len(cells), bool), np.full(len(cells), types[0]))
    found, _ = model.predict(ctrl_key="control", stim_key="treated", adata_to_predict=before)
    return np.asarray(found.X)


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
