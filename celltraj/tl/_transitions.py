"""Count how much mass moves between groups of cells."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from anndata import AnnData
from tqdm.auto import tqdm

from celltraj._anndata import (
    Tied,
    annotated,
    memberships,
    read_groups,
    read_lineage,
    sample_record,
)
from celltraj._anndata.results import TRANSITIONS
from celltraj._checks import checked
from celltraj._typing import Time
from celltraj.models import Process
from celltraj.models.lineage.lineage import joint_masses


@checked
def transitions(
    adata: AnnData,
    model: Process | None = None,
    *,
    groupby: str,
    source: Time | None = None,
    target: Time | None = None,
    key: str = "couplings",
    time_key: str | None = None,
    use_rep: str | None = None,
    key_added: str = "transitions",
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> AnnData | None:
    """Count how much mass moves between groups, from ``source`` to ``target`` or over every gap.

    ``M_AB = sum_{i in A, j in B} w_i T_ij``, scaled to sum 1; ``forward`` are its rows over their
    sums (where descendants of A are), ``backward`` its columns over theirs (where ancestors of B
    were).

    Parameters
    ----------
    adata
        Cells of all times.
    model
        A fitted bridge, whose couplings are used; or a flow or any process, which is simulated from
        snapshot to snapshot. By default the couplings in ``adata``.
    groupby
        Column of ``obs`` with the groups; cells without one are left out.
    source, target
        Two sampling times, in the user's unit or as their labels, the first before the second; by
        default all neighbouring times, as :func:`celltraj.pl.sankey` draws them.
    key
        Couplings to use without a model, the ``key_added`` of :func:`celltraj.tl.couplings`.
    time_key, use_rep
        Times and representation that a model was fitted with; couplings know theirs.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of a simulation.
    progress
        Whether to show progress bars.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``uns["celltraj"][key_added]`` (params,
    version, seed, and ``table`` with a row for each pair of groups and of times: t0, t1, source,
    target, mass, forward, backward). :func:`celltraj.get.transitions` makes a matrix of it.

    Raises
    ------
    KeyError
        There are no couplings, or no such column.
    ValueError
        No cells at a time, ``source`` not before ``target`` or only one of them given, or no groups
        at a time.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["arm"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.tl.transitions(adata, groupby="arm", source=3.0, target=4.0)
    >>> ct.get.transitions(adata).shape
    (2, 2)
    """
    TRANSITIONS.claim(adata, key_added)
    if (source is None) != (target is None):
        raise ValueError(
            f"source={source} and target={target}: pass both, or neither for all neighbouring times"
        )
    groups = read_groups(adata, groupby)
    tied = read_lineage(
        adata, model, key=key, time_key=time_key, use_rep=use_rep, seed=seed, progress=progress
    )
    spans = list(pairwise(tied.lineage.times))
    if source is not None and target is not None:
        source, target = tied.times_of(adata, source, target)
        spans = [(source, target)]
    for first, last in spans:
        tied.lineage.span(first, last)
    bar = tqdm(spans, desc="transitions", unit="span", disable=not progress)
    table = pd.concat([_between(tied, groups, *span) for span in bar], ignore_index=True)
    params = {
        "groupby": groupby,
        "source": source,
        "target": target,
        "couplings": tied.name,
        "time_key": tied.time_key,
    }
    adata = annotated(adata, copy)
    record = sample_record(params, seed) | {"table": table.rename(index=str)}
    TRANSITIONS.write(adata, key_added, record, source=tied.source)
    return adata if copy else None


def _between(tied: Tied, groups: pd.Series, source: float, target: float) -> pd.DataFrame:
    """Return the rows of one pair of times: the groups that have cells there."""
    k, m = tied.lineage.span(source, target)
    before, after = memberships(groups, tied.rows[k]), memberships(groups, tied.rows[m])
    for time, members in ((source, before), (target, after)):
        if not bool(members.any()):
            raise ValueError(f"no cell at time {time:g} has a group in {groups.name!r}")
    names = groups.cat.categories.to_numpy(dtype=object)
    here, there = (part.any(0).numpy() for part in (before, after))
    mass = joint_masses(tied.lineage, before[:, here], after[:, there], source, target).numpy()
    with np.errstate(invalid="ignore"):
        forward, backward = mass / mass.sum(1, keepdims=True), mass / mass.sum(0, keepdims=True)
    n, n_after = mass.shape
    return pd.DataFrame(
        {
            "t0": float(source),
            "t1": float(target),
            "source": np.repeat(names[here], n_after),
            "target": np.tile(names[there], n),
            "mass": mass.ravel(),
            "forward": forward.ravel(),
            "backward": backward.ravel(),
        }
    )
