"""Tell how open the future of each cell is."""

from __future__ import annotations

from anndata import AnnData
from tqdm.auto import tqdm

from celltraj._anndata import annotated, read_lineage, sample_record
from celltraj._anndata.results import ENTROPY
from celltraj._checks import checked


@checked
def entropy(
    adata: AnnData,
    *,
    key: str = "couplings",
    key_added: str = "ct_entropy",
    copy: bool = False,
    progress: bool = True,
) -> AnnData | None:
    """Transition entropy: tell how spread a cell's descendants are at the next time.

    ``H_i = -sum_j p_ij log p_ij`` with ``p_ij = P_ij / sum_j P_ij``: 0 where all descendants are
    like one cell, ``log m`` where they are like all ``m`` cells of that time alike. It grows with
    epsilon: compare cells, not fits.

    Parameters
    ----------
    adata
        Cells of all times.
    key
        Couplings to read, the ``key_added`` of :func:`celltraj.tl.couplings`.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    progress
        Whether to show progress bars.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``obs[key_added]`` (nats; NaN at the
    last time) and ``uns["celltraj"][key_added]`` (params, version, seed).

    Raises
    ------
    KeyError
        There are no couplings of that name.
    ValueError
        The cells are not those that were coupled.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.tl.entropy(adata)
    >>> int(adata.obs["ct_entropy"].isna().sum())  # the cells of the last time
    162
    """
    ENTROPY.claim(adata, key_added)
    tied = read_lineage(adata, key)
    couplings = tqdm(tied.lineage.couplings, desc="entropy", unit="gap", disable=not progress)
    spread = {k: one.entropy() for k, one in enumerate(couplings)}
    params = {"couplings": tied.name, "time_key": tied.time_key}
    adata = annotated(adata, copy)
    columns = {key_added: tied.column(adata.n_obs, spread, None)}
    ENTROPY.write(adata, key_added, sample_record(params, tied.seed), columns, source=tied.source)
    return adata if copy else None
