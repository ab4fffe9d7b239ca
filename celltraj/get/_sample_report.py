"""Read how much samples and batches differ."""

from __future__ import annotations

from typing import Literal

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import SAMPLE_REPORT
from celltraj._checks import checked


@checked
def sample_report(
    adata: AnnData,
    *,
    key: str = "sample_report",
    part: Literal["table", "gaps", "shifts", "batches", "notes"] = "table",
) -> pd.DataFrame:
    """Return how far samples of each time are apart, or another part of the report.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.sample_report`, also one that was read from a file.
    key
        The ``key_added`` of :func:`celltraj.tl.sample_report`.
    part
        ``"table"``, one row for each time; ``"gaps"``, how far cells move from time to time;
        ``"shifts"``, how far batches of one time are apart; ``"batches"``, what was seen in each;
        ``"notes"``, what all that means in sentences.

    Returns
    -------
    A new table, with the columns that :func:`celltraj.tl.sample_report` says.

    Raises
    ------
    KeyError
        There is no such record, or no ``batch_key`` was told.
    ValueError
        That part has no rows, as shifts where no time was seen in two batches.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=60, seed=0)
    >>> adata.obs["mouse"] = [f"m{k % 3}" for k in range(adata.n_obs)]
    >>> ct.tl.sample_report(adata, sample_key="mouse", progress=False)
    >>> ct.get.sample_report(adata, part="gaps")[["t0", "t1"]].values.tolist()
    [[0.0, 1.0], [1.0, 2.0], [2.0, 3.0], [3.0, 4.0]]
    """
    record = SAMPLE_REPORT.read(adata, key)
    if part not in record:
        raise KeyError(
            f"the result {key!r} tells nothing of batches; run ct.tl.sample_report(adata, "
            "batch_key=...) with the column that holds them"
        )
    if part == "shifts" and len(record[part]) == 0:
        raise ValueError(
            "no time was seen in two batches, so that no shift between them can be told; see "
            'ct.get.sample_report(adata, part="notes")'
        )
    if part in ("notes", "gaps") and len(record[part]) == 0:
        return SAMPLE_REPORT.plain(record[part], part)
    return SAMPLE_REPORT.table(adata, key, part)
