"""List the results that an AnnData holds."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import held_results
from celltraj._checks import checked


@checked
def results(adata: AnnData) -> pd.DataFrame:
    """List the results that ``adata`` holds, and whether they are still true of its cells.

    Parameters
    ----------
    adata
        Data with results, also from a file; not changed.

    Returns
    -------
    One row for each result: key (pass it as ``key=``), kind, call (that made it, or one like it),
    places (that it fills, besides its record in ``uns["celltraj"][key]``), reads (the key or the
    column that it was computed from), version (of celltraj), seed, state and change. The state is
    ``"fresh"``; ``"stale"`` where the cells are others than it was computed from, so that it is no
    longer read, and change says how; ``"unchecked"`` where it keeps no digest of cells, as what was
    computed from another result; ``"unknown"`` where nothing is known of its kind.

    Raises
    ------
    ValueError
        ``adata.uns["celltraj"]`` is not a dict.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.tl.entropy(adata)
    >>> held = ct.get.results(adata).set_index("key")
    >>> held["state"].to_dict(), held.loc["ct_entropy", "reads"]
    ({'couplings': 'fresh', 'ct_entropy': 'fresh'}, 'couplings')
    """
    return held_results(adata)
