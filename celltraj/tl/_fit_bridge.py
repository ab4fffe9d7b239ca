"""Fit a multi-marginal Schrödinger bridge to an AnnData."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from anndata import AnnData

from celltraj import models
from celltraj._anndata import (
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
from celltraj._typing import Counts
from celltraj.models import (
    Bridge,
    BridgeOptions,
    Brownian,
    ModuleReference,
    Reference,
    Representation,
    Training,
    learn_growth,
    refine,
)
from celltraj.models.bridge.bridge import Round
from celltraj.models.bridge.fit import check_training
from celltraj.models.references.family import sigma_of, with_sigma
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
    sigma: float | None = None,
    growth_key: str | None = None,
    counts: Counts = "proportions",
    options: BridgeOptions | None = None,
    training: Training | None = Training(),
    key_added: str = "bridge",
    seed: int = 0,
    progress: bool = True,
) -> Bridge:
    """Schrödinger bridge: fit the law of motion nearest to a reference through all snapshots.

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
        :func:`celltraj.models.default_sigma`.
    growth_key
        Column of ``obs`` with the net growth that is expected of each cell, per unit of time, such
        as that of :func:`celltraj.pp.score_growth`; none by default.
    counts
        What the numbers of cells mean. ``"proportions"``: nothing, cells are sampled;
        ``"population"``: the population itself was counted, so that it grows as the numbers do; or
        its size at each time, in any unit: a dict or Series by time (numbers or labels), such as
        ``value_counts()``, in any order; a plain list in the order of the times.
    options
        How cells are coupled, how the reference is refined and whether growth is learned, see
        :class:`celltraj.models.BridgeOptions`.
    training
        How the network of the drift is trained, see :class:`celltraj.models.Training`; None for the
        plug-in drift, which follows from the potentials in closed form: the fastest, and right in
        few dimensions (below about five).
    key_added
        Name of the result.
    seed
        Seed of everything random.
    progress
        Whether to show progress bars.

    Returns
    -------
    The bridge. Written, only once all is computed: ``obsm["{key}_velocity"]`` (drift at each
    cell, [x]/[t]) and ``uns["celltraj"][key]`` (params, version, seed, time_points, convergence,
    history, refinement). The fitted family is ``bridge.reference``, its rounds are
    ``bridge.history``.

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
    >>> bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    >>> adata.obsm["bridge_velocity"].shape == adata.shape
    True
    """
    start, key = time.perf_counter(), key_added
    options = BridgeOptions() if options is None else options
    check_entropic(options.coupling)
    check_training(training)
    snapshots, use_rep = read_snapshots(
        adata, time_key=time_key, use_rep=use_rep, growth_key=growth_key, counts=counts
    )
    BRIDGE.claim(adata, key)
    names = variables_of(adata, use_rep)
    problem = _Problem(
        snapshots,
        _with_held_out(options, adata, time_key),
        None if training is None else training.for_variables(names),
        torch.Generator().manual_seed(seed),
        progress,
    )
    family, origin = problem.family(reference, sigma)
    try:
        bridge = problem.solved(family)
    except ConvergenceError as error:
        raise ConvergenceError(
            f"no bridge found with sigma={family.sigma:.3g}; pass a larger sigma=. {error}",
            error.result,
        ) from error
    bridge = replace(bridge, representation=Representation.of(use_rep, names, snapshots))
    params = {
        "time_key": time_key,
        "use_rep": use_rep,
        "reference": type(bridge.reference).__name__,
        "sigma": sigma_of(bridge.reference),
        "sigma_source": origin,
        "options": options_record(problem.options),
        "training": None if training is None else options_record(training),
        "growth_key": growth_key,
        "counts": counts if isinstance(counts, str) else "given",
    }
    _write(adata, key, bridge, bridge_record(bridge, params, seed))
    _log(bridge, origin, training, time.perf_counter() - start)
    return bridge


def _write(adata: AnnData, key: str, bridge: Bridge, record: dict[str, Any]) -> None:
    time_key, use_rep = record["params"]["time_key"], record["params"]["use_rep"]
    velocity = cell_velocity(bridge, bridge.snapshots, read_times(adata, time_key))
    source = Source.of(adata, time_key, use_rep)
    warn_of_view(adata)
    BRIDGE.write(adata, key, record, {f"{key}_velocity": velocity}, source=source)


def _log(bridge: Bridge, origin: str, training: Training | None, seconds: float) -> None:
    logger.info(
        "bridge over %d snapshots: sigma %.4g (%s), epsilon %s, on %s, %.1f s",
        len(bridge.snapshots.times),
        bridge.reference.sigma,
        origin,
        [round(c.epsilon, 6) for c in bridge.couplings],
        "gpu" if training is not None and training.trainer.is_on_gpu else "cpu",
        seconds,
    )


def _with_held_out(options: BridgeOptions, adata: AnnData, time_key: str) -> BridgeOptions:
    """Return the options with the time that the refinement holds out as a number."""
    asked = options.refinement.hold_out
    if asked is None:
        return options
    held = inner_time_of(adata, time_key, asked)
    return replace(options, refinement=replace(options.refinement, hold_out=held))


@dataclass(frozen=True)
class _Problem:
    """What a bridge is fitted to, and how."""

    snapshots: Snapshots
    options: BridgeOptions
    training: Training | None
    generator: torch.Generator
    progress: bool

    def family(
        self, reference: Reference | torch.nn.Module | None, sigma: float | None
    ) -> tuple[Reference, str]:
        """Return the family with its sigma, and where that came from."""
        family = ModuleReference(reference) if isinstance(reference, torch.nn.Module) else reference
        own = None if family is None else family.sigma
        given = own if sigma is None else sigma
        value = given
        if value is None:
            value = models.default_sigma(self.snapshots, generator=self.generator)
        is_told = given is not None and not self.options.refinement.estimate_sigma
        law = Brownian(value) if family is None else with_sigma(family, value)
        return law, "given" if is_told else "estimated"

    def solved(self, family: Reference) -> Bridge:
        """Return the bridge on the member of the family that the refinement finds."""
        options, snapshots, fitted = self.options, self.snapshots, family
        rounds: tuple[Round, ...] = ()
        if options.growth is not None:
            law = Brownian(sigma_of(family))
            snapshots = learn_growth(snapshots, law, options.growth, progress=self.progress)
        if options.refinement.max_rounds > 0 and not isinstance(family, Brownian):
            fitted, rounds = refine(
                snapshots,
                family,
                coupling=options.coupling,
                refinement=options.refinement,
                generator=self.generator,
                progress=self.progress,
            )
        bridge = models.fit_bridge(
            snapshots,
            fitted,
            coupling=options.coupling,
            training=self.training,
            generator=self.generator,
            progress=self.progress,
        )
        return replace(bridge, rounds=rounds)
