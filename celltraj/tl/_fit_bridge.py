"""Fit a multi-marginal Schrödinger bridge to an AnnData."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Literal

import torch
from anndata import AnnData

from celltraj import models
from celltraj._anndata import (
    annotated,
    bridge_record,
    cell_velocity,
    inner_time_of,
    options_record,
    read_snapshots,
    read_times,
    variables_of,
    warn_of_view,
)
from celltraj._anndata.results import BRIDGE
from celltraj._anndata.source import Source
from celltraj._checks import checked
from celltraj._errors import ConvergenceError
from celltraj._typing import Counts, Time
from celltraj.models import (
    Bridge,
    Brownian,
    LearnedGrowth,
    ModuleReference,
    NeuralDrift,
    PlugInDrift,
    Reference,
    Refinement,
    Round,
    learn_growth,
    refine,
)
from celltraj.models._process import sigma_of, with_sigma
from celltraj.models._representation import Representation
from celltraj.ot import Solver, solve
from celltraj.ot.solver import check_entropic
from celltraj.snapshots import Snapshots

logger = logging.getLogger("celltraj")


@checked
def fit_bridge(
    adata: AnnData,
    *,
    time_key: str = "time",
    use_rep: str | None = None,
    reference: Reference | torch.nn.Module | None = None,
    sigma: float | Literal["estimate"] | None = None,
    max_refinements: int = 20,
    hold_out: Time | None = None,
    drift: NeuralDrift | PlugInDrift | None = None,
    solver: Solver = solve,
    growth_key: str | None = None,
    growth: LearnedGrowth | Literal["learn", "prior"] | None = None,
    counts: Counts = "proportions",
    weights_key: str | None = None,
    key_added: str | None = None,
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> Bridge | tuple[Bridge, AnnData]:
    """Fit the Schrödinger bridge through all snapshots.

    The law nearest to a reference ``dX = b(t, X) dt + sigma dW`` whose marginals at the sampling
    times are the snapshots. The parameters of the reference are fitted in alternation with it.
    Where cells divide and die, ``bridge.growth(t, x)`` is the net rate, and simulated trajectories
    carry mass.

    Parameters
    ----------
    adata
        Cells of all times.
    time_key
        Column of ``obs`` with the sampling times; their unit is kept everywhere.
    use_rep
        ``"X"`` or a key of ``obsm``; by default ``X_pca``, or ``X`` with at most 50 variables.
    reference
        Family of the reference, such as ``ct.models.LotkaVolterra()``, or a ``torch.nn.Module``
        with ``forward(t, x)``, see :class:`celltraj.models.ModuleReference`. Brownian motion by
        default. Parameters that it has are where the refinement starts.
    sigma
        Diffusion in [x]/sqrt([t]); by default that of the reference, or else a hundredth of the
        mean squared displacement per unit of time goes to noise, see
        :func:`celltraj.models.default_sigma`. ``"estimate"`` follows the bridges in every round.
    max_refinements
        The most refits of the reference; 0 takes its parameters as they are. Brownian motion has
        none to fit.
    hold_out
        Interior time, as a number or its label, that the rounds do not see but predict: the best
        round is kept, and the bridge
        through all snapshots stands on its reference. By default the likelihood decides, which is
        right for a family that is true; a flexible one overfits, and a time helps where enough of
        them remain.
    drift
        ``NeuralDrift()`` (default) or ``PlugInDrift()``.
    solver
        Coupling solver; ``ct.ot.solve`` chooses one by the size of each gap.
    growth_key
        Column of ``obs`` with the net growth that is expected of each cell, per unit of time, such
        as that of :func:`celltraj.pp.score_growth`; none by default.
    growth
        ``"learn"``, short for ``ct.models.LearnedGrowth()``: a rate of growth that all times share
        is learned from the snapshots, on top of ``growth_key`` where it is given. ``"prior"``:
        cells have as many descendants as ``growth_key`` says, its default meaning. None: no growth
        beyond that.
    counts
        What the numbers of cells mean. ``"proportions"``: nothing, cells are sampled;
        ``"population"``: the population itself was counted, so that it grows as the numbers do; or
        its size at each time, in any unit: a dict or Series by time (numbers or labels), such as
        ``value_counts()``, in any order; a plain list in the order of the times.
    weights_key
        Column of ``obs`` with non-negative cell weights; uniform by default.
    key_added
        Name of the record, ``"bridge"`` by default.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy besides the bridge.
    seed
        Seed of everything random.
    progress
        Whether to show a progress bar.

    Returns
    -------
    The bridge, with ``copy=True`` the pair ``(bridge, annotated copy)``. Written, only once all is
    computed, to ``adata`` or the copy: ``obsm["X_{key}_velocity"]`` (drift at each cell, [x]/[t])
    and ``uns["celltraj"][key]`` (params, version, seed, time_points, convergence, history,
    refinement). The fitted family is ``bridge.reference``, its rounds are ``bridge.history``.

    Warns
    -----
    DataWarning
        Few, constant or duplicate cells.
    ImplicitModificationWarning
        ``adata`` is a view: it becomes an AnnData of its own, its parent gets nothing.

    Raises
    ------
    TypeError
        ``adata`` is not an AnnData, or ``solver`` one whose plans have no potentials, such as
        ``ct.ot.Exact()``.
    KeyError
        A named column or representation does not exist.
    ValueError
        The data cannot carry a bridge, or not one of this family; the message says why.
    ConvergenceError
        ``sigma`` is too small for the solver to bridge a gap.
    RefinementError
        A round of the refinement failed; its ``result`` is the bridge of the best one before.
        ``adata`` is unchanged by any of these.

    References
    ----------
    Shen, Berlinghieri, Broderick (2024), arXiv 2408.06277.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> drift = ct.models.PlugInDrift()
    >>> bridge = ct.tl.fit_bridge(adata, drift=drift, progress=False)
    >>> adata.obsm["X_bridge_velocity"].shape == adata.shape
    True
    >>> first = adata[:, :1]
    >>> bridge, annotated = ct.tl.fit_bridge(
    ...     first, drift=drift, key_added="first", copy=True, progress=False
    ... )
    >>> "first" in annotated.uns["celltraj"], "first" in adata.uns["celltraj"]
    (True, False)
    """
    start, key = time.perf_counter(), key_added or "bridge"
    check_entropic(solver)
    law = _law_of(growth, growth_key)
    snapshots, use_rep = read_snapshots(
        adata,
        time_key=time_key,
        use_rep=use_rep,
        weights_key=weights_key,
        growth_key=growth_key,
        counts=counts,
    )
    BRIDGE.claim(adata, key)
    held = None if hold_out is None else inner_time_of(adata, time_key, hold_out)
    generator = torch.Generator().manual_seed(seed)
    family, origin = _with_sigma(reference, sigma, snapshots, generator)
    if law is not None:
        snapshots = learn_growth(snapshots, Brownian(sigma_of(family)), law, progress=progress)
    refinement = Refinement(
        max_rounds=max_refinements, hold_out=held, estimate_sigma=sigma == "estimate"
    )
    drift = NeuralDrift() if drift is None else drift
    fitted = family
    rounds: tuple[Round, ...] = ()
    try:
        if max_refinements > 0 and not isinstance(family, Brownian):
            fitted, rounds = refine(
                snapshots,
                family,
                solver=solver,
                refinement=refinement,
                generator=generator,
                progress=progress,
            )
        bridge = models.fit_bridge(
            snapshots, fitted, solver=solver, drift=drift, generator=generator, progress=progress
        )
    except ConvergenceError as error:
        raise ConvergenceError(
            f"no bridge found with sigma={family.sigma:.3g}; pass a larger sigma=. {error}",
            error.result,
        ) from error
    names = variables_of(adata, use_rep)
    bridge = replace(
        bridge, rounds=rounds, representation=Representation.of(use_rep, names, snapshots)
    )
    params = {
        "time_key": time_key,
        "use_rep": use_rep,
        "reference": type(fitted).__name__,
        "sigma": sigma_of(fitted),
        "sigma_source": origin,
        "max_refinements": max_refinements,
        "hold_out": held,
        "drift": options_record(drift),
        "solver": options_record(solver),
        "growth_key": growth_key,
        "growth": growth if law is None else options_record(law),
        "counts": counts if isinstance(counts, str) else "given",
        "weights_key": weights_key,
    }
    velocity = cell_velocity(bridge, snapshots, read_times(adata, time_key))
    source, record = Source.of(adata, time_key, use_rep), bridge_record(bridge, params, seed)
    adata = annotated(adata, copy)
    warn_of_view(adata)
    BRIDGE.write(adata, key, record, {f"X_{key}_velocity": velocity}, source=source)
    logger.info(
        "bridge over %d snapshots: sigma %.4g (%s), epsilon %s, on %s, %.1f s",
        len(snapshots.times),
        fitted.sigma,
        origin,
        [round(c.epsilon, 6) for c in bridge.couplings],
        "gpu" if isinstance(drift, NeuralDrift) and drift.trainer.is_on_gpu else "cpu",
        time.perf_counter() - start,
    )
    return (bridge, adata) if copy else bridge


def _law_of(growth: LearnedGrowth | str | None, growth_key: str | None) -> LearnedGrowth | None:
    """Return how growth is learned, None where it is not."""
    if isinstance(growth, LearnedGrowth):
        return growth
    if growth not in (None, "learn", "prior"):
        raise ValueError(
            'growth must be "learn", "prior", None or such as '
            f"ct.models.LearnedGrowth(shares=(0.05,)); found {growth!r}"
        )
    if growth == "prior" and growth_key is None:
        raise ValueError(
            'growth="prior" asks what is expected: pass growth_key= with the column that '
            "ct.pp.score_growth(adata) writes, or with your own"
        )
    return LearnedGrowth() if growth == "learn" else None


def _with_sigma(
    reference: Reference | torch.nn.Module | None,
    sigma: float | str | None,
    snapshots: Snapshots,
    generator: torch.Generator,
) -> tuple[Reference, str]:
    """Return the family with its sigma, and where that came from."""
    family = ModuleReference(reference) if isinstance(reference, torch.nn.Module) else reference
    own = None if family is None else family.sigma
    given = own if sigma in (None, "estimate") else sigma
    if isinstance(given, str):
        raise ValueError(f'sigma must be a number, "estimate" or None; found {given!r}')
    value = models.default_sigma(snapshots, generator=generator) if given is None else given
    source = "estimated" if given is None or sigma == "estimate" else "given"
    return (Brownian(value) if family is None else with_sigma(family, value)), source
