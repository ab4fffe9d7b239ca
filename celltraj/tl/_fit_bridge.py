"""Fit a multi-marginal Schrödinger bridge to an AnnData."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace

import torch
from anndata import AnnData

from celltraj import models
from celltraj._anndata import bridge_record, inner_time_of, options_record, recorded
from celltraj._anndata.course import Course
from celltraj._anndata.needs import check_bridge
from celltraj._anndata.results import BRIDGE
from celltraj._anndata.velocities import with_velocities
from celltraj._checks import checked
from celltraj._errors import ConvergenceError, FitWarning, warn
from celltraj._typing import Counts
from celltraj.models import (
    Bridge,
    BridgeOptions,
    Brownian,
    ModuleReference,
    Reference,
    ReferenceInterpolant,
    Training,
    VelocityReference,
    refine,
)
from celltraj.models.bridge.bridge import Round
from celltraj.models.bridge.fit import check_training
from celltraj.models.bridge.weigh_velocity import law_of_velocity, weigh_velocity
from celltraj.models.course import default_paths, law_of_chains
from celltraj.models.growth.convention import GrowthModel, with_growth
from celltraj.models.references.chart import mapped_snapshots, straightened_snapshots
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
    growth: GrowthModel = "auto",
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
    times are the snapshots.
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
        with ``forward(t, x)``, see :class:`celltraj.models.ModuleReference`; its parameters are
        fitted in alternation with the bridge, those that it has are where that starts. Noise may
        depend on the state (``ct.models.Geometric()``, ``ct.models.LinearNoise(...)``), and
        ``ct.models.VelocityReference("velocity")`` gives measured velocities a say. By default
        one smooth law of motion, the same at all times, that chains of cells follow (a
        ``KernelReference`` fitted once); with two snapshots or less than 40 cells in one, which
        tell no law, and as ``ct.models.Brownian()``, Brownian motion.
    sigma
        Diffusion in [x]/sqrt([t]); by default that of the reference, or else a hundredth of the
        mean squared displacement per unit of time goes to noise, see
        :func:`celltraj.models.default_sigma`.
    growth
        How much cells divide and die. ``"auto"`` (default): at a rate that belongs to a state and
        is the same at all times, as far as gaps foretell each other by it and enough trajectories
        stay effective, else, and with two times, not at all; where ``growth_key`` or soft plans say
        it, only as they do. ``ct.models.LearnedGrowth(...)`` learns it in any case, on top of
        ``growth_key``. None: as ``growth_key`` expects, else not at all.
    growth_key
        Column of ``obs`` with the net growth that is expected of each cell, per unit of time, such
        as that of :func:`celltraj.pp.score_growth`; none by default.
    counts
        What the numbers of cells mean. ``"proportions"``: nothing, cells are sampled;
        ``"population"``: the population itself was counted, so that it grows as the numbers do; or
        its size at each time, in any unit: a dict or Series by time (numbers or labels), such as
        ``value_counts()``, in any order; a plain list in the order of the times.
    options
        How cells are coupled and how the reference is refined, see
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
    ``bridge.history``; ``bridge.passages``, ``ct.get.convergence`` in a file, tell how trajectories
    from the first snapshot meet each later one.

    Warns
    -----
    DataWarning
        Few, constant or duplicate cells.
    FitWarning
        Velocities of a ``VelocityReference`` foretell snapshots that are left out no better than
        none, and are not used; trajectories miss a snapshot by more than 1.5 times the distance of
        its random halves, or less than half of them carry the mass; fewer than 50 cells of a time,
        or two times, of which little can be learned.
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
    MemoryError
        It would take more than :func:`celltraj.memory_limit` allows.
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
    course = Course.of(
        adata, time_key=time_key, use_rep=use_rep, growth_key=growth_key, counts=counts
    )
    check_bridge(course.observed, options, training)
    representation = course.surveyed(BRIDGE, key)
    problem = _Problem(
        course.observed.drawn(options.max_cells, seed),
        _with_held_out(options, course.cells, time_key),
        growth,
        None if training is None else training.for_variables(course.variables),
        torch.Generator().manual_seed(seed),
        progress,
        seed,
    )
    family = ModuleReference(reference) if isinstance(reference, torch.nn.Module) else reference
    if isinstance(family, VelocityReference):
        family = with_velocities(course.cells, family, course.use_rep)
    value, origin = problem.sigma(family, sigma)
    try:
        bridge, words = problem.solved(family, value)
    except ConvergenceError as error:
        raise ConvergenceError(
            f"no bridge found with sigma={value:.3g}; pass a larger sigma=. {error}", error.result
        ) from error
    bridge = replace(bridge, representation=representation)
    params = {
        "reference": type(bridge.reference).__name__,
        "sigma": sigma_of(bridge.reference),
        "sigma_source": origin,
        "options": options_record(problem.options),
        "training": None if training is None else options_record(training),
        "growth": recorded(growth),
    }
    record = bridge_record(bridge, course.params | params | words, seed)
    course.write(BRIDGE, key, record, bridge)
    _log(bridge, origin, training, time.perf_counter() - start)
    return bridge


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
    growth: GrowthModel
    training: Training | None
    generator: torch.Generator
    progress: bool
    seed: int

    def sigma(self, family: Reference | None, given: float | None) -> tuple[float, str]:
        """Return the diffusion, and where it came from."""
        own = None if family is None else family.sigma
        value = own if given is None else given
        is_told = value is not None and not self.options.refinement.estimate_sigma
        if value is None:
            # in the coordinates in which the noise is the same everywhere
            cells = straightened_snapshots(self.snapshots, family)
            value = models.default_sigma(cells, generator=self.generator)
        return value, "given" if is_told else "estimated"

    def solved(
        self, family: Reference | None, sigma: float
    ) -> tuple[Bridge, dict[str, str | None]]:
        """Return the bridge, on a member of the family or the law of chains, and what that says."""
        coupling = self.options.coupling
        snapshots, found = with_growth(
            straightened_snapshots(self.snapshots, family),
            self.growth,
            sigma=sigma,
            coupling=coupling,
            progress=self.progress,
        )
        snapshots = mapped_snapshots(snapshots, self.snapshots.x)
        words: str | None = None
        rounds: tuple[Round, ...] = ()
        heard: str | None = None
        if isinstance(family, VelocityReference):
            family, heard = self._heard(snapshots, replace(family, sigma=sigma))
        if family is None and isinstance(default_paths(snapshots), ReferenceInterpolant):
            law = law_of_chains(snapshots, sigma=sigma, coupling=coupling, generator=self.generator)
            reference, words = law.law, law.in_words
        elif isinstance(family, VelocityReference):
            reference = law_of_velocity(
                snapshots, family, coupling=coupling, generator=self.generator
            )
        else:
            reference, rounds = self._member(snapshots, family or Brownian(sigma), sigma)
        bridge = models.fit_bridge(
            snapshots,
            reference,
            coupling=coupling,
            training=self.training,
            generator=self.generator,
            progress=self.progress,
        )
        told = {"law": words, "growth_found": found}
        told |= {} if heard is None else {"velocities": heard}
        return replace(bridge, rounds=rounds), told

    def _heard(
        self, snapshots: Snapshots, family: VelocityReference
    ) -> tuple[VelocityReference | None, str]:
        """Return the velocities with their strength, None for none, and what that says."""
        if family.strength is not None:
            words = f"velocities have strength {family.strength:g}, which was given"
            return (family if family.strength > 0 else None), words
        weighed = weigh_velocity(
            snapshots,
            family,
            coupling=self.options.coupling,
            seed=self.seed,
            progress=self.progress,
        )
        if weighed.strength > 0:
            return replace(family, strength=weighed.strength), weighed.in_words
        warn(
            f"velocities in {family.key!r} are not used: {weighed.in_words}. Snapshots contradict "
            "them, or tell as much by themselves; pass strength= to "
            "ct.models.VelocityReference to use them all the same",
            FitWarning,
        )
        return None, weighed.in_words

    def _member(
        self, snapshots: Snapshots, family: Reference, sigma: float
    ) -> tuple[Reference, tuple[Round, ...]]:
        options = self.options
        reference = with_sigma(family, sigma)
        if options.refinement.max_rounds == 0 or isinstance(reference, Brownian):
            return reference, ()
        return refine(
            snapshots,
            reference,
            coupling=options.coupling,
            refinement=options.refinement,
            generator=self.generator,
            progress=self.progress,
        )
