"""Tell how much samples and batches of a time course differ."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata import annotated, sample_record
from celltraj._anndata.results import SAMPLE_REPORT
from celltraj._anndata.studies import read_study
from celltraj._checks import checked


@checked
def sample_report(
    adata: AnnData,
    *,
    sample_key: str,
    batch_key: str | None = None,
    time_key: str = "time",
    use_rep: str | None = None,
    max_cells: int = 300,
    key_added: str = "sample_report",
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> AnnData | None:
    """Replicates: tell how far samples of a time are apart, and what batches hide of time.

    Distances between samples stand beside those between halves of one sample, of equally many
    cells. Where the former are larger, cells of a sample are not independent draws of their time,
    and intervals must take samples as units: ``inflation`` is the factor by which a standard error
    by cell is too short for the mean state, ``sqrt(B / W)`` with ``B`` the variance of the means of
    samples and ``W`` that which cells alone would make.

    With ``batch_key`` times and batches are the nodes of a graph: two times that no way connects
    differ by what no method can divide into time and batch. Where a time was seen in several
    batches, their shift is compared with how far cells move to the times beside.

    Parameters
    ----------
    adata
        Cells of all times.
    sample_key
        Column of ``obs`` with the samples: embryos, mice, donors, wells. Cells without one are left
        out, and counted in the notes.
    batch_key
        Column of ``obs`` with the batches: runs, plates, days of work.
    time_key
        Column of ``obs`` with the sampling times; their unit is kept.
    use_rep
        ``"X"`` or a key of ``obsm``; by default ``X_pca``, or ``X`` with at most 50 variables.
    max_cells
        Most cells on each side of a distance; drawn at random, half of those of the smallest sample
        of a time where these are fewer.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of the draws of cells and of the permutations.
    progress
        Whether to show progress bars.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``uns["celltraj"][key_added]``: params,
    version, seed, table (one row per time: time, n_samples, n_cells, n_smallest, n_side,
    W1_between, W1_within, energy_between, energy_within, inflation, p, verdict), gaps (t0, t1,
    told, n_side, W1, W1_within, energy, energy_within, excess), notes (about, note) and with
    ``batch_key`` shifts (time, n_batches, n_side, W1, W1_within, energy, energy_within, excess,
    of_samples, movement, ratio) and batches (batch, time, n_cells, n_samples), which
    :func:`celltraj.get.sample_report` reads. W1 is in [x], the energy distance in its root, p that
    of the energy test that all samples of a time follow one law.

    Raises
    ------
    KeyError
        There is no such column or representation.
    ValueError
        ``max_cells`` below 2, no cell has a label, or nearly every cell one of its own.

    Notes
    -----
    Samples and batches of fewer than ten cells at a time take part in no distance there, and are
    named in the notes. Comparisons run in the processes, or on the cluster, of
    ``joblib.parallel_config``.

    References
    ----------
    Rizzo & Székely, *DISCO analysis: a nonparametric extension of analysis of variance* (2010);
    Kish, *Survey sampling* (1965), for the design effect.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=60, seed=0)
    >>> adata.obs["mouse"] = [f"m{k % 3}" for k in range(adata.n_obs)]
    >>> ct.tl.sample_report(adata, sample_key="mouse", batch_key="time", progress=False)
    >>> ct.get.sample_report(adata)["n_samples"].tolist()
    [3, 3, 3, 3, 3]
    >>> ct.get.sample_report(adata, part="notes")["note"].iloc[-1][:32]
    'each time is a batch of its own:'
    """
    SAMPLE_REPORT.claim(adata, key_added)
    if max_cells < 2:
        raise ValueError(f"max_cells must be at least 2; found {max_cells}")
    found = read_study(
        adata,
        sample_key=sample_key,
        batch_key=batch_key,
        time_key=time_key,
        use_rep=use_rep,
        max_cells=max_cells,
        seed=seed,
    )
    tables = found.study.tables(progress=progress)
    left_out = pd.DataFrame({"about": "cells", "note": list(found.notes)}, dtype=object)
    notes = pd.concat([left_out, tables["notes"]], ignore_index=True).rename(index=str)
    params = {
        "sample_key": sample_key,
        "batch_key": batch_key,
        "time_key": time_key,
        "use_rep": found.use_rep,
        "max_cells": max_cells,
    }
    adata = annotated(adata, copy)
    record = sample_record(params, seed) | tables | {"notes": notes}
    SAMPLE_REPORT.write(adata, key_added, record)
    return adata if copy else None
