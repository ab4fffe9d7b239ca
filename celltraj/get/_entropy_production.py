"""Read at what rate cells produce entropy."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import ENTROPY_PRODUCTION
from celltraj._checks import checked

_TABLES = {"time": "table", "variable": "variables", "gene": "genes", "group": "groups"}
_WAYS = {
    "gene": "run ct.pp.pca_model(adata) and fit in its components",
    "group": "pass groupby= to ct.tl.entropy_production",
}


@checked
def entropy_production(
    adata: AnnData, *, key: str = "ct_entropy_production", by: str = "time"
) -> pd.DataFrame:
    """Return the rate at which cells produce entropy, by time, variable, gene or group.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.entropy_production`, also one that was read from a file.
    key
        The ``key_added`` of :func:`celltraj.tl.entropy_production`.
    by
        ``"time"``, ``"variable"``, ``"gene"`` or ``"group"``.

    Returns
    -------
    A new table, in nats per [t]. By time: time, n_cells, lower, plug_in, middle (NaN where the
    density changes), medium, system, p_stationary, low and high (the bracket over resampled cells),
    least (what any law needs to the next time). By variable or gene: time, its name, rate. By
    group: time, group, n_cells, rate, low, high.

    Raises
    ------
    KeyError
        There is no such record, or it was not asked for genes or groups.
    ValueError
        Another ``by``.

    Examples
    --------
    >>> import celltraj as ct
    >>> import torch
    >>> turning = ct.models.OrnsteinUhlenbeck(
    ...     matrix=torch.tensor([[-1.0, -1.0], [1.0, -1.0]]), shift=torch.zeros(2), sigma=1.0
    ... )
    >>> cells = ct.datasets.branching(n_cells=200, seed=0)
    >>> ct.tl.entropy_production(cells, turning, progress=False)
    >>> ct.get.entropy_production(cells, by="variable")["variable"].unique().tolist()
    ['x', 'y']
    """
    if by not in _TABLES:
        raise ValueError(f"by must be one of {tuple(_TABLES)}; found {by!r}")
    if _TABLES[by] not in ENTROPY_PRODUCTION.read(adata, key):
        raise KeyError(f"the result {key!r} holds no rate by {by}; {_WAYS.get(by, 'run it again')}")
    return ENTROPY_PRODUCTION.table(adata, key, _TABLES[by])
