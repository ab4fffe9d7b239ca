"""What the fit of a response costs as patients, drugs and doses grow: CPU seconds and memory.

``n`` patients, each with untreated cells, and ``n_drugs`` drugs at one of three doses, by turns, or
at each of them. Cells lie around a place of their patient in ``d`` variables and are moved by their
drug, the more the higher its dose. 300 patients under 20 drugs with 60 untreated and 30 treated
cells are 198,000 cells of 6,000 treated samples, which is the size of a large screen. Each size is
fitted in a process of its own, on one thread; ``--steps`` shortens the training and leaves the
rest as it is, and a row is written as soon as it is known. Memory is the peak above what the
process held after import, cells included. The slope is the power of the number of treatments.
"""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

import celltraj as ct
from benchmarks._apart import Meter, apart
from benchmarks._report import parser, report

DOSES = (0.1, 1.0, 10.0)
N_UNTREATED, N_TREATED, N_VARIABLES = 60, 30, 20


def screen(n_patients: int, n_drugs: int, *, every_dose: bool = False, seed: int = 0) -> AnnData:
    """Return patients under drugs, each at one dose by turns or at every dose."""
    rng = np.random.default_rng(seed)
    drug, dose = (values.ravel() for values in np.indices((n_drugs, len(DOSES))))
    place = rng.normal(size=(n_patients, N_VARIABLES))
    shift = 2 * rng.normal(size=(n_drugs, N_VARIABLES)) / np.sqrt(N_VARIABLES)
    patients, drugs, doses = [], [], []
    for k in range(n_patients):
        given = np.ones(len(drug), dtype=bool) if every_dose else (drug + k) % len(DOSES) == dose
        counts = np.r_[N_UNTREATED, np.full(given.sum(), N_TREATED)]
        patients.append(np.full(counts.sum(), k))
        drugs.append(np.repeat(np.r_[-1, drug[given]], counts))
        doses.append(np.repeat(np.r_[np.nan, np.array(DOSES)[dose[given]]], counts))
    who, what, much = (np.concatenate(parts) for parts in (patients, drugs, doses))
    effect = np.where(what < 0, 0.0, much / (1 + much))[:, None]
    x = place[who] + rng.normal(size=(len(who), N_VARIABLES)) + effect * shift[what]
    names = np.array([*(f"drug {k}" for k in range(n_drugs)), "control"])  # -1 is the last
    obs = pd.DataFrame(
        {"patient": pd.Categorical(who.astype(str)), "drug": names[what], "dose": much},
        index=np.arange(len(who)).astype(str),
    )
    return AnnData(x.astype(np.float32), obs=obs)


def measured(n_patients: int, n_drugs: int, *, every_dose: bool, steps: int | None) -> pd.Series:
    """Return CPU seconds and memory of one fit, in this process."""
    adata = screen(n_patients, n_drugs, every_dose=every_dose)
    with Meter() as meter:
        model = ct.tl.fit_response(
            adata,
            population_key="patient",
            condition_key="drug",
            control="control",
            dose_key="dose",
            use_rep="X",
            training=ct.models.Training(max_steps=steps),
            progress=False,
        )
    return pd.Series(
        {
            "patients": n_patients,
            "treatments": len(adata.obs.query("drug != 'control'").groupby(
                ["patient", "drug", "dose"], observed=True).size()),
            "cells": adata.n_obs,
            "steps": len(model.losses),
        }
    )
