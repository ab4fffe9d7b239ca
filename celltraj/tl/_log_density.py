"""Density of every cell under a flow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from anndata import AnnData
from scipy.stats import gaussian_kde
from tqdm.auto import tqdm

from celltraj import models
from celltraj._anndata import (
    annotated,
    read_snapshots,
    read_space,
    read_times,
    sample_record,
)
from celltraj._anndata.results import LOG_DENSITY
from celltraj._anndata.source import Source
from celltraj._checks import checked
from celltraj._typing import Cells, Earlier
from celltraj.models import FlowMatching
from celltraj.snapshots import Snapshots


@checked
def log_density(
    adata: AnnData,
    model: FlowMatching,
    *,
    time_key: str = "time",
    use_rep: str | None = None,
    key_added: str = "log_density",
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> AnnData | None:
    """Log density: write that of every cell among those of its time, along the ODE of a flow.

    ``log p_t(x) = log p_0(x_0) - int div v ds`` back to the first snapshot, whose density is a
    Gaussian kernel estimate with Scott's bandwidth. Low values mark cells in places that the
    flow hardly leads to; only differences between cells of one representation mean something.

    Parameters
    ----------
    adata
        Cells of the times of the flow.
    model
        From ``ct.tl.fit_flow``.
    time_key
        Column of ``obs`` with the sampling times.
    use_rep
        ``"X"`` or a key of ``obsm``; by default the one that ``model`` was fitted in.
    key_added
        Name of the result, a column of ``obs``.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of the random directions of Hutchinson's divergence, used above 30 variables.
    progress
        Whether to show progress bars.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``obs[key_added]``, in nats, of a
    density in [x]^-d, and ``uns["celltraj"][key_added]`` (params, version, seed).

    Raises
    ------
    TypeError
        ``model`` is not a flow.
    KeyError
        A named column or representation does not exist.
    ValueError
        Another dimension, cells at times outside those of the flow, or a first snapshot whose
        cells lie in fewer dimensions than it has.

    References
    ----------
    Grathwohl et al., *FFJORD* (2019); Scott, *Multivariate density estimation* (1992).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=30, seed=0)
    >>> short = ct.models.Training(max_steps=50)
    >>> flow = ct.tl.fit_flow(adata, training=short, progress=False)
    >>> ct.tl.log_density(adata, flow, progress=False)
    >>> bool(adata.obs["log_density"].notna().all())
    True
    """
    if not isinstance(model, FlowMatching):
        raise TypeError(
            f"a density follows the ODE of a flow; found {type(model).__name__}. "
            "Fit one with ct.tl.fit_flow(adata)"
        )
    LOG_DENSITY.claim(adata, key_added)
    use_rep, _ = read_space(adata, model, use_rep, time_key)
    snapshots, _ = read_snapshots(adata, time_key=time_key, use_rep=use_rep)
    base = _kernel_estimate(snapshots, model.times[0])
    times = read_times(adata, time_key)
    values = np.empty(len(times))
    generator = torch.Generator().manual_seed(seed)
    moments = list(zip(snapshots.times, snapshots.x, strict=True))
    for t, x in tqdm(moments, desc="density", unit="time", disable=not progress):
        density = models.log_density(model, t, x, base, generator=generator)
        values[times == t] = density.numpy()
    source = Source.of(adata, time_key, use_rep)
    adata = annotated(adata, copy)
    record = sample_record({"time_key": time_key, "use_rep": use_rep}, seed)
    LOG_DENSITY.write(adata, key_added, record, {key_added: values}, source=source)
    return adata if copy else None


def _kernel_estimate(snapshots: Snapshots, first: float) -> Callable[[Cells], Earlier]:
    """Return the log density of the cells at the first time of the flow."""
    if first not in snapshots.times:
        raise ValueError(
            f"no cells at {first:g}, the first time of the flow, to start its density from"
        )
    k = snapshots.times.index(first)
    try:
        kernel = gaussian_kde(snapshots.x[k].T.numpy(), weights=snapshots.weights[k].numpy())
    except (np.linalg.LinAlgError, ValueError) as error:
        raise ValueError(
            f"the cells at {first:g} do not span their {snapshots.dim} variables, so that they "
            "have no density; choose fewer variables"
        ) from error

    def base(x: Cells) -> Earlier:
        return torch.from_numpy(kernel.logpdf(x.T.numpy()))

    return base
