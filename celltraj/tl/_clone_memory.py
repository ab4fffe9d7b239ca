"""Tell by clones whether cells remember how they moved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata import (
    annotated,
    read_representation,
    read_times,
    sample_record,
)
from celltraj._anndata.clone_names import clone_columns, clone_names
from celltraj._anndata.results import CLONE_MEMORY
from celltraj._anndata.source import Source
from celltraj._checks import checked
from celltraj.models.clonal.memory import ClonalPlaces, clonal_memory


@checked
def clone_memory(
    adata: AnnData,
    *,
    clone_key: str | Sequence[str],
    time_key: str = "time",
    use_rep: str | None = None,
    is_ancestor: bool = False,
    confidence: float = 0.95,
    key_added: str = "clone_memory",
    copy: bool = False,
    seed: int = 0,
) -> AnnData | None:
    r"""Hurst index: tell whether clones go on as they went, by those seen at three times or more.

    ``E|D - E D|^2 = a |t - s|^(2 H)`` for what a clone moves by from ``s`` to ``t``. ``H = 1/2``:
    moves are independent, as those of Brownian motion; above, clones go on in their direction;
    below, they turn back. Snapshots do not tell this, and neither does a single gap.

    Parameters
    ----------
    adata
        Cells of three times or more.
    clone_key
        Column of ``obs`` with the clone of each cell, missing where it is not known. Where
        labels of several samples coincide, both columns: ``["mouse", "barcode"]``.
    time_key
        Column of ``obs`` with the sampling times.
    use_rep
        ``"X"`` or a key of ``obsm``; by default ``X_pca``, or ``X`` with at most 50 variables.
    is_ancestor
        Whether a cell is the ancestor itself of those of its clone at later times, as in imaging.
        By default cells are sisters, whose scatter within clones is measured and taken off.
    confidence
        Level of the interval.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of the draws of clones.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``uns["celltraj"][key_added]``: params,
    version, seed, hurst (hurst, lower, upper, n_clones) and pairs (t0, t1, variance in [x]^2,
    fitted, n_clones), which :func:`celltraj.get.clone_memory` reads.

    Raises
    ------
    KeyError
        There is no such column or representation.
    ValueError
        Two times, no clones, or fewer than ten that were seen at three times; no two sisters of a
        clone at some time; sisters that scatter as far as clones move.

    Notes
    -----
    A law without memory reads the same where it depends on the state: a pull towards a state as ``H
    < 1/2``, cells that a valley leads on as ``H > 1/2``. An index off 1/2 says that moves are not
    independent, not why. Sisters have less in common than a cell with itself, so that what they
    remember is a lower bound. Intervals draw clones anew.

    References
    ----------
    Mandelbrot & Van Ness, *Fractional Brownian motions, fractional noises and applications* (1968).

    Examples
    --------
    >>> import anndata as ad
    >>> import celltraj as ct
    >>> import numpy as np
    >>> steps = np.random.default_rng(0).normal(size=(4, 200, 2)).cumsum(0)  # Brownian motion
    >>> adata = ad.AnnData(steps.reshape(-1, 2))
    >>> adata.obs["time"] = np.repeat([0.0, 1.0, 2.0, 3.0], 200)
    >>> adata.obs["clone"] = np.tile(np.arange(200), 4).astype(str)
    >>> ct.tl.clone_memory(adata, clone_key="clone", is_ancestor=True)
    >>> row = ct.get.clone_memory(adata).iloc[0]
    >>> bool(row["lower"] < 0.5 < row["upper"])
    True
    """
    CLONE_MEMORY.claim(adata, key_added)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1; found {confidence}")
    names = clone_names(adata, clone_key)
    known = pd.notna(names)
    rep, x = read_representation(adata, use_rep)
    times = read_times(adata, time_key)
    _, codes = np.unique(names[known].astype(str), return_inverse=True)
    places = ClonalPlaces.of(
        np.asarray(x[known], float), times[known], codes, is_ancestor=is_ancestor
    )
    found = clonal_memory(places, confidence=confidence, rng=np.random.default_rng(seed))
    params = {
        "clone_key": clone_columns(clone_key),
        "time_key": time_key,
        "use_rep": rep,
        "is_ancestor": is_ancestor,
        "confidence": confidence,
    }
    row = {
        "hurst": found.hurst,
        "lower": found.lower,
        "upper": found.upper,
        "n_clones": found.n_clones,
    }
    tables = {"hurst": pd.DataFrame([row]).rename(index=str), "pairs": found.table}
    source = Source.of(adata, time_key, rep)
    adata = annotated(adata, copy)
    CLONE_MEMORY.write(adata, key_added, sample_record(params, seed) | tables, source=source)
    return adata if copy else None
