"""Read the rates of jumps between states."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import JUMP_RATES
from celltraj._checks import checked


@checked
def jump_rates(adata: AnnData, *, key: str = "jump_rates", forecast: bool = False) -> pd.DataFrame:
    """Return the rates at which cells change from one state to another, or the foretold shares.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.jump_rates`, also one that was read from a file.
    key
        The ``key_added`` of :func:`celltraj.tl.jump_rates`.
    forecast
        Whether to return the shares that were foretold in place of the rates.

    Returns
    -------
    A new table, one row for each jump: source, target, rate, lower, upper (1/[t]), identified; with
    ``forecast=True`` one row for each sample, time and state: sample, time, state, share, lower,
    upper.

    Raises
    ------
    KeyError
        There is no such record, or no forecast was asked for.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=200, seed=0)
    >>> adata.obs["side"] = ["left" if x < 2 else "right" for x in adata.X[:, 0]]
    >>> ct.tl.jump_rates(adata, groupby="side", edges=[("left", "right")], forecast=6.0)
    >>> ct.get.jump_rates(adata, forecast=True)["state"].tolist()
    ['left', 'right']
    """
    if forecast and "forecast" not in JUMP_RATES.read(adata, key):
        raise KeyError(
            f"the result {key!r} holds no forecast; run ct.tl.jump_rates(adata, forecast=...) with "
            "the times to foretell"
        )
    return JUMP_RATES.table(adata, key, "forecast" if forecast else "table")
