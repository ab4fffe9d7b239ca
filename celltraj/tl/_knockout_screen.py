"""Knock out many genes, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from tqdm.auto import tqdm

from celltraj._anndata import annotated
from celltraj._anndata.expression import marked_genes
from celltraj._anndata.results import KNOCKOUT
from celltraj._typing import Time
from celltraj.models import Process
from celltraj.tl._knock_outs import (
    Experiment,
    places_of,
    read_experiment,
    record_of,
    share_as_large,
    shift_table,
    with_p,
)

_NEAREST = 2  # of the random genes, the half that is nearest in expression


def knockout_screen(
    adata: AnnData,
    process: Process,
    *,
    genes: Sequence[str] | str,
    start: Time,
    stop: Time | None = None,
    groupby: str,
    level: float = 0.0,
    n_null: int = 200,
    time_key: str = "time",
    key_added: str = "knockout_screen",
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> AnnData | None:
    """Knock out each of many genes alone, and tell which shift fates more than random genes do.

    As :func:`celltraj.tl.knockout`, with random genes that all share: each gene is compared with
    the half of them that is nearest to it in mean and spread of expression. The least p value is
    therefore ``1 / (1 + n_null / 2)``, and of ``m`` genes a single driver can reach ``q`` of .05
    only with ``n_null`` of about ``40 m``: screen few genes, or read the order of the shifts.

    Parameters
    ----------
    adata
        Cells of all times, with the projection that the process was fitted in
        (:func:`celltraj.pp.pca_model`), unless that was in ``X``.
    process
        A fitted bridge or flow.
    genes
        Names of the genes, each of which is knocked out alone, or a boolean column of ``var``.
    start
        Sampling time whose cells lose the genes, up to 500 of them, as a number or its label.
    stop
        Sampling time at which fates are read, the last one by default; the genes are held until
        then.
    groupby
        Column of ``obs`` with the groups that count as fates.
    level
        Expression that the genes are held at, in the unit of the data; 0 is a knock-out.
    n_null
        Random genes that are knocked out for comparison.
    time_key
        Column of ``obs`` with the sampling times.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of the noise, which is the same with and without the genes, and of the random ones.
    progress
        Whether to show a progress bar.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``uns["celltraj"][key_added]`` (params,
    version, seed; ``table``, a row per gene and fate: genes, fate, control, knockout, shift, p, q;
    ``null``: genes, fate, shift). ``q`` is by Benjamini and Hochberg over the genes of a fate.

    Raises
    ------
    KeyError
        A column does not exist, of ``obs`` or of ``var``.
    TypeError
        A response was passed.
    ValueError
        Genes that are not in the data or that the components hold nothing of, no cells at a time or
        none in a group, ``start`` not before ``stop``, no projection, ``n_null`` below 2,
        or a column of ``var`` that is not boolean.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["arm"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> bridge = ct.tl.fit_bridge(adata, drift=ct.models.PlugInDrift(), progress=False)
    >>> ct.tl.knockout_screen(
    ...     adata, bridge, genes=["y"], start=1.0, groupby="arm", n_null=2, progress=False
    ... )
    >>> ct.get.knockout(adata, key="knockout_screen").shape
    (2, 7)
    """
    KNOCKOUT.claim(adata, key_added)
    if n_null < _NEAREST:
        raise ValueError(f"n_null must be at least {_NEAREST}; found {n_null}")
    span = (start, stop)
    experiment = read_experiment(
        adata, process, span=span, groupby=groupby, level=level, time_key=time_key, seed=seed
    )
    places = places_of(_listed(adata, genes), experiment)
    control, _ = experiment.shares()
    random = _random_genes(experiment, n_null, np.random.default_rng(seed))
    bar = tqdm([*places, *random], desc="knock-outs", unit="gene", disable=not progress)
    held = np.array([experiment.shares([one])[0] for one in bar])
    tested, null = held[: len(places)], held[len(places) :]
    table = shift_table([experiment.names[i] for i in places], experiment.fates, control, tested)
    p = _p_values(experiment, places, random, tested - control, null - control)
    record = record_of(experiment, n_null=len(random), groupby=groupby, time_key=time_key)
    names = [experiment.names[i] for i in random]
    shifts = shift_table(names, experiment.fates, control, null)[["genes", "fate", "shift"]]
    results = {"table": with_p(table, p.ravel()), "null": shifts}
    record |= {name: one.rename(index=str) for name, one in results.items()}
    adata = annotated(adata, copy)
    KNOCKOUT.write(adata, key_added, record)
    return adata if copy else None


def _random_genes(experiment: Experiment, n: int, rng: np.random.Generator) -> list[int]:
    """Return genes from the whole range of expression, at random in each part of it."""
    usable = np.flatnonzero(experiment.can_be_held())
    order = usable[np.argsort(experiment.expression()[usable], kind="stable")]
    parts = np.array_split(order, min(n, len(order)))
    return [int(rng.choice(part)) for part in parts]


def _p_values(
    experiment: Experiment,
    places: Sequence[int],
    random: Sequence[int],
    shifts: np.ndarray,
    null: np.ndarray,
) -> np.ndarray:
    """Return ``(r, K)`` shares of the random genes nearest in expression with as large shifts."""
    others = np.asarray(random)
    found = np.empty_like(shifts)
    for row, place in enumerate(places):
        distance = np.where(others == place, np.inf, experiment.apart(place)[others])
        near = np.argsort(distance, kind="stable")[: max(1, len(others) // _NEAREST)]
        found[row] = share_as_large(null[near], shifts[row])
    return found


def _listed(adata: AnnData, genes: Sequence[str] | str) -> list[str]:
    """Return names of genes, also those that a column of ``var`` marks."""
    if not isinstance(genes, str):
        return list(genes)
    return adata.var_names[marked_genes(adata, genes)].tolist()
