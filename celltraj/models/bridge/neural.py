r"""A network that learns drift and score of a bridge from reference bridges.

With ``x_s`` on the bridge of the reference from ``x0`` to ``x1`` over a gap of length ``D``, two
regressions without a singularity at either end give every velocity:

- ``m(t, x) = E[rate | x_s = x]``, where ``rate`` is ``(x1 - x0) / D`` under Brownian motion, and
  what :func:`~celltraj.models.references._paths.pinned_points` derives under any other reference,
- ``score(t, x) = E[score of the bridge between x0 and x1 | x_s = x]``, weighted by its variance;

``drift = b_ref + m + s sigma^2 score``; backwards ``b_ref + m - (1-s) sigma^2 score``. Both are
held to what every bridge satisfies: the mean end of a path through ``x`` lies within the cells of
that snapshot.
Tong et al., *Simulation-free Schroedinger bridges via score and flow matching* (2023), eq. 9.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from celltraj._checks import checked_fields
from celltraj._typing import Cells, Earlier
from celltraj.models._process import Reference, sigma_of
from celltraj.models.growth.path_mass import Masses, departing
from celltraj.models.networks import TwoHeads
from celltraj.models.references._gaussian_law import flow_of, gap_flow
from celltraj.models.references._paths import apply, pinned_points
from celltraj.models.training.checkpoint import fingerprint
from celltraj.models.training.module import (
    DRAWN_AT_ONCE,
    Points,
    TrainingOptions,
    Validation,
    train_heads,
    two_heads_loss,
)
from celltraj.models.training.trainer import TrainerOptions
from celltraj.ot import Coupling
from celltraj.snapshots import Snapshots

_TOUCHING = 1e-9  # share of a gap within which a path is at the snapshot
_CHECKED = 8  # batches of a check of an early stop
_NODES = 32  # times in a gap that these points share, drawn afresh each time


@checked_fields
@dataclass(frozen=True)
class NeuralDrift(TrainingOptions):
    """Ask for a drift learned by one time-conditioned network over all gaps.

    Parameters
    ----------
    max_steps
        Optimiser steps; by default one for every two cells, between 2,000 and 20,000: more cells
        draw finer snapshots, which take longer to learn.
    batch_size
        Bridge points per step.
    width
        Width of the three hidden layers.
    learning_rate
        Peak of AdamW's one-cycle schedule (Smith & Topin, *Super-convergence*, 2019).
    ema_decay
        Decay per step of the averaged weights that are used for prediction.
    patience
        Checks without improvement, one every 250 steps on bridge points that are not trained on,
        after which the training stops; the best averaged weights are kept. None for all steps.
    trainer
        Where it is trained, and what is written meanwhile, see
        :class:`celltraj.models.TrainerOptions`.

    Raises
    ------
    ValueError
        A number is not positive, or the decay not in [0, 1).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> short = ct.models.NeuralDrift(max_steps=20)
    >>> len(ct.tl.fit_bridge(adata, drift=short, seed=0, progress=False).field.history)
    20
    """

    trainer: TrainerOptions = field(default_factory=TrainerOptions)

    def fit(
        self,
        snapshots: Snapshots,
        reference: Reference,
        couplings: tuple[Coupling, ...],
        *,
        masses: Masses | None = None,
        generator: torch.Generator,
        progress: bool = True,
    ) -> NeuralField:
        """Return the trained field; its ``history`` holds the loss at each step.

        Raises
        ------
        TrainingError
            The loss is not finite.
        ValueError
            The checkpoint to go on from is of another training.
        """
        network = NeuralField(
            snapshots,
            reference,
            width=self.width,
            generator=generator,
            has_mass=masses is not None,
        )
        n_steps = self.n_steps(snapshots.n_cells)
        plans = _Plans(snapshots, reference, couplings, masses)
        batches = _Batches(plans, generator, n_steps, self.batch_size)
        averaged, losses = train_heads(
            network,
            self,
            n_steps,
            batches,
            loss=two_heads_loss,
            trainer=self.trainer,
            progress=progress,
            validation=None if self.patience is None else batches.validation(),
            facts=fingerprint(snapshots) | _reference_facts(reference, snapshots),
        )
        averaged.history = losses
        return averaged


def _reference_facts(reference: Reference, snapshots: Snapshots) -> dict[str, str | float]:
    """Return what tells a reference from others, for a checkpoint."""
    drift = reference.drift(snapshots.times[0], snapshots.x[0])
    return {
        "reference": type(reference).__name__,
        "sigma": sigma_of(reference),
        # rounded: a checkpoint may go on another machine, whose last digits differ
        "size of the reference's drift": f"{float(drift.square().mean().sqrt()):.4g}",
    }


class NeuralField(TwoHeads):
    """Predict drift and score; standardisation is part of the saved state."""

    def __init__(
        self,
        snapshots: Snapshots,
        reference: Reference,
        *,
        width: int,
        generator: torch.Generator,
        has_mass: bool = False,
    ) -> None:
        super().__init__(
            snapshots,
            width=width,
            generator=generator,
            has_mass=has_mass,
            noise=sigma_of(reference) * math.sqrt(max(snapshots.gaps)) / 2,
        )
        self.snapshots, self.reference, self.width = snapshots, reference, width
        self.history: tuple[float, ...] = ()
        self.boxes = tuple(cloud.aminmax(dim=0) for cloud in snapshots.x)

    def drift(self, t: float, x: Cells) -> Cells:
        """Return ``b_ref + m + s sigma^2 score``, ``(n, d)``."""
        return self.reference.drift(t, x) + self._forward_tilt(t, x)

    def backward_drift(self, t: float, x: Cells) -> Cells:
        """Return ``b_ref + m - (1 - s) sigma^2 score``, ``(n, d)``."""
        return self.reference.drift(t, x) + self._backward_tilt(t, x)

    def score(self, t: float, x: Cells) -> Cells:
        """Return ``grad log p_t(x)``, ``(n, d)``."""
        difference = self._forward_tilt(t, x) - self._backward_tilt(t, x)
        return difference / sigma_of(self.reference) ** 2

    def masses(self, t: float, x: Cells) -> tuple[Earlier, Earlier]:
        """Return the mean logarithms ``(n,)`` of what paths through ``x`` send and meet."""
        sent, met = self.predict_mass(t, x).unbind(1)
        return sent, met

    def _place(self, t: float) -> tuple[int, float]:
        """Return the gap of ``t`` and the share of it that is gone."""
        k = self.snapshots.gap_of(t)
        return k, (t - self.snapshots.times[k]) / self.snapshots.gaps[k]

    def _forward_tilt(self, t: float, x: Cells) -> Cells:
        rate, score = self.predict(t, x)
        k, s = self._place(t)
        tilt = rate + s * sigma_of(self.reference) ** 2 * score
        return self._ends_inside(t, k, x, tilt) if s < 1 - _TOUCHING else tilt

    def _backward_tilt(self, t: float, x: Cells) -> Cells:
        rate, score = self.predict(t, x)
        k, s = self._place(t)
        tilt = rate - (1 - s) * sigma_of(self.reference) ** 2 * score
        return self._starts_inside(t, k, x, tilt) if s > _TOUCHING else tilt

    def _ends_inside(self, t: float, k: int, x: Cells, tilt: Cells) -> Cells:
        """Return the tilt of the forward drift under which the mean end lies within its snapshot.

        With ``L = Sigma Phi'^-1 / sigma^2`` of the flow to the end, ``E[end | x] = m + L tilt`` is
        a weighted mean of the cells of a snapshot, hence within their box. A network keeps to that
        near the data; off the data, where it only extrapolates, this is what brings a path back.
        """
        end = self.snapshots.times[k + 1]
        share = (end - t) / self.snapshots.gaps[k]
        flow = gap_flow(self.reference, x, t, end, share)
        turn = torch.linalg.solve(flow.to_end[0], flow.covariance[-1]).mT
        lever = turn / sigma_of(self.reference) ** 2
        return _confined(tilt, flow.mean[-1], lever, self.boxes[k + 1])

    def _starts_inside(self, t: float, k: int, x: Cells, tilt: Cells) -> Cells:
        """Return the tilt of the backward drift under which the mean start does so.

        ``E[m(start) | x] = x - Sigma tilt / sigma^2`` is a weighted mean of where the flow takes
        the cells of the snapshot before.
        """
        start = self.snapshots.times[k]
        share = (t - start) / self.snapshots.gaps[k]
        flow = gap_flow(self.reference, self.snapshots.x[k], start, t, share)
        lever = -flow.covariance[-1].mean(0, keepdim=True) / sigma_of(self.reference) ** 2
        return _confined(tilt, x.double(), lever, flow.mean[-1].aminmax(dim=0))


def _confined(tilt: Cells, origin: Cells, lever: Tensor, box: tuple[Tensor, Tensor]) -> Cells:
    """Return the tilt nearest to the given one with ``origin + lever tilt`` inside ``box``."""
    rows = torch.arange(len(tilt))
    reached = origin + apply(lever, rows, tilt.double())
    excess = reached.clamp(*box) - reached
    return tilt + apply(torch.linalg.inv(lever), rows, excess).to(tilt.dtype)


@dataclass(frozen=True)
class _Plans:
    """What points of bridges are drawn from."""

    snapshots: Snapshots
    reference: Reference
    couplings: tuple[Coupling, ...]
    masses: Masses | None

    def draw(self, k: int, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw ``n`` pairs of gap ``k``: an earlier cell by its weight, a later one given it."""
        rows: Tensor | None = None
        if self.masses is not None:
            leaving = departing(self.snapshots.weights[k].numpy(), self.masses.sent[k])
            rows = torch.from_numpy(leaving)
        return self.couplings[k].sample(n, generator=generator, rows=rows)

    def carried(self, k: int, i: Tensor, j: Tensor, s: Tensor) -> Tensor:
        """Return mass, and logarithms of what is sent and met, ``(n, 3)``, of paths at ``s``."""
        if self.masses is None:
            return torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64).expand(len(i), 3)
        sent, met = (torch.from_numpy(v) for v in (self.masses.sent[k], self.masses.met[k]))
        mass = self.masses.log_mass(k, sent[i], met[j], s).exp()
        return torch.stack([mass, sent[i], met[j]], 1)


