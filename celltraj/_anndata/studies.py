"""Read which sample and which batch each cell is of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata.columns import check_written, column_of, texts_of
from celltraj._anndata.read import read_representation
from celltraj._anndata.times import read_times
from celltraj.models.replicates.study import Study


@dataclass(frozen=True, eq=False)
class Labelled:
    """Hold the cells of a study that have a sample, and what is to be said of the others.

    Parameters
    ----------
    study
        Cells with labels.
    use_rep
        Name of the representation that was read.
    notes
        Sentences on cells that are left out.
    """

    study: Study
    use_rep: str
    notes: tuple[str, ...]


def read_study(
    adata: AnnData,
    *,
    sample_key: str,
    batch_key: str | None,
    time_key: str,
    use_rep: str | None,
    max_cells: int,
    seed: int,
) -> Labelled:
    """Return the cells that have a sample, and a batch where these are told.

    Raises
    ------
    KeyError
        A column or representation does not exist.
    ValueError
        No cell has a label, or states or times cannot be used.
    """
    samples = read_labels(adata, sample_key, what="samples")
    batches = None if batch_key is None else read_labels(adata, batch_key, what="batches")
    times = read_times(adata, time_key)
    name, x = read_representation(adata, use_rep)
    is_known, notes = np.ones(adata.n_obs, dtype=bool), []
    for key, labels in ((sample_key, samples), (batch_key, batches)):
        if labels is None:
            continue
        missing = pd.isna(labels)
        is_known &= ~missing
        if missing.any():
            notes.append(
                f"{int(missing.sum())} of {adata.n_obs} cells have nothing in "
                f"adata.obs[{key!r}] and are left out"
            )
    if not is_known.any():
        raise ValueError(
            f"no cell has a sample in adata.obs[{sample_key!r}] and a batch in "
            f"adata.obs[{batch_key!r}]"
        )
    batches = None if batches is None else batches[is_known]
    study = Study(x[is_known], times[is_known], samples[is_known], batches, max_cells, seed)
    return Labelled(study, name, tuple(notes))


def read_labels(adata: AnnData, key: str, *, what: str) -> np.ndarray:
    """Return the label ``(n_obs,)`` of each cell as text, None where it has none.

    Raises
    ------
    KeyError
        There is no such column.
    ValueError
        No cell has a label, or nearly every cell one of its own.
    """
    labels = texts_of(column_of(adata, key, what=what))
    check_written(pd.Series(labels), f"adata.obs[{key!r}]", f"no {what}")
    n_known, n_labels = int(pd.notna(labels).sum()), len(pd.unique(labels[pd.notna(labels)]))
    if n_known == 0:
        raise ValueError(f"adata.obs[{key!r}] is missing for all cells")
    if n_labels > max(2, n_known / 2):
        raise ValueError(
            f"adata.obs[{key!r}] has {n_labels} values for {n_known} cells; {what} of many cells "
            "each are needed"
        )
    return labels


def read_samples_of_all(adata: AnnData, key: str) -> np.ndarray:
    """Return the sample of each cell, once every cell is known to have one.

    Raises
    ------
    KeyError
        There is no such column.
    ValueError
        A cell has no sample, or nearly every cell one of its own.
    """
    labels = read_labels(adata, key, what="samples")
    missing = pd.isna(labels)
    if missing.any():
        raise ValueError(
            f"adata.obs[{key!r}] is missing for {int(missing.sum())} cells (first: "
            f"{adata.obs_names[missing][0]!r}); drop them with "
            f"adata[adata.obs[{key!r}].notna()].copy()"
        )
    return labels
