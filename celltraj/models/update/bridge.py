"""Update a bridge: couple the gaps that are new, and keep all others as they are."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import cast

import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from celltraj._typing import Cells, Earlier, Targets
from celltraj.models._saved import content_digest
from celltraj.models.bridge.batches import BridgeBatches, BridgePlans
from celltraj.models.bridge.bridge import Bridge
from celltraj.models.bridge.fit import fit_bridge
from celltraj.models.bridge.neural import NeuralField
from celltraj.models.bridge.plug_in import PlugInField
from celltraj.models.growth.path_mass import Masses
from celltraj.models.networks import two_heads_loss
from celltraj.models.own_snapshots import Meeting, warn_of
from celltraj.models.references.family import sigma_of
from celltraj.models.training.checkpoint import fingerprint
from celltraj.models.training.module import Job, train
from celltraj.models.training.options import Training
from celltraj.models.update.arrival import Arrival
from celltraj.models.update.batches import UpdateBatches, shared
from celltraj.models.update.heads import grown_heads
from celltraj.models.update.options import schedule_of
from celltraj.models.update.replay import Replay
from celltraj.ot import solve
from celltraj.snapshots import Snapshots

_NEAR = 30  # cells that a rate of growth is a mean over


def update_bridge(
    bridge: Bridge,
    arrival: Arrival,
    *,
    training: Training,
    generator: torch.Generator,
    progress: bool = True,
) -> Bridge:
    """Continual learning: extend a bridge by snapshots after its last one.

    Its reference stays. A bridge splits into one of each gap, so that with the plug-in drift the
    gaps that are new are all that there is to solve, and the result is the bridge of the whole
    course on that reference. The network of a neural bridge, grown by a hat function for each
    snapshot, is trained on paths of the new gaps and on what it said along the old ones.

    Parameters
    ----------
    bridge
        The bridge; it is not changed.
    arrival
        The snapshots that are new.
    training
        How a network is trained, where the bridge has one; its width is that of the bridge.
    generator
        Source of randomness.
    progress
        Whether couplings and training show progress bars.

    Raises
    ------
    ValueError
        The noise of the reference depends on the state, or the population was counted.
    ConvergenceError
        A gap's coupling did not reach the solver's tolerance.
    TrainingError
        The loss is not finite.
    """
    _check(bridge)
    whole = _extended(bridge.snapshots, arrival)
    ahead = _part(whole, len(bridge.snapshots.times) - 1)
    gap = fit_bridge(
        ahead,
        bridge.reference,
        coupling=solve,
        training=None,
        generator=generator,
        progress=progress,
    )
    masses = _joined(bridge, gap)
    couplings = bridge.couplings + gap.couplings
    grown = replace(
        bridge,
        snapshots=whole,
        couplings=couplings,
        masses=masses,
        field=PlugInField(whole, bridge.reference, couplings, masses),
        passages=(),
        parent=content_digest(bridge),
    )
    if not isinstance(bridge.field, NeuralField):
        return grown
    grown = replace(grown, field=_trained(bridge, grown, gap, training, generator, progress))
    passages = Meeting.of(whole).passages(grown)
    warn_of(passages, "the updated bridge", "Fit one to all snapshots with ct.tl.fit_bridge")
    return replace(grown, passages=passages)


def _check(bridge: Bridge) -> None:
    name = type(bridge.reference).__name__
    if not isinstance(bridge.field, PlugInField | NeuralField):
        raise ValueError(
            f"the noise of {name} depends on the state, and a bridge on it is not updated; fit to "
            "all cells with ct.tl.fit_bridge"
        )
    if len(set(bridge.snapshots.sizes)) > 1:
        raise ValueError(
            "the population of this bridge was counted, and an update knows no numbers of the new "
            "times; fit to all cells with ct.tl.fit_bridge(counts=...)"
        )


def _extended(old: Snapshots, arrival: Arrival) -> Snapshots:
    """Return old and new snapshots; new cells grow as the old ones nearest to them."""
    whole = arrival.course(old)
    if not old.growth:
        return whole
    cells, rates = torch.cat(old.x), torch.cat(old.growth)
    new = tuple(_rate(cells, rates, x) for x in arrival.x)
    return replace(whole, growth=(*old.growth, *new))


def _rate(cells: Cells, rates: Earlier, x: Targets) -> Tensor:
    """Return the mean rate ``(m,)`` of the cells nearest to states."""
    tree = NearestNeighbors(n_neighbors=min(_NEAR, len(cells))).fit(cells.numpy())
    near = torch.from_numpy(tree.kneighbors(x.numpy())[1])
    mean: Tensor = rates[near].mean(1)
    return mean


def _part(whole: Snapshots, first: int) -> Snapshots:
    growth = whole.growth[first:] if whole.growth else ()
    return Snapshots(whole.times[first:], whole.x[first:], whole.weights[first:], growth)


def _joined(bridge: Bridge, gap: Bridge) -> Masses | None:
    """Return what cells of all gaps send and meet; None where those of the bridge keep it."""
    one = bridge.masses
    if one is None:
        return None
    other = gap.masses or Masses.of(gap.snapshots, gap.couplings)
    return Masses(
        one.times + other.times[1:],
        one.sent + other.sent,
        one.met + other.met,
        torch.cat([torch.from_numpy(v.totals) for v in (one, other)]).numpy(),
        torch.cat([torch.from_numpy(v.sizes) for v in (one, other)]).numpy(),
    )


def _trained(
    bridge: Bridge,
    grown: Bridge,
    gap: Bridge,
    training: Training,
    generator: torch.Generator,
    progress: bool,  # noqa: FBT001
) -> NeuralField:
    """Return drift and score of the grown network."""
    old = cast("NeuralField", bridge.field).heads
    masses = gap.masses if bridge.masses is not None else None
    if bridge.masses is not None and masses is None:
        masses = Masses.of(gap.snapshots, gap.couplings)
    plans = BridgePlans(gap.snapshots, bridge.reference, gap.couplings, masses)
    schedule = schedule_of(training, sum(map(len, gap.snapshots.x[1:])))
    n_new, n_old = shared(schedule.batch_size)
    batches = UpdateBatches(
        BridgeBatches(plans, schedule.n_steps, n_new, generator),
        Replay.of(old, bridge, bridge.snapshots, _widths(bridge), generator=generator),
        n_old,
    )
    heads = grown_heads(old, grown.snapshots.times)
    facts = fingerprint(grown.snapshots) | {"parent": grown.parent}
    job = Job(heads, batches, two_heads_loss, facts=facts)
    heads, losses = train(job, training, schedule, progress=progress)
    return NeuralField(heads, grown.snapshots, bridge.reference, losses)


def _widths(bridge: Bridge) -> Tensor:
    """Return the noise of the paths in the middle of each gap, ``(T - 1,)``, in [x]."""
    gaps = [b - a for a, b in pairwise(bridge.snapshots.times)]
    sigma = sigma_of(bridge.reference)
    return torch.tensor([sigma * math.sqrt(g) / 2 for g in gaps], dtype=torch.float64)
