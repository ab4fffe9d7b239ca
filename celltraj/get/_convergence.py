"""Read how far the solver of each gap came."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from celltraj._anndata.results import convergence_of
from celltraj._checks import checked


@checked
def convergence(adata: AnnData, *, key: str = "couplings") -> pd.DataFrame:
    """Read the convergence of couplings, a bridge or a flow, gap by gap.

    It tells of the computation and is read whatever became of the cells since.

    Parameters
    ----------
    adata
        Data after :func:`celltraj.tl.couplings`, :func:`celltraj.tl.fit_bridge` or
        :func:`celltraj.tl.fit_flow`, also from a file; not changed.
    key
        The ``key_added`` of the couplings, the bridge or the flow.

    Returns
    -------
    A new table with one row per gap: t0, t1 ([t]), epsilon (in units of the cost), marginal_error
    (total variation), converged, n_iters, and of couplings mass (1 where none is lost). Of a plan,
    such as one of :func:`celltraj.io.from_wot`, the mass alone is known. Couplings within samples
    (:func:`celltraj.tl.couple_samples`) have one row per gap and sample. Of a network also how 300
    trajectories from the first snapshot meet the later one of each gap: W1 (mass counted), floor
    (W1 of its random halves) and effective (share of the trajectories that carry the mass).

    Raises
    ------
    KeyError
        There are no such couplings, no such bridge and no such flow; a response has the losses of
        its training, see :func:`celltraj.get.losses`.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> ct.tl.couplings(adata, progress=False)
    >>> bool(ct.get.convergence(adata)["converged"].all())
    True
    """
    return convergence_of(adata, key)
