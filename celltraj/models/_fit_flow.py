"""Fit a flow: couple neighbouring snapshots once, draw chains, train the network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from tqdm.auto import tqdm

from celltraj._checks import checked_fields
from celltraj._snapshots import Snapshots
from celltraj.models._chains import Chains, GapPlans
from celltraj.models._checkpoint import fingerprint
from celltraj.models._fit import TrainerOptions
from celltraj.models._flow import gap_flow
from celltraj.models._flow_losses import FlowLoss, Penalties
from celltraj.models._flow_matching import FlowMatching
from celltraj.models._growth import couple_gap
from celltraj.models._training import DRAWN_AT_ONCE, Points, TrainingOptions, train_heads
from celltraj.models.interpolants import Curves, Interpolant, gap_of, sample_path, share_of
from celltraj.models.networks import TwoHeads
from celltraj.models.references import Brownian
from celltraj.ot import Minibatch, Solver, Transport

_DROPPED = 1e-3  # share of the mass of a row of a plan that chains do without
_TO_FIT = 400  # chains of a gap that an interpolant is fitted to
_POOLED = 16_000_000  # numbers in the curves of a pool of chains
_NODES = 22  # of those for each variable of a chain, at most
_DRAWS_OF_POOL = 40  # times that points are drawn from the same pool
_VALIDATED = 4096  # points of held-out cells


@checked_fields
@dataclass(frozen=True)
class FlowTraining(TrainingOptions):
    """Say how the network of a flow is trained.

    Parameters
    ----------
    max_steps
        Optimiser steps; by default one for every two cells, between 4,000 and 20,000.
    batch_size
        Points of paths per step.
    width
        Width of the three hidden layers.
    learning_rate
        Peak of AdamW's one-cycle schedule (Smith & Topin, *Super-convergence*, 2019).
    ema_decay
        Decay per step of the averaged weights that are used for prediction.
    patience
        Checks of the validation loss, one every 250 steps, without improvement after which to stop;
        None trains to the end.
    max_epochs
        Steps in units of the cells: an epoch draws as many points as there are cells. Given in
        place of ``max_steps``.
    validation
        Share of the cells of each snapshot that are kept from the training, for ``patience``.
    causal
        How strongly a gap waits until the earlier ones are fitted; 0 not at all.
    penalties
        What the flow should be besides right.
    trainer
        Device, precision, checkpoints, logger.

    Raises
    ------
    ValueError
        A number is out of range; both ``max_steps`` and ``max_epochs``; patience without
        validation.

    Examples
    --------
    >>> from celltraj.models import FlowTraining
    >>> FlowTraining(max_steps=500).batch_size
    512
    """

    max_epochs: int | None = None
    validation: float = 0.0
    causal: float = 0.0
    penalties: Penalties = field(default_factory=Penalties)
    trainer: TrainerOptions = field(default_factory=TrainerOptions)
    fewest_steps: ClassVar[int] = 4_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_epochs is not None and (self.max_epochs < 1 or self.max_steps is not None):
            raise ValueError(
                "max_epochs must be at least 1, in place of max_steps; found max_epochs="
                f"{self.max_epochs} and max_steps={self.max_steps}"
            )
        if not 0 <= self.validation < 1 or not 0 <= self.causal < math.inf:
            raise ValueError(
                "validation must lie in [0, 1) and causal must not be negative; found "
                f"{self.validation} and {self.causal}"
            )
        if self.patience is not None and self.validation == 0:
            raise ValueError(
                "patience needs cells to watch: pass validation=0.1, a share kept from the training"
            )

    def n_steps(self, n_cells: int) -> int:
        """Return the steps to take."""
        if self.max_epochs is None:
            return super().n_steps(n_cells)
        return self.max_epochs * math.ceil(n_cells / self.batch_size)


def fit_flow(
    snapshots: Snapshots,
    interpolant: Interpolant,
    *,
    sigma: float,
    solver: Solver | Minibatch,
    training: FlowTraining,
    generator: torch.Generator,
    progress: bool = True,
) -> FlowMatching:
    """Couple neighbouring snapshots once, and learn the flow along chains of cells.

    Parameters
    ----------
    snapshots
        Observed clouds.
    interpolant
        Paths through a chain; what it takes from the data is filled in.
    sigma
        Noise of the coupling, in [x]/sqrt([t]): epsilon is ``sigma^2`` times the gap.
    solver
        Coupling solver, such as ``ct.ot.solve``, or one with relaxed marginals.
    training
        How the network is trained.
    generator
        Source of randomness.
    progress
        Whether couplings and training show progress bars.

    Raises
    ------
    ValueError
        The interpolant does not suit the data.
    ConvergenceError
        A gap's coupling did not reach the solver's tolerance.
    TrainingError
        The loss became NaN; carries the last good network.

    Examples
    --------
    >>> import torch
    >>> from celltraj import ot
    >>> from celltraj._snapshots import Snapshots
    >>> from celltraj.models import FlowTraining, SplineInterpolant, fit_flow
    >>> x = torch.randn(50, 1, generator=torch.Generator().manual_seed(0))
    >>> flow = fit_flow(
    ...     Snapshots((0.0, 1.0), (x, x + 2)), SplineInterpolant(), sigma=0.2, solver=ot.solve,
    ...     training=FlowTraining(max_steps=300), generator=torch.Generator().manual_seed(0),
    ...     progress=False,
    ... )
    >>> bool((flow.drift(0.5, x + 1) - 2).abs().mean() < 0.2)
    True
    """
    kept, watched = _split(snapshots, training.validation, generator)
    plans = _plans(kept, sigma, solver, progress=progress)
    interpolant = _fitted(interpolant, kept, plans, sigma, generator)
    n_steps = training.n_steps(snapshots.n_cells)
    batches = PathBatches(kept, plans, interpolant, generator, n_steps, training.batch_size)
    growth = plans.masses.growth()
    times = torch.tensor(kept.times, dtype=torch.float64)
    heads = TwoHeads(
        kept,
        width=training.width,
        generator=generator,
        has_mass=growth is not None,
        noise=float(interpolant.noise(times, (times[1:] + times[:-1]) / 2)[0].max()),
    )
    check: Callable[[TwoHeads], float] | None = None
    if watched is not None:
        check = _validation(watched, sigma, solver, interpolant, generator)
    trained, history = train_heads(
        heads,
        training,
        n_steps,
        batches,
        loss=FlowLoss(interpolant, training.causal, training.penalties),
        trainer=training.trainer,
        validation=check,
        facts=fingerprint(snapshots)
        | {
            "paths": type(interpolant).__name__,
            "coupling": getattr(solver, "__name__", repr(solver)),
            "sigma": sigma,
        },
        progress=progress,
    )
    box = torch.stack([torch.stack(list(x.aminmax(dim=0))) for x in snapshots.x])
    return FlowMatching(trained, snapshots.times, interpolant, box, 0.0, history, growth)


def _split(
    snapshots: Snapshots, share: float, generator: torch.Generator
) -> tuple[Snapshots, Snapshots | None]:
    """Return the cells to train on and those to watch, a ``share`` of each snapshot."""
    if share == 0:
        return snapshots, None
    parts: tuple[list[Any], list[Any]] = ([], [])
    names = ("x", "weights", "growth") if snapshots.growth else ("x", "weights")
    for k, (t, x) in enumerate(zip(snapshots.times, snapshots.x, strict=True)):
        columns = [getattr(snapshots, name)[k] for name in names]
        order = torch.randperm(len(x), generator=generator)
        n_watched = math.ceil(share * len(x))
        if len(x) - n_watched < 1:
            raise ValueError(
                f"validation={share:g} leaves no cell of time {t:g} to train on; it has {len(x)}"
            )
        for part, rows in zip(parts, (order[n_watched:], order[:n_watched]), strict=True):
            part.append(tuple(values[rows] for values in columns))
    kept, watched = (
        replace(snapshots, **dict(zip(names, zip(*part, strict=True), strict=True)))
        for part in parts
    )
    return kept, watched


def _plans(
    snapshots: Snapshots, sigma: float, solver: Callable[..., Transport], *, progress: bool
) -> GapPlans:
    gaps = tqdm(list(snapshots.pairs()), desc="coupling", unit="gap", disable=not progress)
    x, times = snapshots.x, snapshots.times
    plans = []
    for k, m in gaps:
        cost, epsilon = gap_flow(Brownian(sigma), x[k], times[k], times[m]).problem(x[m])
        coupling = couple_gap(snapshots, k, solver, cost, epsilon=epsilon)
        plans.append(coupling.to_sparse(mass=_DROPPED))
    return GapPlans.of(snapshots, plans)


def _fitted(
    interpolant: Interpolant,
    snapshots: Snapshots,
    plans: GapPlans,
    sigma: float,
    generator: torch.Generator,
) -> Interpolant:
    """Return the interpolant fitted to chains drawn as the plans send mass."""
    n_gaps = len(snapshots.gaps)
    gap = torch.arange(n_gaps).repeat_interleave(4 * _TO_FIT)
    chains = plans.draw(gap, generator=generator)
    sent = chains.sent.exp().reshape(n_gaps, -1)
    chosen = torch.multinomial(sent, _TO_FIT, generator=generator)
    rows = (chosen + 4 * _TO_FIT * torch.arange(n_gaps)[:, None]).flatten()
    times = torch.tensor(snapshots.times, dtype=torch.float64)
    return interpolant.fit(times, chains.states(snapshots)[:, rows], gap[rows], sigma=sigma)


def _validation(
    watched: Snapshots,
    sigma: float,
    solver: Solver | Minibatch,
    interpolant: Interpolant,
    generator: torch.Generator,
) -> Callable[[TwoHeads], float]:
    """Return the loss on paths between the cells that are kept from the training."""
    plans = _plans(watched, sigma, solver, progress=False)
    batches = PathBatches(watched, plans, interpolant, generator, 1, _VALIDATED)
    points = next(iter(batches))[0]
    loss = FlowLoss(interpolant, 0.0, Penalties())

    def check(heads: TwoHeads) -> float:
        device = heads.centre.device
        with torch.no_grad():
            return float(loss(heads, Points(*(part.to(device) for part in points))))

    return check


class PathBatches:
    """Draw points of paths, with times uniform over the whole duration.

    Iterates over lists of steps, each a :class:`Points`. Curves of many chains are computed at
    once and used for a number of draws, each with other times and other noise.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        plans: GapPlans,
        interpolant: Interpolant,
        generator: torch.Generator,
        n_steps: int,
        batch_size: int,
    ) -> None:
        self.snapshots, self.plans, self.interpolant = snapshots, plans, interpolant
        self.generator, self.n_steps, self.batch_size = generator, n_steps, batch_size
        self.times = torch.tensor(snapshots.times, dtype=torch.float64)
        self.first = 0
        # pools have seeds of their own, so that one can be drawn again when a training is resumed
        self.seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
        self.pool: _Pool | None = None

    def __len__(self) -> int:
        return math.ceil(self.n_steps / DRAWN_AT_ONCE) - self.first

    def __iter__(self) -> Iterator[list[Points]]:
        size = self.batch_size
        for draw in range(self.first, self.first + len(self)):
            number = draw // _DRAWS_OF_POOL
            if self.pool is None or self.pool.number != number:
                self.pool = self._pooled(number)
            n = min(self.n_steps - draw * DRAWN_AT_ONCE, DRAWN_AT_ONCE) * size
            parts = self._points(self.pool, n)
            yield [Points(*step) for step in zip(*(p.split(size) for p in parts), strict=True)]

    def _pooled(self, number: int) -> _Pool:
        """Return chains shared among the gaps by their lengths, and their curves."""
        n = min(DRAWN_AT_ONCE * self.batch_size, _POOLED // (_NODES * self.snapshots.dim))
        lengths = self.times.diff()
        counts = (n * lengths / lengths.sum()).long().clamp(min=1)
        gap = torch.arange(len(counts)).repeat_interleave(counts)
        generator = torch.Generator().manual_seed(self.seed + number)
        chains = self.plans.draw(gap, generator=generator)
        curves = self.interpolant.curves(self.times, chains.states(self.snapshots), gap)
        return _Pool(number, chains, curves, counts)

    def _points(self, pool: _Pool, n: int) -> Points:
        """Return ``n`` points, in random order."""
        # stratified: the times of a batch of draws cover the duration evenly
        jitter = torch.rand(n, dtype=torch.float64, generator=self.generator)
        share = (torch.arange(n) + jitter) / n
        share = share[torch.randperm(n, generator=self.generator)]
        t = self.times[0] + (self.times[-1] - self.times[0]) * share
        gap = gap_of(self.times, t)
        which = torch.rand(n, dtype=torch.float64, generator=self.generator)
        rows = pool.starts[gap] + (which * pool.counts[gap]).long()
        path = sample_path(
            self.interpolant, self.times, pool.curves, rows, t, generator=self.generator
        )
        mass = self.plans.mass(pool.chains, rows, share_of(self.times, t)[1])
        columns = (v[:, None] for v in (mass, pool.chains.sent[rows], pool.chains.met[rows]))
        parts = (path.rate, path.z, path.width, *columns)
        return Points(t[:, None], path.x, *(part.float() for part in parts))


@dataclass(frozen=True)
class _Pool:
    """Chains in the order of their gaps, ``counts (T - 1,)`` of each, and their curves."""

    number: int
    chains: Chains
    curves: Curves
    counts: Tensor

    @property
    def starts(self) -> Tensor:
        """Return the first row of each gap."""
        return self.counts.cumsum(0) - self.counts
