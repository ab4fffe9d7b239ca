"""Couple neighbouring snapshots of an AnnData: the one door to what becomes of cells."""

from __future__ import annotations

from functools import partial

import numpy as np
from anndata import AnnData

from celltraj._anndata import (
    Coupled,
    annotated,
    couple_by_model,
    read_observed,
    recorded,
    write_couplings,
)
from celltraj._anndata.needs import check_couplings
from celltraj._anndata.results import COUPLINGS
from celltraj._checks import checked
from celltraj._typing import Counts
from celltraj.models import Lineage, Process
from celltraj.models.coupling import couple_gap, coupled_gaps, plain_epsilon
from celltraj.models.growth.convention import GrowthModel
from celltraj.models.growth.in_couplings import growth_of_couplings
from celltraj.ot import Coupling, SquaredEuclidean, Unbalanced, solve
from celltraj.ot.solver import EntropicSolver
from celltraj.snapshots import Snapshots

_BALANCED = (1.0, 1.0)


@checked
def couplings(
    adata: AnnData,
    model: Process | None = None,
    *,
    time_key: str | None = None,
    use_rep: str | None = None,
    epsilon: float | None = None,
    tau: tuple[float, float] | None = None,
    growth: GrowthModel = "auto",
    growth_key: str | None = None,
    counts: Counts = "proportions",
    key_added: str = "couplings",
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> AnnData | None:
    r"""Couplings: tell which cells of each snapshot become which of the next, by whatever model.

    Everything that asks what becomes of cells reads them: :func:`celltraj.tl.push`,
    :func:`celltraj.tl.pull`, :func:`celltraj.tl.transitions`, :func:`celltraj.tl.fates`,
    :func:`celltraj.tl.entropy`, :func:`celltraj.tl.growth`, :func:`celltraj.ex.to_cellrank`.

    A bridge has couplings of the cells that it was fitted to. A flow, a bridge of other cells or
    any other law of motion is simulated from snapshot to snapshot, and the ends of the paths count
    for the observed cells nearest to them. Without a model neighbouring snapshots are coupled by
    entropic transport,

    ``min <C, P> + epsilon KL(P | w b') + rho_a KL(P 1 | a) + rho_b KL(P' 1 | b)``, with ``C_ij =
    |x_i - y_j|^2 / 2`` and ``rho = tau epsilon / (1 - tau)``; ``w`` and ``b`` are the weights of
    the earlier and of the later cells, ``a_i`` is proportional to ``w_i exp(growth_i (t1 - t0))``,
    all of sum 1. Nothing depends on how many cells were sampled: two of half the weight are the
    same as one. Of transport and bridges the potentials are kept, from which plans follow in
    blocks, without an ``n x m`` array; of a simulation the plans, which are sparse.

    Parameters
    ----------
    adata
        Cells of all times.
    model
        A fitted bridge or flow, or any process; plain transport by default.
    time_key
        Column of ``obs`` with the sampling times; their unit is kept. By default the one that the
        model was fitted with, where ``adata`` says so, else ``"time"``.
    use_rep
        ``"X"`` or a key of ``obsm``; by default the one that the model was fitted in, else
        ``X_pca``, or ``X`` with at most 50 variables.
    epsilon
        Regularisation of plain transport in units of the cost, the same for every gap; by default a
        twentieth of the mean cost of each gap.
    tau
        How firmly the marginals of the earlier and of the later cells hold in plain transport, in
        (0, 1]: soft plans, such as ``(0.95, 0.99)``, under which cells have more or fewer
        descendants than expected, for a price. By default both hold.
    growth
        How much cells divide and die in plain transport. ``"auto"`` (default): at a rate that
        belongs to a state and is the same at all times, as far as gaps foretell each other by it
        and enough trajectories stay effective, else, and with two times, not at all; where
        ``growth_key`` or ``tau`` say it, only as they do. ``ct.models.LearnedGrowth(...)`` learns
        it in any case, on top of ``growth_key``. None: as ``growth_key`` expects, else not at all.
    growth_key
        Column of ``obs`` with the net growth per unit of time that plain transport is to expect,
        such as that of :func:`celltraj.pp.score_growth`; none by default.
    counts
        What the numbers of cells mean. ``"proportions"``: nothing, cells are sampled;
        ``"population"``: the population itself was counted, so that it grows as the numbers do; its
        size at each time, in any unit: a dict or Series by time (numbers or labels), such as
        ``value_counts()``, in any order, or a plain list in the order of the times; or the name of
        a column of ``obs`` with the number of cells that each cell stands for: its shares within a
        time are weights, its sums sizes, and where all sums are the same it holds weights alone. A
        bridge of these very cells knows it from its fit.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of simulations; the subsample that a large transport problem starts from is the same
        always.
    progress
        Whether to show progress bars.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``obsm[key]`` (potentials, weights and
    masses, ``(n_obs, 5)``), or of a simulated model ``obsp[key]`` (plans, ``(n_obs, n_obs)``,
    sparse) and where cells weigh differently ``obs["{key}_weight"]``; of a bridge with growth
    ``obs["{key}_growth"]``; and ``uns["celltraj"][key]`` (params, version, seed, time_points,
    numbers, cells, gaps, with the ``mass`` that each plan keeps, 1 where moving costs nothing; with
    a model ``law`` and ``predicted``). A bridge whose reference is code of yours, or whose cells
    were rounded since, is kept as plans; of more than a million entries without a thousandth of the
    mass of each row, which ``params["drop"]`` then says.

    Warns
    -----
    DataWarning
        Some cells lie so far from all others that they have no descendants, or no ancestors.

    Raises
    ------
    KeyError
        A named column or representation does not exist.
    TypeError
        ``model`` is no law of motion.
    ValueError
        Growth that is missing, not finite or per another unit of time, sizes of another number than
        there are times, a ``tau`` that is no pair or outside (0, 1], an ``epsilon`` that is not
        positive, or one of these beside a model; cells or times that the model was not fitted to.
    MemoryError
        Plain transport would take more than :func:`celltraj.memory_limit` allows.
    ConvergenceError
        ``epsilon`` is too small for the solver, or so small beside the cost that nearly all mass
        vanishes.

    Notes
    -----
    Gaps of 100 million pairs of cells and more are coupled in time linear in the cells, with
    marginals within .04 of the mass (:class:`celltraj.ot.Stratified`; ``ct.get.convergence`` tells
    how near). Gaps run in the processes, or on the cluster, of ``joblib.parallel_config``.

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
    >>> bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    >>> ct.tl.couplings(adata, bridge, key_added="of_bridge", progress=False)
    >>> ct.tl.fates(adata, groupby="arm", key="of_bridge", progress=False)
    """
    key = key_added
    COUPLINGS.claim(adata, key)
    if model is None:
        made = _of_cells(
            adata,
            time_key=time_key or "time",
            use_rep=use_rep,
            epsilon=epsilon,
            tau=_BALANCED if tau is None else _pair(tau),
            is_told=tau is not None,
            growth=growth,
            growth_key=growth_key,
            counts=counts,
            progress=progress,
        )
    else:
        _check_alone(epsilon=epsilon, tau=tau, growth_key=growth_key)
        made = couple_by_model(
            adata,
            model,
            time_key=time_key,
            use_rep=use_rep,
            counts=counts,
            seed=seed,
            progress=progress,
        )
    adata = annotated(adata, copy)
    write_couplings(adata, key, made, seed)
    return adata if copy else None


def _check_alone(**given: object) -> None:
    """Raise where options of plain transport were given beside a model."""
    if names := [f"{name}=" for name, value in given.items() if value is not None]:
        raise ValueError(
            f"{' and '.join(names)} say how plain transport couples, and a model has couplings of "
            "its own; leave them out, or leave model= out"
        )


def _of_cells(
    adata: AnnData,
    *,
    time_key: str,
    use_rep: str | None,
    epsilon: float | None,
    tau: tuple[float, float],
    is_told: bool,
    growth: GrowthModel,
    growth_key: str | None,
    counts: Counts,
    progress: bool,
) -> Coupled:
    """Return the couplings of plain transport."""
    solver = solve if tau == _BALANCED else Unbalanced(*tau)
    observed = read_observed(
        adata, time_key=time_key, use_rep=use_rep, growth_key=growth_key, counts=counts
    )
    check_couplings(observed, solver)
    snapshots, use_rep = observed.snapshots(), observed.states.name
    if is_told and growth == "auto":
        growth = None
    snapshots, words = growth_of_couplings(snapshots, growth, coupling=solver, progress=progress)
    task = partial(_couple, epsilon=epsilon, solver=solver)
    found = tuple(coupled_gaps(task, snapshots, progress=progress))
    lineage = Lineage(snapshots.times, found, snapshots.weights, snapshots.sizes)
    params = {
        "epsilon": epsilon,
        "tau_a": tau[0],
        "tau_b": tau[1],
        "growth": recorded(growth),
        "growth_found": words,
        "growth_key": growth_key,
        "counts": counts if isinstance(counts, str) else "given",
    }
    return Coupled(lineage, time_key, use_rep, params)


def _pair(tau: tuple[float, float]) -> tuple[float, float]:
    if np.shape(tau) != (2,):
        raise ValueError(f"tau must be a pair, such as (0.95, 0.99); found {tau!r}")
    return float(tau[0]), float(tau[1])


def _couple(pair: Snapshots, *, epsilon: float | None, solver: EntropicSolver) -> Coupling:
    cost = SquaredEuclidean(*pair.x)
    epsilon = plain_epsilon(cost) if epsilon is None else float(epsilon)
    return couple_gap(pair, 0, solver, cost, epsilon=epsilon)
