"""Knock genes out along a fitted law of motion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from tqdm.auto import tqdm

from celltraj._anndata import annotated, time_key_of_model
from celltraj._anndata.results import KNOCKOUT
from celltraj._checks import checked
from celltraj._typing import Time
from celltraj.models import Process
from celltraj.tl._knock_outs import (
    check_held,
    matched_sets,
    places_of,
    read_experiment,
    record_of,
    share_as_large,
    shift_table,
    with_p,
)


@checked
def knockout(
    adata: AnnData,
    model: Process,
    *,
    genes: Sequence[str],
    start: Time,
    stop: Time | None = None,
    groupby: str,
    level: float = 0.0,
    n_null: int = 100,
    key_added: str = "knockout",
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> AnnData | None:
    r"""In-silico knock-out: hold genes at zero, and tell how fates shift, against random genes.

    Cells at ``start`` are simulated to ``stop`` with and without the genes, with the same noise;
    ``dz = (1 - W_S^+ W_S) b(t, z') dt + sigma dW``, where ``z'`` is the nearest state without their
    expression. Division and death are those of ``z'`` too. The law itself is that of the cells as
    they were observed: what is told is which of the observed fates the changed state leads to.

    Parameters
    ----------
    adata
        Cells of all times, with the projection that the model was fitted in
        (:func:`celltraj.pp.pca_model`), unless that was in ``X``.
    model
        A fitted bridge or flow.
    genes
        Names of the genes that are knocked out together.
    start
        Sampling time whose cells lose the genes, up to 500 of them, as a number or its label in the
        column of ``obs`` that the model was fitted with (of a model without a record in ``adata``
        the one that all results share, else ``"time"``).
    stop
        Sampling time at which fates are read, the last one by default; the genes are held until
        then.
    groupby
        Column of ``obs`` with the groups that count as fates.
    level
        Expression that the genes are held at, in the unit of the data; 0 is a knock-out.
    n_null
        Random sets of as many genes, each of like mean and spread of expression, none twice; 0 for
        none. Genes that are alike are few: more sets reach farther.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of the noise, which is the same with and without the genes, and of the random ones.
    progress
        Whether to show progress bars.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``uns["celltraj"][key_added]`` (params,
    version, seed; ``table``, a row per fate: genes, fate, control, knockout, shift, p, q; ``null``,
    a row per random set and fate: genes, fate, shift; ``masses``: cells per starting cell with and
    without the genes). ``p`` is the share of random sets with as large a shift, two-sided, and at
    least ``1 / (n_null + 1)``; ``n_null`` is recorded as the number of sets that were found.

    Raises
    ------
    KeyError
        A column does not exist.
    TypeError
        A response was passed, or one name in place of a list.
    ValueError
        Genes that are not in the data, that are constant or that the components hold nothing of,
        no cells at a time or
        none in a group, ``start`` not before ``stop``, no projection, genes that cannot all be at
        the level, no other genes to compare with, or ``n_null`` below 0.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["arm"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    >>> silent = {"n_null": 1, "progress": False}
    >>> ct.tl.knockout(adata, bridge, genes=["y"], start=1.0, groupby="arm", **silent)
    >>> ct.get.knockout(adata)["fate"].tolist()
    ['down', 'up']
    """
    KNOCKOUT.claim(adata, key_added)
    if isinstance(genes, str):
        raise TypeError(f'genes must be a list of names, such as ["{genes}"]')
    if n_null < 0:
        raise ValueError(f"n_null must be 0 or more; found {n_null}")
    time_key = time_key_of_model(adata, model)
    span = (start, stop)
    experiment = read_experiment(
        adata, model, span=span, groupby=groupby, level=level, time_key=time_key, seed=seed
    )
    places = places_of(list(genes), experiment)
    check_held(places, experiment)
    control, mass = experiment.shares()
    held, held_mass = experiment.shares(places)
    rng = np.random.default_rng(seed)
    sets = matched_sets(places, experiment, n_null, rng)
    if n_null and not sets:
        raise ValueError("too few other genes to compare with; pass n_null=0")
    bar = tqdm(sets, desc="random genes", unit="set", disable=not progress)
    shifts = np.array([experiment.shares(one)[0] - control for one in bar])
    joined = " + ".join(experiment.names[i] for i in places)
    table = shift_table([joined], experiment.fates, control, held[None])
    shifts = shifts.reshape(len(sets), len(experiment.fates))
    p = share_as_large(shifts, held - control) if sets else np.full(len(control), np.nan)
    names = [" + ".join(experiment.names[i] for i in one) for one in sets]
    record = record_of(experiment, n_null=len(sets), groupby=groupby, time_key=time_key)
    random = shift_table(names, experiment.fates, control, shifts + control)
    masses = pd.DataFrame({"cells": ["control", "knockout"], "mass": [mass, held_mass]})
    results = {
        "table": with_p(table, p),
        "null": random[["genes", "fate", "shift"]],
        "masses": masses,
    }
    record |= {name: one.rename(index=str) for name, one in results.items()}
    adata = annotated(adata, copy)
    KNOCKOUT.write(adata, key_added, record)
    return adata if copy else None
