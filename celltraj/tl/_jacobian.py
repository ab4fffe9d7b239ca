"""How a law of motion changes with the state: which genes move which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import Tensor

from celltraj._anndata import (
    annotated,
    read_groups,
    read_projection,
    read_space,
    read_times,
    sample_record,
    variables_of,
)
from celltraj._anndata.results import JACOBIAN
from celltraj._anndata.source import Source
from celltraj._checks import checked
from celltraj.models import Process
from celltraj.models.jacobian.by_group import GeneSlopes, GroupSlopes, slopes_by_group

_ALL = "all"  # name of the only group where none are told apart
_SHOWN = 20


@checked
def jacobian(
    adata: AnnData,
    model: Process,
    *,
    groupby: str | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    n_top: int = 50,
    time_key: str = "time",
    use_rep: str | None = None,
    key_added: str = "jacobian",
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> AnnData | None:
    r"""Jacobian of the velocity: tell which genes change the velocity of which, cell by cell.

    ``J_ij = dv_i / dx_j`` at every cell and its time, and of genes ``W J W'`` with the loadings
    ``W`` of :func:`celltraj.pp.pca_model`: above zero where more of the regulator speeds up the
    target. It is a property of the fitted law, not a cause that was tested: genes that move
    together look alike, and in principal components genes of like loadings share all effects. The
    plug-in drift of a bridge (``training=None``) leads to single cells, which its derivatives then
    tell of: pass ``bridge.reference``, or a trained one.

    Parameters
    ----------
    adata
        Cells: the data of the fit, or any others in the same space.
    model
        A fitted bridge or flow, or any process.
    groupby
        Column of ``obs`` with the groups that means are taken of; cells without one are left out
        of means.
    pairs
        Pairs of regulator and target whose derivative is written for every cell, and described in
        place of the strongest ones.
    n_top
        Strongest pairs of different genes of each group and time that are described.
    time_key
        Column of ``obs`` with the sampling times.
    use_rep
        ``"X"`` or a key of ``obsm``; by default the one that ``model`` was fitted in.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of nothing, and recorded: there is nothing random here.
    progress
        Whether to show progress bars.

    Returns
    -------
    Nothing, with ``copy=True`` the annotated copy. Written, all in 1/[t]:
    ``obs["{key_added}_divergence"]`` (the trace: below zero where cells converge),
    ``obs["{key_added}_instability"]`` (largest real part of the eigenvalues: above zero where small
    differences grow), with ``pairs`` also ``obsm[key_added]`` (``(n_obs, n_pairs)``, float32);
    ``uns["celltraj"][key_added]`` (params, version, seed; ``table`` of pairs, ``means`` of
    variables by group and time, their ``rows``, ``genes`` and ``loadings``), which
    :func:`celltraj.get.jacobian` reads.

    Raises
    ------
    KeyError
        A column, a representation or a gene of a pair does not exist.
    ValueError
        The model has another dimension than ``use_rep``, a derivative is not finite, ``pairs`` is
        empty, or ``n_top`` is below 1.

    References
    ----------
    Qiu et al., *Mapping transcriptomic vector fields of single cells* (2022).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    >>> ct.tl.jacobian(adata, bridge, groupby="arm", pairs=[("x", "y")], progress=False)
    >>> adata.obsm["jacobian"].shape == (adata.n_obs, 1)
    True
    """
    JACOBIAN.claim(adata, key_added)
    if n_top < 1:
        raise ValueError(f"n_top must be at least 1; found {n_top}")
    name, x = read_space(adata, model, use_rep, time_key)
    times, groups = read_times(adata, time_key), _groups(adata, groupby)
    genes, loadings = _genes(adata, name)
    asked = None if pairs is None else _places(pairs, genes)
    found = slopes_by_group(
        model,
        torch.from_numpy(x),
        torch.from_numpy(times),
        torch.from_numpy(groups.cat.codes.to_numpy().astype(int)),
        GeneSlopes(loadings, asked, n_top),
        progress=progress,
    )
    params = {
        "model": type(model).__name__,
        "groupby": groupby,
        "n_top": n_top if pairs is None else None,
        "time_key": time_key,
        "use_rep": name,
        "derivatives": found.by,
    }
    record = sample_record(params, seed) | _tables(found, list(groups.cat.categories), genes)
    if not torch.equal(loadings, torch.eye(x.shape[1], dtype=loadings.dtype)):
        record["loadings"] = loadings.numpy()
    columns = {
        f"{key_added}_divergence": found.divergence,
        f"{key_added}_instability": found.instability,
    }
    if found.values is not None:
        columns[key_added] = found.values
    source = Source.of(adata, time_key, name)
    adata = annotated(adata, copy)
    single = {slot: values.numpy().astype(np.float32) for slot, values in columns.items()}
    JACOBIAN.write(adata, key_added, record, single, source=source)
    return adata if copy else None


def _groups(adata: AnnData, groupby: str | None) -> pd.Series:
    if groupby is not None:
        return read_groups(adata, groupby)
    return pd.Series(_ALL, index=adata.obs_names, dtype="category")


def _genes(adata: AnnData, use_rep: str) -> tuple[list[str], Tensor]:
    """Return names of genes and their rows in the variables; variables where no way leads back."""
    projection = read_projection(adata)
    if projection is not None and use_rep == projection.use_rep:
        return list(projection.names), torch.from_numpy(projection.loadings)
    names = list(variables_of(adata, use_rep))
    return names, torch.eye(len(names), dtype=torch.float64)


def _places(pairs: Sequence[tuple[str, str]], genes: list[str]) -> Tensor:
    """Return target and regulator of each pair as numbers, ``(p, 2)``."""
    if not len(pairs):
        raise ValueError("pairs= names none; leave it out for the strongest")
    place = {name: k for k, name in enumerate(genes)}
    if unknown := sorted({one for pair in pairs for one in pair} - set(place)):
        raise KeyError(
            f"pairs= names {unknown[:_SHOWN]}, which are not among the genes of the law, "
            f"{genes[:_SHOWN]}"
        )
    return torch.tensor([[place[target], place[regulator]] for regulator, target in pairs])


def _tables(found: GroupSlopes, groups: list[str], genes: list[str]) -> dict[str, object]:
    """Return what is known of each group and time, and of pairs of genes there."""
    names = np.array(genes, dtype=object)
    rows = pd.DataFrame(
        {
            "group": [groups[k] for k in found.group],
            "time": found.time,
            "n_cells": found.n_cells,
        }
    )
    parts = [
        pd.DataFrame(
            {
                "group": row.group,
                "time": row.time,
                "regulator": names[one.pairs[:, 1]],
                "target": names[one.pairs[:, 0]],
                "mean": one.mean.numpy(),
                "std": one.spread.numpy(),
                "agreement": one.agreement.numpy(),
                "n_cells": row.n_cells,
            }
        )
        for row, one in zip(rows.itertuples(), found.moments, strict=True)
    ]
    return {
        "table": pd.concat(parts, ignore_index=True).rename(index=str),
        "rows": rows.rename(index=str),
        "means": found.means.numpy(),
        "genes": names,
    }
