"""Update a flow: couple the gaps that are new, and train its network on them and on itself."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from celltraj.models._saved import content_digest
from celltraj.models.course import Course, plans_of
from celltraj.models.flow.batches import PathBatches
from celltraj.models.flow.flow import FlowMatching
from celltraj.models.interpolants import (
    BrownianBridgeInterpolant,
    ReferenceInterpolant,
    SplineInterpolant,
)
from celltraj.models.networks import two_heads_loss
from celltraj.models.own_snapshots import Meeting, warn_of
from celltraj.models.training.checkpoint import fingerprint
from celltraj.models.training.module import Job, train
from celltraj.models.training.options import Training
from celltraj.models.update.batches import UpdateBatches, shared
from celltraj.models.update.growth import carried_rate, continued
from celltraj.models.update.heads import grown_heads
from celltraj.models.update.options import schedule_of
from celltraj.models.update.replay import Replay
from celltraj.ot import solve
from celltraj.snapshots import Snapshots

_CHAINS = 3000  # through each new gap: their curves cost as much as hundreds of steps
_ADVICE = "fit to all cells with ct.tl.fit_flow"
_COUNTED = 1e-9  # logarithm of a ratio of sizes, beyond which a population was counted
_GAP_BY_GAP = (BrownianBridgeInterpolant, ReferenceInterpolant, SplineInterpolant)


def update_flow(
    flow: FlowMatching,
    snapshots: Snapshots,
    *,
    training: Training,
    generator: torch.Generator,
    progress: bool = True,
) -> FlowMatching:
    """Continual learning: extend a flow by snapshots after its last one.

    Gaps that are new are coupled, and paths through them drawn by the law and with the noise of the
    flow; what cells send over them is what its growth says of their states. The network, grown by a
    hat function for each snapshot, is trained on these paths and, in three of ten points of each
    step, on what it said along the old course, which is what keeps it from forgetting.

    Parameters
    ----------
    flow
        The flow; it is not changed.
    snapshots
        Clouds at the times of the flow, observed or simulated by itself, and those that are new.
    training
        How the network is trained; its width is that of the flow.
    generator
        Source of randomness.
    progress
        Whether couplings and training show progress bars.

    Raises
    ------
    ValueError
        The snapshots do not go on from those of the flow, or its paths are of a kind that is fitted
        to all times together.
    ConvergenceError
        A gap's coupling did not reach the solver's tolerance.
    TrainingError
        The loss is not finite.
    """
    n_old = len(flow.times)
    sigma = check_flow(flow)
    grown = extended(flow, snapshots)
    old, ahead = _part(snapshots, slice(0, n_old)), _part(snapshots, slice(n_old - 1, None))
    if flow.mass is not None:
        ahead = replace(ahead, growth=tuple(carried_rate(flow, x) for x in ahead.x))
    plans = plans_of(ahead, sigma, solve, progress=progress)
    if flow.mass is not None:
        grown = replace(grown, mass=continued(flow.mass, plans.masses.rate))
    schedule = schedule_of(training, sum(map(len, ahead.x[1:])))
    n_new, n_kept = shared(schedule.batch_size)
    course = Course(ahead, plans, flow.interpolant)
    batches = UpdateBatches(
        PathBatches(course, schedule.n_steps, n_new, generator, n_chains=_CHAINS * len(ahead.gaps)),
        Replay.of(flow.heads, flow, old, _widths(flow), generator=generator),
        n_kept,
    )
    facts = fingerprint(snapshots) | {"parent": content_digest(flow), "sigma": sigma}
    job = Job(grown.heads, batches, two_heads_loss, facts=facts)
    heads, losses = train(job, training, schedule, progress=progress)
    grown = replace(grown, heads=heads, losses=losses)
    passages = Meeting.of(snapshots).passages(grown)
    warn_of(passages, "the updated flow", "Fit one to all snapshots with ct.tl.fit_flow")
    return replace(grown, passages=passages)


def extended(flow: FlowMatching, snapshots: Snapshots) -> FlowMatching:
    """Return the flow over longer times, before its network has learned anything of them.

    Raises
    ------
    ValueError
        The times do not go on from those of the flow.
    """
    new = snapshots.x[len(flow.times) :]
    box = torch.stack([torch.stack(list(x.aminmax(dim=0))) for x in new])
    return replace(
        flow,
        heads=grown_heads(flow.heads, snapshots.times),
        times=snapshots.times,
        box=torch.cat([flow.box, box.to(flow.box)]),
        parent=content_digest(flow),
        passages=(),
    )


def check_flow(flow: FlowMatching) -> float:
    """Return the noise of the paths of a flow, once they can be drawn over one gap as over another.

    Raises
    ------
    ValueError
        They cannot, or have no noise; or the population was counted.
    """
    paths = flow.interpolant
    if not isinstance(paths, _GAP_BY_GAP):
        names = ", ".join(kind.__name__ for kind in _GAP_BY_GAP)
        raise ValueError(
            f"{type(paths).__name__} is fitted to all times together and cannot go on over a new "
            f"gap (those that can: {names}); {_ADVICE}"
        )
    if not paths.sigma:
        raise ValueError(
            "the paths of this flow have no noise, and so there is none to couple a new gap with; "
            f"{_ADVICE}"
        )
    if flow.mass is not None and bool((flow.mass.sizes.abs() > _COUNTED).any()):
        raise ValueError(
            "the population of this flow was counted, and an update knows no numbers of the new "
            f"times; {_ADVICE}(counts=...)"
        )
    return paths.sigma


def _widths(flow: FlowMatching) -> Tensor:
    """Return the noise of the paths in the middle of each gap, ``(T - 1,)``, in [x]."""
    times = torch.tensor(flow.times, dtype=torch.float64)
    return flow.interpolant.noise(times, (times[1:] + times[:-1]) / 2)[0]


def _part(snapshots: Snapshots, rows: slice) -> Snapshots:
    return Snapshots(snapshots.times[rows], snapshots.x[rows], snapshots.weights[rows])
