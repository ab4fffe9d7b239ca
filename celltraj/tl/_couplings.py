"""Couple neighbouring snapshots of an AnnData."""

from __future__ import annotations

import logging

import numpy as np
from anndata import AnnData
from tqdm.auto import tqdm

from celltraj._anndata import (
    annotated,
    couplings_columns,
    couplings_record,
    read_snapshots,
    read_times,
    sample_record,
)
from celltraj._anndata.results import COUPLINGS
from celltraj._anndata.source import Source
from celltraj._checks import checked
from celltraj._typing import Counts
from celltraj.models import Lineage
from celltraj.models.coupling import couple_gap
from celltraj.ot import Coupling, SquaredEuclidean, Unbalanced, solve
from celltraj.snapshots import Snapshots

logger = logging.getLogger("celltraj")
_EPSILON = 0.05  # of the mean cost
_BALANCED = (1.0, 1.0)


@checked
def couplings(
    adata: AnnData,
    *,
    time_key: str = "time",
    use_rep: str | None = None,
    epsilon: float | None = None,
    tau: tuple[float, float] = (0.95, 0.99),
    growth_key: str | None = None,
    counts: Counts = "proportions",
    weights_key: str | None = None,
    key_added: str | None = None,
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> AnnData | None:
    r"""Couple neighbouring snapshots by entropic transport, without a model of the motion.

    ``min <C, P> + epsilon KL(P | w b') + rho_a KL(P 1 | a) + rho_b KL(P' 1 | b)``, with ``C_ij =
    |x_i - y_j|^2 / 2`` and ``rho = tau epsilon / (1 - tau)``; ``w`` and ``b`` are the weights of
    the earlier and of the later cells, ``a_i`` is proportional to ``w_i exp(growth_i (t1 - t0))``,
    all of sum 1. Nothing depends on how many cells were sampled: two of half the weight are the
    same as one. What is kept are the potentials, from which :func:`celltraj.tl.push`,
    :func:`celltraj.tl.transitions`, :func:`celltraj.tl.fates` and others work in blocks, without an
    ``n x m`` array.

    Parameters
    ----------
    adata
        Cells of all times.
    time_key
        Column of ``obs`` with the sampling times; their unit is kept.
    use_rep
        ``"X"`` or a key of ``obsm``; by default ``X_pca``, or ``X`` with at most 50 variables.
    epsilon
        Regularisation in units of the cost, the same for every gap; by default a twentieth of the
        mean cost of each gap.
    tau
        How firmly the marginals of the earlier and of the later cells hold, in (0, 1]; ``(1, 1)``
        keeps the mass of every cell.
    growth_key
        Column of ``obs`` with the expected net growth per unit of time, such as that of
        :func:`celltraj.pp.score_growth`; none by default.
    counts
        What the numbers of cells mean. ``"proportions"``: nothing, cells are sampled;
        ``"population"``: the population itself was counted, so that it grows as the numbers do; or
        its size at each time, in any unit: a dict or Series by time (numbers or labels), such as
        ``value_counts()``, in any order; a plain list in the order of the times.
    weights_key
        Column of ``obs`` with non-negative cell weights; uniform by default.
    key_added
        Name of the result, ``"couplings"`` by default.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Recorded; the subsample that a large problem starts from is the same always.
    progress
        Whether to show a progress bar.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``obsm[key]`` (potentials, weights and
    masses, ``(n_obs, 5)``) and ``uns["celltraj"][key]`` (params, version, seed, time_points,
    numbers, cells, gaps, with the ``mass`` that each plan keeps, 1 where moving costs nothing).

    Warns
    -----
    DataWarning
        Some cells lie so far from all others that they have no descendants, or no ancestors.

    Raises
    ------
    KeyError
        A named column or representation does not exist.
    ValueError
        Growth that is missing, not finite or per another unit of time, sizes of another number than
        there are times, a ``tau`` that is no pair or outside (0, 1], or an ``epsilon`` that is not
        positive.
    ConvergenceError
        ``epsilon`` is too small for the solver, or so small beside the cost that nearly all mass
        vanishes.

    References
    ----------
    Schiebinger et al., *Optimal-transport analysis of single-cell gene expression identifies
    developmental trajectories in reprogramming* (2019), eq. 2.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> ct.tl.couplings(adata, progress=False)
    >>> adata.obsm["couplings"].shape
    (449, 5)
    """
    key = key_added or "couplings"
    COUPLINGS.claim(adata, key)
    snapshots, use_rep = read_snapshots(
        adata,
        time_key=time_key,
        use_rep=use_rep,
        weights_key=weights_key,
        growth_key=growth_key,
        counts=counts,
    )
    times = read_times(adata, time_key)
    rows = [np.flatnonzero(times == t) for t in snapshots.times]
    softness = _pair(tau)
    gaps = tqdm(list(snapshots.pairs()), desc="coupling", unit="gap", disable=not progress)
    found = [_couple(snapshots, k, epsilon, softness) for k, _ in gaps]
    lineage = Lineage(snapshots.times, tuple(found), snapshots.weights, snapshots.sizes)
    params = {
        "time_key": time_key,
        "use_rep": use_rep,
        "epsilon": epsilon,
        "tau_a": softness[0],
        "tau_b": softness[1],
        "growth_key": growth_key,
        "counts": counts if isinstance(counts, str) else "given",
        "weights_key": weights_key,
    }
    record = sample_record(params, seed) | couplings_record(
        lineage, rows, list(map(_reached, found))
    )
    source = Source.of(adata, time_key, use_rep)
    adata = annotated(adata, copy)
    columns = {key: couplings_columns(lineage, rows, found, adata.n_obs)}
    COUPLINGS.write(adata, key, record, columns, source=source)
    return adata if copy else None


def _pair(tau: tuple[float, float]) -> tuple[float, float]:
    if np.shape(tau) != (2,):
        raise ValueError(f"tau must be a pair, such as (0.95, 0.99); found {tau!r}")
    return float(tau[0]), float(tau[1])


def _couple(
    snapshots: Snapshots, k: int, epsilon: float | None, tau: tuple[float, float]
) -> Coupling:
    cost = SquaredEuclidean(snapshots.x[k], snapshots.x[k + 1])
    epsilon = _EPSILON * cost.mean() if epsilon is None else float(epsilon)
    solver = solve if tau == _BALANCED else Unbalanced(*tau)
    return couple_gap(snapshots, k, solver, cost, epsilon=epsilon)


def _reached(one: Coupling) -> dict[str, float | bool | int]:
    return {
        "epsilon": one.epsilon,
        "marginal_error": one.marginal_error,
        "converged": one.converged,
        "n_iters": one.n_iters,
        "mass": float(one.row_mass.sum()),
    }
