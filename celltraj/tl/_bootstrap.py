"""Intervals on parameters and forecasts by refitting resampled cells."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj._anndata import find_representation, read_snapshots
from celltraj._anndata.redrawn import read_units
from celltraj._checks import checked
from celltraj._errors import ConvergenceError, DataWarning, RefinementError
from celltraj._parallel import one_thread
from celltraj._stats.interval import percentile_interval
from celltraj.models import Bridge, simulate
from celltraj.tl._redraw import check_failures, measured_again
from celltraj.tl._silent import silent

_FEW = 2  # fits that an interval can be read from at all


@checked
def bootstrap(
    adata: AnnData,
    *,
    time_key: str = "time",
    use_rep: str | None = None,
    fit: Callable[..., Bridge],
    n_bootstrap: int = 50,
    confidence: float = 0.95,
    sample_key: str | None = None,
    forecast: Sequence[float] = (),
    n_jobs: int = -1,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Bootstrap: refit resampled cells and report intervals on parameters and forecasts.

    Percentile intervals: the quantiles ``(1 -+ confidence) / 2`` of the estimates over data sets
    drawn with replacement within each time, the extremes where there are too few draws. Each draw
    goes through the whole of ``fit``, so that refinement, couplings and sigma all vary.

    Over 56 simulated Lotka-Volterra data sets of 5 x 50 cells with 39 draws each, intervals of
    confidence .9 held the true parameter in 83 % of the cases (standard error 3 %): read them as
    somewhat too narrow where cells are few.

    Parameters
    ----------
    adata
        Cells of all times; not changed.
    time_key
        Column of ``obs`` with the sampling times.
    use_rep
        ``"X"`` or a key of ``obsm``; by default ``X_pca``, or ``X`` with at most 50 variables.
    fit
        ``fit(adata, time_key=, use_rep=, seed=)`` that returns a bridge, as
        ``functools.partial(ct.tl.fit_bridge, reference=..., sigma=..., progress=False)``.
    n_bootstrap
        Resampled data sets.
    confidence
        Share of them that lies inside an interval.
    sample_key
        Column of ``obs`` with biological samples, such as embryos or donors, which are then drawn
        in place of cells, whole: cells of one sample are not independent. Samples that were seen
        at several times are drawn with all of these. Three at every time at least.
    forecast
        Times after the last snapshot at which to report the mean state, simulated from the cells of
        the last snapshot; in the user's unit.
    n_jobs
        Processes, as in joblib; -1 for one on every core.
    seed
        Seed of the draws and of the fits.
    progress
        Whether to show progress bars.

    Returns
    -------
    One row per quantity: quantity (a name of ``bridge.reference.estimates()``, or
    ``"mean {variable}"``), time (of a forecast, else NaN), estimate (on all cells), low, high,
    confidence, n_bootstrap (fits that succeeded) and seed.

    Warns
    -----
    UserWarning
        Some of the fits failed; they are left out and counted.

    Raises
    ------
    ValueError
        ``n_bootstrap`` below 2, ``confidence`` outside (0, 1), a forecast that is not after the
        last snapshot, a time with fewer than three samples, or nearly all fits failed.
    KeyError
        A named column or representation does not exist.

    References
    ----------
    Efron & Tibshirani, *An introduction to the bootstrap* (1993), chapter 13.

    Examples
    --------
    >>> import celltraj as ct
    >>> from functools import partial
    >>> adata = ct.datasets.branching(n_cells=40, seed=0)
    >>> fit = partial(
    ...     ct.tl.fit_bridge, reference=ct.models.OrnsteinUhlenbeck(full=False),
    ...     options=ct.models.BridgeOptions(refinement=ct.models.Refinement(max_rounds=1)),
    ...     training=None, progress=False,
    ... )
    >>> table = ct.tl.bootstrap(adata, fit=fit, n_bootstrap=3, n_jobs=1, progress=False)
    >>> table["quantity"].tolist()
    ['A[0,0]', 'A[1,1]', 'c[0]', 'c[1]']
    """
    if n_bootstrap < _FEW or not 0 < confidence < 1:
        raise ValueError(
            f"n_bootstrap must be at least {_FEW} and confidence in (0, 1); found {n_bootstrap} "
            f"and {confidence}"
        )
    whole, use_rep = read_snapshots(adata, time_key=time_key, use_rep=use_rep)
    if any(t <= whole.times[-1] for t in forecast):
        raise ValueError(f"forecasts {list(forecast)} must lie after {whole.times[-1]:g}")
    units = read_units(adata, time_key=time_key, sample_key=sample_key)
    slim = _slim(adata, use_rep, time_key)

    def quantities(data: AnnData, draw: int) -> pd.Series | None:
        return _quantities(fit, data, time_key, use_rep, forecast, seed + draw)

    estimate = quantities(slim.copy(), 0)
    if estimate is None:
        raise ValueError("the fit to all cells failed; run fit(adata) by itself to see why")
    found = measured_again(
        quantities,
        slim,
        units,
        n_draws=n_bootstrap,
        seed=seed,
        n_jobs=n_jobs,
        progress=progress,
    )
    check_failures(
        len(found),
        n_bootstrap,
        "be fitted",
        "the family or sigma does not suit the data",
    )
    table = estimate.rename("estimate").reset_index()
    values = pd.concat(found, axis=1).to_numpy().T
    table["low"], table["high"] = percentile_interval(values, confidence)
    return table.assign(confidence=confidence, n_bootstrap=len(found), seed=seed)


def _slim(adata: AnnData, use_rep: str, time_key: str) -> AnnData:
    """Return what a fit reads, which is all that is sent to other processes."""
    name = find_representation(adata, use_rep)
    slim = AnnData(adata.X[:] if name == "X" else None, obs=adata.obs[[time_key]].copy())
    if name == "X":
        slim.var_names = adata.var_names
    else:
        slim.obsm[name] = adata.obsm[name]
    return slim


def _quantities(
    fit: Callable[..., Bridge],
    adata: AnnData,
    time_key: str,
    use_rep: str,
    forecast: Sequence[float],
    seed: int,
) -> pd.Series | None:
    """Return the estimates of one fit, None where it failed in a way that a draw may."""
    # one thread here as in a process of its own, so that both find the same
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # a resampled cell is a copy by intent
        try:
            bridge = silent(fit)(adata, time_key=time_key, use_rep=use_rep, seed=seed)
            return _read_off(bridge, forecast, seed)
        except (ConvergenceError, RefinementError):
            return None


def _read_off(bridge: Bridge, forecast: Sequence[float], seed: int) -> pd.Series:
    values = {(name, np.nan): value for name, value in bridge.reference.estimates().items()}
    if forecast:
        start = bridge.snapshots.times[-1]
        generator = torch.Generator().manual_seed(seed)
        times = (start, *sorted(float(t) for t in forecast))
        path = simulate(bridge, bridge.snapshots.x[-1], times, generator=generator)
        weights = bridge.snapshots.weights[-1]
        for t, x in zip(times[1:], path.x[1:], strict=True):
            values |= {(f"mean {k}", t): float(v) for k, v in enumerate(weights @ x)}
    index = pd.MultiIndex.from_tuples(values, names=["quantity", "time"])
    return pd.Series(list(values.values()), index=index, dtype=float)
