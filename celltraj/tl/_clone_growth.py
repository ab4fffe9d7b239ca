"""Tell by clones which cells multiply."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj._anndata import annotated, read_representation, read_times, sample_record
from celltraj._anndata.clone_names import clone_columns
from celltraj._anndata.clones import read_kin
from celltraj._anndata.results import CLONE_GROWTH
from celltraj._anndata.source import Source
from celltraj._checks import checked
from celltraj._errors import DataWarning, warn
from celltraj.models.clonal.growth import ClonalGrowth, clonal_growth

logger = logging.getLogger("celltraj")
_SCOPE = (
    "relative to the mean of the clonal cells of each gap, not in absolute numbers; a state whose "
    "cells are seen less often later, or lose their barcodes, reads as one that dies"
)


@checked
def clone_growth(
    adata: AnnData,
    *,
    clone_key: str | Sequence[str],
    time_key: str = "time",
    use_rep: str | None = None,
    is_ancestor: bool = False,
    key_added: str = "clone_growth",
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> AnnData | None:
    r"""Net growth rates from clones: tell which cells multiply, by how many kin they leave.

    ``growth(x) = log(r(x)^s / mean(r^s)) / (t1 - t0)`` with ``r(x)`` how many later kin there are
    for each earlier clonal cell near ``x``, beside all clones, and ``s`` of 0, .5 and 1 as far as
    clones that are left out are foretold. All cells get a rate, with a barcode or without, since
    those alike multiply alike. Pass it on as ``growth_key="clone_growth"``, to
    :func:`celltraj.tl.couplings`, :func:`celltraj.tl.couple_clones`, :func:`celltraj.tl.fit_flow`
    and others.

    Parameters
    ----------
    adata
        Cells of all times.
    clone_key
        Column of ``obs`` with the clone of each cell, missing where it is not known. Where
        labels of several samples coincide, both columns: ``["mouse", "barcode"]``.
    time_key
        Column of ``obs`` with the sampling times.
    use_rep
        ``"X"`` or a key of ``obsm``; by default ``X_pca``, or ``X`` with at most 50 variables.
    is_ancestor
        Whether a cell is the ancestor itself of those of its clone at later times, as in imaging.
        By default cells are its sisters, and what is sampled once is not there later.
    key_added
        Name of the result, a column of ``obs``.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of the folds of clones.
    progress
        Whether to show progress bars.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``obs[key_added]`` (1/[t], relative to
    the clonal cells of the gap; cells of the last time have the rate of the last gap at their
    state) and ``uns["celltraj"][key_added]``: params, version, seed and the table, one row a gap,
    which :func:`celltraj.get.clone_growth` reads.

    Warns
    -----
    DataWarning
        Clones of a gap do not foretell how many cells others leave, so that its rates are 0.

    Raises
    ------
    KeyError
        There is no such column or representation.
    ValueError
        A single time; at the earlier time of a gap fewer than ten clones with two cells or more
        (with ``is_ancestor``, than ten clones), or none that is seen again.

    Notes
    -----
    ``r(x) = (sum_a k_a(x) u_a + n) / (sum_a k_a(x) v_a + n)`` over the nearest clonal cells ``a``
    of the earlier time, with the kernel of :func:`celltraj.tl.couple_clones`; ``u_a`` are the later
    cells of its clone, shared out to its earlier ones, ``v_a`` is 1 where its clone was seen by
    another cell too, and ``n`` the cells of a mean clone, whose ratio is 1. Cells that are sampled
    leave nothing, so that small clones are seen at both times more seldom than large ones. Counting
    only cells with a sister takes this off: where cells are sampled alike, the ratio does not
    depend on how large clones are. With ``is_ancestor`` all count, as ``v_a = 1``.

    The best strength by the Poisson log-likelihood of clones left out is taken where the slope of
    that at strength 0, the score of equal growth, is above 1.64 times its standard error over
    clones; the number of neighbours is chosen by other clones. Where growth is equal, a strength is
    found in at most about one gap in twenty (in none of 80 simulated). What is found is drawn
    towards the mean: a difference of 1.2 between two states of 60 clones was told as 1.0 in the
    mean, .26 from simulation to simulation.

    What clones cannot say: only growth relative to other clonal cells is told, by cells that are
    sampled alike in all states and times; a state that is sorted out, or sits in an organ that is
    not sampled, reads as one that dies, and so does a barcode that falls silent. It is the growth
    from the earlier time to the later one of cells that were in a state at the earlier, whatever
    states they pass. A single cell without sisters is not known to leave anything.

    References
    ----------
    Weinreb et al., *Lineage tracing on transcriptional landscapes links state to fate during
    differentiation* (2020), for clones sampled at two times; Wang et al., *CoSpar identifies early
    cell fate biases from single-cell transcriptomic and lineage information* (2022), for cells
    alike.

    Examples
    --------
    Forty clones of three cells, of which those on the right leave four kin and the others one:

    >>> import anndata as ad
    >>> import celltraj as ct
    >>> import numpy as np
    >>> clone = np.repeat(np.arange(40), 3)
    >>> kin = np.repeat(np.arange(40), np.where(np.arange(40) < 20, 1, 4))
    >>> place = np.where(np.concatenate([clone, kin]) < 20, -5.0, 5.0)
    >>> noise = np.random.default_rng(0).normal(size=(len(place), 2))
    >>> adata = ad.AnnData(noise + np.column_stack([place, 0 * place]))
    >>> adata.obs["time"] = np.repeat([0.0, 2.0], [len(clone), len(kin)])
    >>> adata.obs["clone"] = np.concatenate([clone, kin]).astype(str)
    >>> ct.tl.clone_growth(adata, clone_key="clone", progress=False)
    >>> bool(adata.obs["clone_growth"][place > 0].min() > 0)
    True
    >>> ct.tl.couplings(adata, growth_key="clone_growth", progress=False)
    """
    CLONE_GROWTH.claim(adata, key_added)
    name, x = read_representation(adata, use_rep)
    found = read_kin(adata, x, clone_key=clone_key, time_key=time_key, is_ancestor=is_ancestor)
    gaps, times = list(found), read_times(adata, time_key)
    generator = torch.Generator().manual_seed(seed)
    rates, parts = np.empty(adata.n_obs, dtype=np.float32), []
    for counts in gaps:
        one = clonal_growth(counts, generator=generator, progress=progress)
        # the last time has no gap of its own
        for time in counts.times if counts is gaps[-1] else counts.times[:1]:
            here = times == time
            rates[here] = one(torch.from_numpy(x[here].astype(float))).numpy()
        parts.append({"t0": counts.times[0], "t1": counts.times[1]} | _row(one))
    table = pd.DataFrame(parts).rename(index=str)
    words = _in_words(table)
    logger.info("growth of clones: %s", words)
    params = {
        "clone_key": clone_columns(clone_key),
        "time_key": time_key,
        "use_rep": name,
        "is_ancestor": is_ancestor,
        "found": words,
        "scope": _SCOPE,
    }
    _warn_of_none(table)
    record = sample_record(params, seed) | {"table": table}
    source = Source.of(adata, time_key, name)
    adata = annotated(adata, copy)
    CLONE_GROWTH.write(adata, key_added, record, {key_added: rates}, source=source)
    return adata if copy else None


def _row(one: ClonalGrowth) -> dict[str, object]:
    """Return what the table says of a gap."""
    return {
        "n_clones": one.n_clones,
        "strength": one.strength,
        "gain": one.gain,
        "error": one.error,
        "z": one.z,
        "n_neighbors": one.ratio.near.n_neighbors,
        "words": one.words,
    }


def _in_words(table: pd.DataFrame) -> str:
    rows = table[["t0", "t1", "words"]].itertuples(index=False)
    return "; ".join(f"{t0:g} to {t1:g}: {words}" for t0, t1, words in rows)


def _warn_of_none(table: pd.DataFrame) -> None:
    """Warn of gaps whose clones do not tell of growth."""
    plain = table[table["strength"] == 0]
    if len(plain):
        warn(
            f"clones tell of no growth in some gaps, where all rates are 0: {_in_words(plain)}",
            DataWarning,
        )