class _Batches:
    """Draw bridge points uniformly over the whole duration, from plans solved once per gap.

    Iterates over lists of steps, from the draw ``first`` on.
    """

    def __init__(
        self, plans: _Plans, generator: torch.Generator, n_steps: int, batch_size: int
    ) -> None:
        self.plans, self.snapshots, self.reference = plans, plans.snapshots, plans.reference
        self.generator, self.n_steps, self.batch_size = generator, n_steps, batch_size
        self.sigma = sigma_of(self.reference)
        self.first = 0
        snapshots = self.snapshots
        self.gaps = torch.tensor(snapshots.gaps, dtype=torch.float64)
        n = n_steps * batch_size
        self.gap_of = torch.multinomial(self.gaps, n, replacement=True, generator=generator)
        # all pairs of the training at once: one pass over each plan, which is never held
        self.i, self.j = torch.empty(2, n, dtype=torch.long)
        for k in range(len(self.gaps)):
            here = self.gap_of == k
            self.i[here], self.j[here] = plans.draw(k, int(here.sum()), generator)

    def __len__(self) -> int:
        return math.ceil(self.n_steps / DRAWN_AT_ONCE) - self.first

    def __iter__(self) -> Iterator[list[Points]]:
        size = self.batch_size
        draws = torch.arange(len(self.i)).split(DRAWN_AT_ONCE * size)
        for rows in draws[self.first :]:
            parts = (v.split(size) for v in self._bridge_points(rows))
            yield [Points(*step) for step in zip(*parts, strict=True)]

    def validation(self) -> Validation:
        """Return the mean loss of a field on points of the same bridges drawn aside, once."""
        seed = int(torch.randint(2**31 - 1, (1,), generator=self.generator))
        aside = torch.Generator().manual_seed(seed)
        size = self.batch_size
        drawn = _Batches(self.plans, aside, _CHECKED, size)
        steps = [points for draw in drawn for points in draw]

        def mean_loss(field: TwoHeads) -> float:
            return sum(float(two_heads_loss(field, points)) for points in steps) / len(steps)

        return mean_loss

    def _bridge_points(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Return the parts of :class:`Points` of the points ``rows``."""
        k, i, j = self.gap_of[rows], self.i[rows], self.j[rows]
        columns = torch.empty(len(rows), 3 * self.snapshots.dim + 5, dtype=torch.float64)
        for gap in range(len(self.gaps)):
            here = (k == gap).nonzero().flatten()
            for part, values in self._at_random_times(gap, i[here], j[here]):
                columns[here[part]] = values
        d = self.snapshots.dim
        t, x, *parts = columns.split([1, d, d, d, 1, 1, 1, 1], 1)
        return tuple(part.contiguous() for part in (t, x, *(part.float() for part in parts)))

    def _at_random_times(self, gap: int, i: Tensor, j: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield groups of points that share a time, which are stratified over the gap."""
        start, length = self.snapshots.times[gap], self.snapshots.gaps[gap]
        jitter = torch.rand(_NODES, dtype=torch.float64, generator=self.generator)
        s = ((torch.arange(_NODES) + jitter.clamp(1e-3, 1 - 1e-3)) / _NODES).tolist()
        inner = [start + share * length for share in s]
        grid = [start, *inner, self.snapshots.times[gap + 1]]
        flow = flow_of(self.reference, self.snapshots.x[gap], grid)
        node = torch.randint(_NODES, (len(i),), generator=self.generator)
        for k, (t, share) in enumerate(zip(inner, s, strict=True)):
            part = (node == k).nonzero().flatten()
            y = self.snapshots.x[gap + 1][j[part]]
            drawn = pinned_points(flow, k + 1, i[part], y, self.sigma, generator=self.generator)
            width = self.sigma * math.sqrt(length * share * (1 - share))
            one = torch.ones(len(part), 1, dtype=torch.float64)
            carried = self.plans.carried(gap, i[part], j[part], share * one[:, 0])
            values = (t * one, drawn.x, drawn.rate, -width * drawn.score, width * one, carried)
            yield part, torch.cat(values, 1)
