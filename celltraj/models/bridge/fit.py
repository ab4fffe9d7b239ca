"""Fit a bridge: couple every gap once and derive the drift."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from celltraj._typing import Cells
from celltraj.models._simulate import simulate
from celltraj.models.bridge.batches import BridgeBatches, BridgePlans
from celltraj.models.bridge.bridge import Bridge
from celltraj.models.bridge.in_states import in_states
from celltraj.models.bridge.neural import NeuralField
from celltraj.models.bridge.plug_in import PlugInField
from celltraj.models.coupling import couple_with_potentials, coupled_gaps
from celltraj.models.growth.path_mass import Masses, masses_of
from celltraj.models.networks import HeadSizes, TwoHeads, two_heads_loss
from celltraj.models.own_snapshots import Meeting, stop_at, warn_of
from celltraj.models.process import Affine
from celltraj.models.references.chart import (
    ShapedNoise,
    straightened,
    straightened_snapshots,
)
from celltraj.models.references.family import Reference, sigma_of
from celltraj.models.training.checkpoint import fingerprint
from celltraj.models.training.module import Job, train
from celltraj.models.training.options import ModelDefaults, Training
from celltraj.ot import Coupling, Solver
from celltraj.ot.sampling import systematic
from celltraj.ot.solver import check_entropic
from celltraj.snapshots import Snapshots

_DEFAULTS = ModelDefaults(fewest_steps=2_000, cycle=1_000)
_ADVICE = (
    "Train its network for longer, ct.models.Training(max_steps=20_000), take the plug-in drift in "
    "few dimensions, training=None, or growth=None"
)
# trajectories that tell the mean growth of a bridge, and steps of a gap; fewer where each step
# follows a law from every cell to the end of its gap
_CALIBRATED, _ROUGHLY = (2000, 20), (500, 10)


def fit_bridge(
    snapshots: Snapshots,
    reference: Reference,
    *,
    coupling: Solver,
    training: Training | None,
    generator: torch.Generator,
    progress: bool = True,
) -> Bridge:
    """Schrödinger bridge: couple every gap once and derive the drift.

    Parameters
    ----------
    snapshots
        Observed clouds, with the growth that is expected and the sizes of the population.
    reference
        Law of motion, sets cost and epsilon of every gap.
    coupling
        Coupling solver, such as ``ct.ot.solve``; one with relaxed marginals lets cells divide and
        die otherwise than expected.
    training
        How the network of the drift is trained; None for the plug-in drift, which follows from the
        potentials in closed form.
    generator
        Source of randomness.
    progress
        Whether couplings and training show progress bars.

    Raises
    ------
    ValueError
        The reference does not suit the data, or is not fitted.
    ConvergenceError
        A gap's coupling did not reach the solver's tolerance.

    Examples
    --------
    >>> import torch
    >>> from celltraj.snapshots import Snapshots
    >>> from celltraj.models import Brownian, fit_bridge
    >>> from celltraj.ot import solve
    >>> x = torch.zeros(5, 1)
    >>> bridge = fit_bridge(
    ...     Snapshots((0.0, 1.0), (x, x + 2)), Brownian(0.2), coupling=solve,
    ...     training=None, generator=torch.Generator(),
    ... )
    >>> bridge.drift(0.5, torch.tensor([[1.0]]))  # one unit left in half a unit of time
    tensor([[2.]])
    """
    check_entropic(coupling)
    check_training(training)
    check_family(reference, snapshots)
    if isinstance(reference, ShapedNoise):
        bridge = fit_bridge(
            straightened_snapshots(snapshots, reference),
            straightened(reference),
            coupling=coupling,
            training=training,
            generator=generator,
            progress=progress,
        )
        return in_states(bridge, snapshots)
    task = partial(_couple, reference=reference, coupling=coupling)
    couplings = tuple(coupled_gaps(task, snapshots, progress=progress))
    masses = masses_of(snapshots, couplings)
    field: PlugInField | NeuralField = PlugInField(snapshots, reference, couplings, masses)
    if training is not None:
        plans = BridgePlans(snapshots, reference, couplings, masses)
        field = train_field(plans, training, generator=generator, progress=progress)
    bridge = Bridge(snapshots, reference, couplings, field, masses=masses)
    if masses is not None:
        bridge = _calibrated(bridge, masses, generator)
    if training is None:
        # the plug-in drift meets the snapshots as its couplings do, and costs less than the check
        return bridge
    passages = Meeting.of(snapshots).passages(bridge)
    warn_of(passages, "the bridge", _ADVICE)
    return replace(bridge, passages=passages)


def _couple(pair: Snapshots, *, reference: Reference, coupling: Solver) -> Coupling:
    return couple_with_potentials(pair, reference, 0, coupling)[1]


def check_training(training: Training | None) -> None:
    """Raise where cells are to be kept from a bridge.

    Raises
    ------
    ValueError
        They are.
    """
    if training is not None:
        training.without_validation("a bridge", "it passes through all cells")


def train_field(
    plans: BridgePlans, training: Training, *, generator: torch.Generator, progress: bool
) -> NeuralField:
    """Return drift and score that a network learned from points of bridges.

    Parameters
    ----------
    plans
        Couplings and the law between them.
    training
        How the network is trained.
    generator
        Source of randomness.
    progress
        Whether to show a bar over the steps.

    Raises
    ------
    TrainingError
        The loss is not finite.
    ValueError
        The checkpoint to go on from is of another training.
    """
    snapshots, reference = plans.snapshots, plans.reference
    sizes = HeadSizes(
        snapshots.dim,
        len(snapshots.times),
        width=training.width,
        has_mass=plans.masses is not None,
    )
    noise = sigma_of(reference) * math.sqrt(max(snapshots.gaps)) / 2
    network = TwoHeads(sizes, generator=generator).scale_to(snapshots, noise=noise)
    schedule = training.schedule(_DEFAULTS, snapshots.n_cells)
    batches = BridgeBatches(plans, schedule.n_steps, schedule.batch_size, generator)
    facts = fingerprint(snapshots) | _reference_facts(reference, snapshots)

    def made(heads: TwoHeads) -> tuple[Bridge]:
        field = NeuralField(heads, snapshots, reference, ())
        return (Bridge(snapshots, reference, plans.couplings, field, masses=plans.masses),)

    stop = stop_at(Meeting.of(snapshots), made, schedule)
    job = Job(network, batches, two_heads_loss, stop=stop, facts=facts)
    heads, losses = train(job, training, schedule, progress=progress)
    return NeuralField(heads, snapshots, reference, losses)


def _reference_facts(reference: Reference, snapshots: Snapshots) -> dict[str, str | float]:
    """Return what tells a reference from others, for a checkpoint."""
    drift = reference.drift(snapshots.times[0], snapshots.x[0])
    return {
        "reference": type(reference).__name__,
        "sigma": sigma_of(reference),
        # rounded: a checkpoint may go on another machine, whose last digits differ
        "size of the reference's drift": f"{float(drift.square().mean().sqrt()):.4g}",
    }


def _calibrated(bridge: Bridge, masses: Masses, generator: torch.Generator) -> Bridge:
    """Return the bridge whose trajectories from the first snapshot grow as the population does.

    A rate is relative to the mean of the population, and that mean is over the trajectories of the
    bridge, of which couplings and network know only up to their errors: these would add up from
    gap to gap.
    """
    snapshots = bridge.snapshots
    is_costly = isinstance(bridge.field, PlugInField) and not isinstance(bridge.reference, Affine)
    n_paths, n_steps = _ROUGHLY if is_costly else _CALIBRATED
    start = snapshots.x[0][systematic(snapshots.weights[0], n_paths, generator)]
    path = simulate(bridge, start, snapshots.times, n_steps=n_steps, generator=generator)
    if path.log_mass is None:
        return bridge
    found = torch.logsumexp(path.log_mass, 1).diff().numpy()
    wanted = np.diff(np.log(snapshots.sizes))
    masses = replace(masses, sizes=masses.sizes + wanted - found)
    field = bridge.field
    if isinstance(field, PlugInField):
        field = replace(field, cell_masses=masses)
    return replace(bridge, masses=masses, field=field)


def check_family(reference: Reference, snapshots: Snapshots) -> None:
    """Raise unless the family suits the data.

    Raises
    ------
    ValueError
        Another dimension, negative cells of a positive family, a drift of another shape or with
        values that are not finite, a diffusion that is neither ``sigma`` everywhere nor known to be
        so in other coordinates, cells in which there is no noise.
    """
    name, dim = type(reference).__name__, getattr(reference, "dim", None) or snapshots.dim
    if dim != snapshots.dim:
        raise ValueError(
            f"{name} has {dim} variables, the data have {snapshots.dim}; choose {dim} of them, or "
            "another reference="
        )
    if getattr(reference, "is_positive", False):
        n_negative = sum(int((x < 0).any(1).sum()) for x in snapshots.x)
        if n_negative:
            raise ValueError(
                f"{name} describes amounts, and {n_negative} cells have negative ones; work in "
                "counts or their logarithm, not in centred or scaled values"
            )
    if reference.is_fitted:
        found = reference.drift(snapshots.times[0], snapshots.x[0]).shape
        if found != snapshots.x[0].shape:
            raise ValueError(
                f"{name} returns a drift of shape {tuple(found)} for cells of shape "
                f"{tuple(snapshots.x[0].shape)}"
            )
    if isinstance(reference, ShapedNoise):
        straightened_snapshots(snapshots, reference)  # raises where there is no noise
        return
    for t, x in zip(snapshots.times, snapshots.x, strict=True):
        _check_constant_noise(reference, t, x)


def _check_constant_noise(reference: Reference, t: float, x: Cells) -> None:
    sigma, noise = sigma_of(reference), reference.diffusion(t, x)
    if not torch.allclose(noise, torch.full_like(noise, sigma), rtol=1e-5, atol=0):
        raise ValueError(
            f"{type(reference).__name__} has a diffusion of {float(noise.min()):g} to "
            f"{float(noise.max()):g} at time {t:g}, and sigma={sigma:g}: couplings and drift of a "
            "bridge are those of one sigma for all variables, states and times. Take a family that "
            "knows coordinates of constant noise (ct.models.Geometric, ct.models.LinearNoise, "
            "ct.models.CoxIngersollRoss), work in such variables (the logarithm, where the noise "
            "grows with the state), or simulate the process itself with ct.tl.simulate"
        )
