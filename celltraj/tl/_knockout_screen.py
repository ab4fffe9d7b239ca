"""Knock out many genes, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from tqdm.auto import tqdm

from celltraj._anndata import annotated, time_key_of_model
from celltraj._anndata.expression import marked_genes
from celltraj._anndata.results import KNOCKOUT
from celltraj._checks import checked
from celltraj._errors import DataWarning, warn
from celltraj._typing import Time
from celltraj.models import Process
from celltraj.tl._knock_outs import (
    check_held,
    places_of,
    read_experiment,
    record_of,
    shift_table,
    with_p,
)
from celltraj.tl._knock_screen import random_genes, screen_p

_SHOWN = 10
_FEWEST = 2


@checked
def knockout_screen(
    adata: AnnData,
    model: Process,
    *,
    genes: Sequence[str] | str,
    start: Time,
    stop: Time | None = None,
    groupby: str,
    level: float = 0.0,
    n_null: int = 200,
    key_added: str = "knockout_screen",
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> AnnData | None:
    """Knock-out screen: tell which of many genes shift fates more than random genes do.

    As :func:`celltraj.tl.knockout`, with random genes that all share: each gene is compared with
    the quarter of them that is nearest to it in mean and spread of expression. The least p value is
    therefore ``1 / (1 + n_null / 4)``, and of ``m`` genes a single driver can reach ``q`` of .05
    only with ``n_null`` of about ``80 m``: screen few genes, or read the order of the shifts. A
    quarter is a wide range: of genes that do no more than others of their spread, about 6 % of
    those that vary more than most have p below .05, and 2 % of those that vary less.

    Parameters
    ----------
    adata
        Cells of all times, with the projection that the model was fitted in
        (:func:`celltraj.pp.pca_model`), unless that was in ``X``.
    model
        A fitted bridge or flow.
    genes
        Names of the genes, each of which is knocked out alone, or a boolean column of ``var``.
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
        Random genes that are knocked out for comparison.
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
    version, seed; ``table``, a row per gene and fate: genes, fate, control, knockout, shift, p, q;
    ``null``: genes, fate, shift). ``q`` is by Benjamini and Hochberg over the genes of a fate. Rows
    of genes that are constant, or that the components hold nothing of, are NaN.

    Warns
    -----
    DataWarning
        Some genes are constant, or the components hold nothing of them.

    Raises
    ------
    KeyError
        A column does not exist, of ``obs`` or of ``var``.
    TypeError
        A response was passed.
    ValueError
        Genes that are not in the data, none that the state holds anything of, no cells at a time or
        none in a group, ``start`` not before ``stop``, no projection, ``n_null`` below 2,
        or a column of ``var`` that is not boolean.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["arm"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    >>> ct.tl.knockout_screen(
    ...     adata, bridge, genes=["y"], start=1.0, groupby="arm", n_null=2, progress=False
    ... )
    >>> ct.get.knockout(adata, key="knockout_screen").shape
    (2, 7)
    """
    KNOCKOUT.claim(adata, key_added)
    if n_null < _FEWEST:
        raise ValueError(f"n_null must be at least {_FEWEST}; found {n_null}")
    time_key = time_key_of_model(adata, model)
    span = (start, stop)
    experiment = read_experiment(
        adata, model, span=span, groupby=groupby, level=level, time_key=time_key, seed=seed
    )
    places = places_of(_listed(adata, genes), experiment)
    is_held = experiment.can_be_held()[places]
    if not is_held.any():
        check_held(places, experiment)
    _warn_of_constant([experiment.names[i] for i in np.array(places)[~is_held]])
    control, _ = experiment.shares()
    random = random_genes(experiment, n_null, np.random.default_rng(seed))
    tried = [place for place, one in zip(places, is_held, strict=True) if one]
    bar = tqdm([*tried, *random], desc="knock-outs", unit="gene", disable=not progress)
    held = np.array([experiment.shares([one])[0] for one in bar])
    tested, null = np.full((len(places), len(control)), np.nan), held[len(tried) :]
    tested[is_held] = held[: len(tried)]
    table = shift_table([experiment.names[i] for i in places], experiment.fates, control, tested)
    p = np.full(tested.shape, np.nan)
    p[is_held] = screen_p(experiment, tried, random, tested[is_held] - control, null - control)
    record = record_of(experiment, n_null=len(random), groupby=groupby, time_key=time_key)
    names = [experiment.names[i] for i in random]
    shifts = shift_table(names, experiment.fates, control, null)[["genes", "fate", "shift"]]
    results = {"table": with_p(table, p.ravel()), "null": shifts}
    record |= {name: one.rename(index=str) for name, one in results.items()}
    adata = annotated(adata, copy)
    KNOCKOUT.write(adata, key_added, record)
    return adata if copy else None


def _warn_of_constant(names: Sequence[str]) -> None:
    if names:
        warn(
            f"the state holds nothing of {len(names)} genes, which are constant or have no "
            f"loadings: {list(names[:_SHOWN])}; nothing is known of their loss, and their rows are "
            "NaN",
            DataWarning,
        )


def _listed(adata: AnnData, genes: Sequence[str] | str) -> list[str]:
    """Return names of genes, also those that a column of ``var`` marks."""
    if not isinstance(genes, str):
        return list(genes)
    names: list[str] = adata.var_names[marked_genes(adata, genes)].tolist()
    return names
